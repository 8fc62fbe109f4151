import * as v from "valibot";
import type { LogParameters } from "../contracts/log.ts";
import { validate } from "../../src/instance/validate.ts";

const whole = (least: number, most: number) =>
  v.pipe(
    v.string(),
    v.digits(),
    v.transform(Number),
    v.number(),
    v.minValue(least),
    v.maxValue(most),
  );
const order = v.optional(v.pipe(v.string(), v.regex(/^[^/]+\/[^/]+$/, "must be {workflow}/{id}")));
const type = v.optional(
  v.pipe(v.string(), v.regex(/^[^*]{1,200}\*?$/, "must be an event type, or order.* and the like")),
);
const time = v.optional(
  v.pipe(
    v.string(),
    v.isoTimestamp("must be an ISO 8601 time with a zone, as 2030-01-01T12:00:00Z"),
    // The shape lets zones through that no clock reads, such as +05.
    v.check((text) => !Number.isNaN(Date.parse(text)), "must be a time that there is"),
    v.transform((text) => new Date(text).toISOString()),
  ),
);

const page = v.strictObject({
  ...{ order, type, from: time, to: time },
  after: v.optional(whole(0, Number.MAX_SAFE_INTEGER), "0"),
  limit: v.optional(whole(1, 1_000), "100"),
});
const tail = v.strictObject({
  ...{ order, type },
  after: v.optional(whole(0, Number.MAX_SAFE_INTEGER)),
});

/** Of an address. */
export const parametersOf = (request: { url: string }) =>
  Object.fromEntries(new URL(request.url).searchParams);

/** @throws ProblemError invalid-body */
export const pageOf = (parameters: LogParameters) => validate(page, parameters, "");
/** @throws ProblemError invalid-body */
export const tailOf = (request: { url: string }) => validate(tail, parametersOf(request), "");
