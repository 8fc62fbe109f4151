import type { Attributes, AttributeValue } from "../contract/attributes.ts";
import { refusal, type ProblemError } from "../contract/problem.ts";

/** RFC 3986: what may stand in a URI reference, percent-encoding well-formed. */
const URI_REFERENCE = /^(?:[A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+$/;
const ABSOLUTE_URI = /^[A-Za-z][A-Za-z0-9+.-]*:.+$/;

/** RFC 3339, section 5.6; a second may be a leap second. */
const TIMESTAMP =
  /^(\d{4}-\d{2}-\d{2})[Tt](\d{2}:\d{2}):([0-5]\d|60)(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$/;

/** RFC 2045, section 5.1: type, subtype, parameters. */
const MEDIA_TYPE =
  /^[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+(?:\s*;\s*[\w!#$%&'*+.^`|~-]+=(?:[\w!#$%&'*+.^`|~-]+|"(?:[^"\\]|\\.)*"))*\s*;?$/;

/** Control characters, and code points that are no characters, are no part of a String. */
const NO_STRING =
  // oxlint-disable-next-line no-control-regex -- just those are looked for
  /[\u0000-\u001f\u007f-\u009f\ufdd0-\ufdef]|[\ufffe\uffff]|[\u{1fffe}\u{1ffff}\u{2fffe}\u{2ffff}\u{10fffe}\u{10ffff}]/u;

const MAX_INTEGER = 2 ** 31 - 1;
const MIN_INTEGER = -(2 ** 31);

/**
 * The attributes of an event, checked against CloudEvents 1.0.2, section 3: names, types, the required
 * ones, and the format of those that the specification defines. What is null is unset.
 *
 * @throws ProblemError bad-cloudevent naming the attribute
 */
export function checkAttributes(found: Readonly<Record<string, unknown>>): Attributes {
  const attributes: Record<string, AttributeValue> = {};
  for (const [name, value] of Object.entries(found)) {
    if (value === null || value === undefined) continue;
    attributes[name] = checkValue(name, value);
  }
  if (attributes["specversion"] !== "1.0") {
    throw bad("specversion", 'must be "1.0"');
  }
  for (const name of ["id", "source", "type"]) {
    if (!(name in attributes)) throw bad(name, "is required");
  }
  for (const [name, check] of Object.entries(defined)) {
    const value = attributes[name];
    if (value === undefined) continue;
    const wrong = typeof value === "string" ? check(value) : "must be a string";
    if (wrong !== null) throw bad(name, wrong);
  }
  return attributes;
}

function checkValue(name: string, value: unknown): AttributeValue {
  if (!/^[a-z0-9]+$/.test(name)) {
    throw bad(name, "is no attribute name: lower-case letters and digits only");
  }
  // "data" is the member that carries the data, in every format.
  if (name === "data") throw bad(name, "can't be an attribute");
  if (typeof value === "boolean") return value;
  if (typeof value === "number") {
    if (Number.isInteger(value) && value >= MIN_INTEGER && value <= MAX_INTEGER) return value;
    throw bad(name, "must be a 32-bit integer where it is a number");
  }
  if (typeof value !== "string") throw bad(name, "must be a string, an integer or a boolean");
  if (NO_STRING.test(value) || !value.isWellFormed()) {
    throw bad(name, "has characters that no attribute may have");
  }
  return value;
}

type Check = (value: string) => string | null;

const notEmpty: Check = (value) => (value === "" ? "must be a non-empty string" : null);

const defined: Readonly<Record<string, Check>> = {
  id: notEmpty,
  source: (value) => (URI_REFERENCE.test(value) ? null : "must be a non-empty URI reference"),
  type: notEmpty,
  subject: notEmpty,
  datacontenttype: (value) => (MEDIA_TYPE.test(value) ? null : "must be a media type"),
  dataschema: (value) =>
    URI_REFERENCE.test(value) && ABSOLUTE_URI.test(value) ? null : "must be an absolute URI",
  time: (value) => (isTimestamp(value) ? null : "must be an RFC 3339 timestamp"),
};

function isTimestamp(value: string): boolean {
  const [, date, minute, second, fraction = "", zone = ""] = TIMESTAMP.exec(value) ?? [];
  if (date === undefined) return false;
  const [day] = new Date(`${date}T00:00:00Z`).toString() === "Invalid Date" ? [] : [date];
  // Dates roll over: the 30th of February would be the 2nd of March.
  if (day === undefined || new Date(`${date}T00:00:00Z`).toISOString().slice(0, 10) !== date) {
    return false;
  }
  const known = second === "60" ? "59" : second;
  const text = `${date}T${minute}:${known}${fraction.slice(0, 4)}${zone.toUpperCase()}`;
  return !Number.isNaN(Date.parse(text));
}

export function bad(field: string, detail: string): ProblemError {
  return refusal("bad-cloudevent", `${field} ${detail}.`, { field });
}
