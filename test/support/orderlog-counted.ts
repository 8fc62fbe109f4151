import { workflows } from "../../machines/index.ts";
import { durachart } from "../../src/index.ts";

/** The service beside the orchestrator's class that counts for it. */
export const { Tenant } = durachart({ workflows });
export { Log, Tail } from "../../services/orderlog/worker.ts";
export { default } from "../../services/orderlog/worker.ts";
