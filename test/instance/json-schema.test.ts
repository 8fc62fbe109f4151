import type { StandardSchemaV1 } from "@standard-schema/spec";
import * as v from "valibot";
import { createMachine } from "xstate";
import { describe, expect, it, vi } from "vitest";
import { schemaOf, schemaPath } from "../../src/instance/json-schema.ts";
import { registerWorkflows } from "../../src/kernel/registration.ts";

/** A schema of another library. */
function foreign(input?: (options: unknown) => unknown): StandardSchemaV1 {
  const validate = (value: unknown) => ({ value });
  const jsonSchema = input === undefined ? {} : { jsonSchema: { input, output: input } };
  return { "~standard": { version: 1, vendor: "foreign", validate, ...jsonSchema } } as never;
}

const input = vi.fn((options) => ({ type: "string", options }));
const schemas = {
  OFFERED: foreign(input),
  THROWING: foreign(() => {
    throw new Error("It can't be told");
  }),
  NOTHING: foreign(() => null),
  SILENT: foreign(),
  VALIBOT: v.pipe(
    v.object({ n: v.pipe(v.string(), v.transform(Number)), on: v.optional(v.date()) }),
    v.check(({ n }) => n > 0),
  ),
  "a/b ü": v.object({}),
  "x.y": v.optional(v.strictObject({}), {}),
};
const workflow = registerWorkflows({
  samples: {
    machine: createMachine({ on: { "*": {} } }),
    events: Object.fromEntries(
      Object.entries(schemas).map(([type, schema]) => [type, { schema: schema as never }]),
    ),
  },
}).get("samples")!;

describe("the JSON Schema of an event", () => {
  it("is the one that its schema offers, made once", () => {
    const document = schemaOf(workflow, "OFFERED");
    expect(document).toEqual({ type: "string", options: { target: "draft-2020-12" } });
    expect(schemaOf(workflow, "OFFERED")).toBe(document);
    expect(input).toHaveBeenCalledTimes(1);
  });

  it("of valibot's is of what goes in, without what only code can check", () => {
    expect(schemaOf(workflow, "VALIBOT")).toMatchObject({
      type: "object",
      properties: { n: { type: "string" }, on: {} },
      required: ["n"],
    });
    expect(schemaOf(workflow, "x.y")).toMatchObject({ type: "object", properties: {} });
  });

  it.each(["THROWING", "NOTHING", "SILENT", "UNKNOWN", "toString"])("is none of %s", (type) => {
    expect(schemaOf(workflow, type)).toBeNull();
    expect(schemaPath(workflow, type)).toBeNull();
  });

  it("has a path of its own", () => {
    expect(schemaPath(workflow, "a/b ü")).toBe("/machines/samples/events/a%2Fb%20%C3%BC");
  });
});
