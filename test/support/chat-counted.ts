import { workflows } from "../../machines/index.ts";
import { durachart } from "../../src/index.ts";

/** The service beside the orchestrator's class that counts for it. */
export const { Tenant } = durachart({ workflows });
export { Chat, Room } from "../../services/chat/worker.ts";
export { default } from "../../services/chat/worker.ts";
