import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { ProblemError } from "../contract/problem.ts";
import { refusal } from "../contract/problem.ts";
import type { IncomingEvent } from "../contract/requests.ts";
import { descriptorCovers } from "../kernel/allowed.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import { secretPaths } from "../secrets/fields.ts";

/**
 * An event as it came, which some version of the workflow could take. The instance looks at it once more,
 * since it knows which version it runs.
 *
 * @throws ProblemError unknown-event, invalid-body naming the field, as the newest version says it
 */
export function incoming(
  workflow: RegisteredWorkflow,
  type: unknown,
  data: unknown,
): IncomingEvent {
  try {
    validateEvent(workflow, type, data);
  } catch (error) {
    const isTaken = [...workflow.versions.values()].some((version) => takes(version, type, data));
    if (!isTaken) throw error;
  }
  return data === undefined ? { type: type as string } : { type: type as string, data };
}

function takes(version: RegisteredWorkflow, type: unknown, data: unknown): boolean {
  try {
    validateEvent(version, type, data);
    return true;
  } catch {
    return false;
  }
}

/**
 * The event as the machine may see it: of a type the chart knows, its data as the schema says, and as
 * JSON keeps it.
 *
 * @throws ProblemError unknown-event, invalid-body naming the field
 */
export function validateEvent(
  workflow: RegisteredWorkflow,
  type: unknown,
  data: unknown,
): IncomingEvent {
  if (typeof type !== "string" || type === "" || type === "*" || type.startsWith("xstate.")) {
    throw refusal(
      "unknown-event",
      `The event's type must be a non-empty string, not "*" and not of the machine's own "xstate." kind.`,
      { field: "type" },
    );
  }
  if (workflow.events === undefined) {
    if (!workflow.descriptors.some((descriptor) => descriptorCovers(descriptor, type))) {
      throw unknownEvent(workflow, type, workflow.descriptors);
    }
    return data === undefined ? { type } : { type, data };
  }
  const definition = Object.hasOwn(workflow.events, type) ? workflow.events[type] : undefined;
  if (definition === undefined) {
    throw unknownEvent(workflow, type, Object.keys(workflow.events));
  }
  const valid = asJson(
    validate(definition.schema, data, "data", () => secretPaths(workflow, type)),
  );
  return valid === undefined ? { type } : { type, data: valid };
}

function unknownEvent(workflow: RegisteredWorkflow, type: string, known: string[]): ProblemError {
  return refusal(
    "unknown-event",
    `"${type.slice(0, 100)}" is no event of ${workflow.key}. Known: ${known.join(", ")}.`,
    { field: "type" },
  );
}

/** How valibot says that a field is unknown, or missing: in words of types, which not every caller has. */
const UNKNOWN = /^Invalid key: Expected never but received "[^]*"$/;
const MISSING = /^Invalid key: Expected "[^]*" but received undefined$/;

function worded(message: string): string {
  if (UNKNOWN.test(message)) return "is not known here; leave it out.";
  return MISSING.test(message) ? "is missing." : message;
}

/** In the place of what a schema says of a secret field: most say what came. */
const UNTOLD = "Invalid value. The field is secret, so what came is not shown.";

/**
 * @param secretsOf the paths of secret fields, asked for where the value is refused
 * @throws ProblemError invalid-body naming the field
 */
export function validate<Schema extends StandardSchemaV1>(
  schema: Schema,
  value: unknown,
  root: string,
  secretsOf: () => readonly string[] = () => [],
): StandardSchemaV1.InferOutput<Schema> {
  const result = schema["~standard"].validate(value);
  if (result instanceof Promise) {
    throw new TypeError(`The schema of ${root} is asynchronous; a step can't wait for it.`);
  }
  if (result.issues === undefined) return result.value;
  const secrets = secretsOf().map((path) => path.split("."));
  const errors = result.issues.map(({ path = [], message }) => {
    const keys = path.map((segment) => String(typeof segment === "object" ? segment.key : segment));
    return {
      field: [root, ...keys].filter((part) => part !== "").join("."),
      message: secrets.some((secret) => isPartOf(secret, keys)) ? UNTOLD : worded(message),
    };
  });
  const detail = errors.map(({ field, message }) => `${field || "body"}: ${message}`).join("; ");
  throw refusal("invalid-body", detail, { field: errors[0]!.field, errors });
}

/**
 * Whether one path leads past the other's end, or there: the value at one may hold the other's. Places in
 * lists don't count: a secret field's path names members alone, and a schema may take lists of them.
 */
function isPartOf(secret: readonly string[], places: readonly string[]): boolean {
  const keys = places.filter((place) => !/^\d+$/.test(place));
  const length = Math.min(secret.length, keys.length);
  return secret.slice(0, length).join("\n") === keys.slice(0, length).join("\n");
}

/** A schema may make what JSON changes: what is stored is what the machine sees. */
export function asJson<Value>(value: Value): Value {
  const text = JSON.stringify(value) as string | undefined;
  return (text === undefined ? undefined : JSON.parse(text)) as Value;
}
