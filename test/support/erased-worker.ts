import { durachart } from "../../src/index.ts";
import { canary } from "./canary.ts";

/** The Worker whose disk is searched after an instance was erased. */
const app = durachart({ workflows: { canaries: canary } });

export default app;
export const { Instance } = app;
