import * as v from "valibot";
import { parseJson } from "../../src/contract/json.ts";
import type { Problem } from "../../src/contract/problem.ts";
import { validate } from "../../src/instance/validate.ts";
import type { ChatMessage, Part } from "../contracts/chat.ts";
import { MAX_TEXT } from "./limits.ts";

/** The WebSocket's subprotocol. */
export const SUBPROTOCOL = "durachart.chat";

/** Somebody in a room. */
export interface Person {
  subject: string;
  part: Part;
}

const id = v.pipe(
  v.string(),
  v.regex(/^[A-Za-z0-9._~-]{1,64}$/, "must have 1 to 64 characters of A–Z a–z 0–9 . _ ~ -"),
);
const text = v.pipe(
  v.string(),
  v.check(
    (value) => value !== "" && Array.from(value).length <= MAX_TEXT,
    `must have 1 to ${MAX_TEXT} characters`,
  ),
  v.check(
    (value) => value.isWellFormed() && /^(?:\n|\P{Cc})*$/u.test(value),
    "must be well-formed Unicode, without control characters but newlines",
  ),
);

/** What is said: by HTTP as it stands, by a socket with a `type`. */
export const saying = v.strictObject({ id, text });
export type Saying = v.InferOutput<typeof saying>;

const frame = v.variant("type", [
  v.strictObject({ type: v.literal("say"), id, text }),
  v.strictObject({ type: v.literal("typing") }),
  v.strictObject({ type: v.literal("confirm"), seq: v.pipe(v.number(), v.safeInteger()) }),
]);
export type ClientFrame = v.InferOutput<typeof frame>;

/** What a listener is sent. */
export type ServerFrame =
  | { type: "message"; message: ChatMessage }
  /** It is committed under this number. */
  | { type: "accepted"; id: string; seq: number }
  | { type: "refused"; id?: string; problem: Problem }
  | { type: "presence"; present: Person[] }
  | { type: "typing"; from: Person }
  /** Asks for a `confirm` with this number, which means nothing else. */
  | { type: "confirm"; seq: number };

/** @throws ProblemError not-json, invalid-body */
export function readFrame(json: string): ClientFrame {
  return validate(frame, parseJson(json), "");
}

/** The id that a frame has which can't be read otherwise, so that its sender knows which it was. */
export function idIn(json: string): string | undefined {
  try {
    const given: unknown = (JSON.parse(json) as { id?: unknown } | null)?.id;
    return v.is(id, given) ? given : undefined;
  } catch {
    return undefined;
  }
}
