import type { StandardJSONSchemaV1, StandardSchemaV1 } from "@standard-schema/spec";
import { toJsonSchema } from "@valibot/to-json-schema";
import type { RegisteredWorkflow } from "../kernel/registration.ts";

type JsonSchema = Readonly<Record<string, unknown>>;

const TARGET = "draft-2020-12";

const documents = new WeakMap<RegisteredWorkflow, Map<string, JsonSchema | null>>();

/**
 * The JSON Schema of an event's data, as it is to be sent; null where the workflow's events table
 * doesn't have the event, or its schema can't be told as one.
 */
export function schemaOf(workflow: RegisteredWorkflow, type: string): JsonSchema | null {
  const { events } = workflow;
  if (events === undefined || !Object.hasOwn(events, type)) return null;
  let known = documents.get(workflow);
  if (known === undefined) documents.set(workflow, (known = new Map()));
  let document = known.get(type);
  if (document === undefined) known.set(type, (document = convert(events[type]!.schema)));
  return document;
}

/** Where the JSON Schema of an event's data is to be had; null where there is none. */
export function schemaPath(workflow: RegisteredWorkflow, type: string): string | null {
  if (schemaOf(workflow, type) === null) return null;
  return `/machines/${workflow.key}/events/${encodeURIComponent(type)}`;
}

function convert(schema: StandardSchemaV1): JsonSchema | null {
  const standard: StandardSchemaV1.Props & Partial<StandardJSONSchemaV1.Props> =
    schema["~standard"];
  try {
    const document: unknown =
      standard.jsonSchema === undefined
        ? fromVendor(standard.vendor, schema)
        : standard.jsonSchema.input({ target: TARGET });
    return typeof document === "object" ? (document as JsonSchema | null) : null;
  } catch {
    // It has a type that JSON Schema doesn't know.
    return null;
  }
}

function fromVendor(vendor: string, schema: StandardSchemaV1): object | null {
  if (vendor !== "valibot") return null;
  type Schema = Parameters<typeof toJsonSchema>[0];
  // Checks that only code can make are left out: the instance makes them all the same.
  const options = { target: TARGET, typeMode: "input", errorMode: "ignore" } as const;
  return toJsonSchema(schema as unknown as Schema, options);
}
