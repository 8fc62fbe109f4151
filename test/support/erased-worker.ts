import { durachart } from "../../src/index.ts";
import { canary } from "./canary.ts";

/** The Worker whose disk is searched after an instance was erased. */
const app = durachart({ workflows: { canaries: canary } });

interface Env {
  LIST_QUEUE: Queue<{ status: string }>;
  /** Nobody is told that something was erased: the local queue forgets what it has when it is killed. */
  HOLD?: string;
}

class Instance extends app.Instance {
  constructor(context: DurableObjectState, env: Env) {
    const send = (body: { status: string }) =>
      body.status === "erased"
        ? Promise.reject(new Error("held"))
        : env.LIST_QUEUE.send(body, { contentType: "json" });
    super(context, env.HOLD === undefined ? env : { ...env, LIST_QUEUE: { send } });
  }
}

export default app;
export { Instance };
export const { Tenant } = app;
