import * as v from "valibot";
import { validate } from "../instance/validate.ts";
import { readOptionalJson } from "./body.ts";
import type { Visit } from "./handlers.ts";
import { addressOf } from "./instances.ts";
import { granted, jsonResponse } from "./respond.ts";

const DEFAULT_KEEP = 1_000;

const body = v.optional(
  v.strictObject({
    keep: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1)), DEFAULT_KEEP),
  }),
  {},
);

/** `POST /{workflow}/{id}/archive`: moves all but the last `keep` entries of the journal to R2. */
export async function archive(visit: Visit): Promise<Response> {
  const { request, caller, workflow, id, instances } = visit;
  const address = addressOf(caller, workflow.key, id);
  const { keep } = validate(body, await readOptionalJson(request), "");
  return jsonResponse(granted(await instances.archive({ address, caller, keep })).json);
}
