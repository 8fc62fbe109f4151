import * as v from "valibot";
import type { Operation } from "../contract/operations.ts";
import { refusal } from "../contract/problem.ts";
import type { Supposition } from "../contract/simulation.ts";
import { validate } from "../instance/validate.ts";
import { readOptionalJson } from "./body.ts";
import { expansion } from "./expand.ts";
import type { Visit } from "./handlers.ts";
import { addressOf } from "./instances.ts";
import { granted, jsonResponse } from "./respond.ts";

const seq = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const reason = v.optional(v.pipe(v.string(), v.maxLength(500)));

/** What each operation takes beside the reason. */
const bodies = {
  pause: v.strictObject({ reason }),
  resume: v.strictObject({ reason }),
  // Its reason is the event's own matter: it goes into the data.
  cancel: v.strictObject({ data: v.optional(v.unknown()) }),
  terminate: v.strictObject({ reason }),
  retry: v.strictObject({ reason, incident: v.optional(v.string()) }),
  discard: v.strictObject({ reason, incident: v.string() }),
  rewind: v.strictObject({ reason, to: seq, shiftTimers: v.optional(v.boolean()) }),
  migrate: v.strictObject({ reason, to: v.optional(v.string()) }),
} satisfies Record<Operation["name"], v.GenericSchema>;

export const operationNames = Object.keys(bodies) as Operation["name"][];

const eraseBody = v.strictObject({ force: v.optional(v.boolean()) });

/** `POST /{workflow}/{id}/{operation}` */
export function operation(name: Operation["name"]) {
  return async (visit: Visit): Promise<Response> => {
    const { request, caller, workflow, id, instances } = visit;
    const address = addressOf(caller, workflow.key, id);
    const expand = expansion(visit);
    const schema: v.GenericSchema<unknown, { reason?: string | undefined }> = bodies[name] as never;
    const { reason: why, ...rest } = await readBody(request, schema);
    const wanted = {
      ...{ address, caller, operation: { name, ...rest } as Operation },
      ...(why === undefined ? {} : { reason: why }),
    };
    return jsonResponse(granted(expand(await instances.operate(wanted))).json);
  };
}

/** `POST /{workflow}/{id}/erase` */
export async function erase({
  request,
  caller,
  workflow,
  id,
  instances,
}: Visit): Promise<Response> {
  const address = addressOf(caller, workflow.key, id);
  const { force = false } = await readBody(request, eraseBody);
  return jsonResponse(granted(await instances.erase({ address, caller, force })).json);
}

/** Suppositions that one simulation takes, and the time that it may let pass: ten years. */
const MAX_SUPPOSITIONS = 100;
const MAX_ADVANCE = 315_576_000_000;

const supposition = v.union([
  v.strictObject({ type: v.string(), data: v.optional(v.unknown()) }),
  v.strictObject({ advance: v.pipe(v.number(), v.minValue(0), v.maxValue(MAX_ADVANCE)) }),
  v.strictObject({
    actor: v.string(),
    error: v.strictObject({ name: v.string(), message: v.string() }),
  }),
  v.strictObject({ actor: v.string(), output: v.optional(v.unknown()) }),
]);

const simulateBody = v.strictObject({
  suppose: v.pipe(v.array(supposition), v.maxLength(MAX_SUPPOSITIONS)),
  from: v.optional(seq),
});

/** `POST /{workflow}/{id}/simulate` */
export async function simulation(visit: Visit): Promise<Response> {
  const { request, caller, workflow, id, instances } = visit;
  const address = addressOf(caller, workflow.key, id);
  const { suppose, from } = await readBody(request, simulateBody);
  const wanted = {
    ...{ address, caller, suppose: suppose as Supposition[] },
    ...(from === undefined ? {} : { from }),
  };
  return jsonResponse(granted(await instances.simulate(wanted)).json);
}

/** `GET /{workflow}/{id}/history/{seq}` */
export async function moment(visit: Visit): Promise<Response> {
  const { caller, workflow, id, seq: text, instances } = visit;
  const address = addressOf(caller, workflow.key, id);
  const wanted = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(wanted) || wanted < 1) {
    throw refusal("bad-parameter", "seq must be a whole number of at least 1.", { field: "seq" });
  }
  return jsonResponse(granted(await instances.moment({ address, caller, seq: wanted })).json);
}

/** Nothing is as good as an empty object; a list is none. */
async function readBody<Body>(
  request: Request,
  schema: v.GenericSchema<unknown, Body>,
): Promise<Body> {
  const body = (await readOptionalJson(request)) ?? {};
  if (Array.isArray(body)) throw refusal("invalid-body", "The body must be a JSON object.");
  return validate(schema, body, "");
}
