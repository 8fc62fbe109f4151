import * as v from "valibot";
import type { HookDefinition } from "../../src/kernel/hook.ts";

const note = v.object({ payment: v.string(), type: v.string(), data: v.optional(v.unknown()) });

/** A sender that signs by Standard Webhooks, and whose event's id is in a header. */
export const standardHook = {
  schema: note,
  map({ payment, type, data }, { headers }) {
    if (type === "ping") return null;
    if (type === "explode") throw new Error("the mapping exploded");
    return { workflow: "payments", id: payment, type, data, key: headers["webhook-id"]! };
  },
} satisfies HookDefinition<v.InferOutput<typeof note>>;
