import { hooks, workflows } from "../machines/index.ts";
import { durachart } from "./index.ts";
import { transports } from "./transports.ts";

const app = durachart({ workflows, hooks, transports });

export default app;
export const { Instance, Destination, Webhooks, WorkflowsEntrypoint } = app;
