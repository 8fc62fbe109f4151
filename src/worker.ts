import { workflows } from "../machines/index.ts";
import { durachart } from "./index.ts";

const app = durachart({ workflows });

export default app;
export const { Instance, Destination, WorkflowsEntrypoint } = app;
