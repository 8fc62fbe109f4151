import * as v from "valibot";
import { describe, expect, it } from "vitest";
import { createMachine } from "xstate";
import { checkSecretPaths } from "../../src/instance/secret-paths.ts";
import { registerWorkflows } from "../../src/kernel/registration.ts";

const machine = createMachine({ id: "paying", on: { PAY: {} } });
const card = v.strictObject({ number: v.string(), holder: v.string() });
const check = (schema: v.GenericSchema, path: string) => () =>
  checkSecretPaths(
    registerWorkflows({ paying: { machine, events: { PAY: { schema, secrets: [path] } } } }),
  );

describe("a secret field that the schema hasn't", () => {
  it.each<[string, v.GenericSchema, string]>([
    ["mistyped", v.object({ card }), "card.nubmer"],
    ["mistyped around it", v.object({ card }), "crad.number"],
    ["past a text", v.object({ card: v.string() }), "card.number"],
    ["in no variant", v.variant("by", [v.object({ by: v.literal("card"), card })]), "number"],
    ["in no part", v.intersect([v.object({ card }), v.object({ how: v.string() })]), "number"],
    ["in a list", v.object({ cards: v.array(card) }), "cards.number"],
  ])("is refused: %s", (_, schema, path) => {
    expect(check(schema, path)).toThrow(
      `the event "PAY" is to have the secret field "${path}", which its schema doesn't have`,
    );
  });
});

describe("a secret field is taken", () => {
  interface Nested {
    next?: Nested | undefined;
  }
  const nested: v.GenericSchema<Nested> = v.object({ next: v.optional(v.lazy(() => nested)) });
  it.each<[string, v.GenericSchema, string]>([
    ["of an object", v.object({ card }), "card.number"],
    ["that may be missing", v.object({ card: v.nullish(card) }), "card.number"],
    ["of data that may be missing", v.optional(v.object({ card })), "card.number"],
    ["of one variant", v.variant("by", [v.object({ by: v.literal("card"), card })]), "card.number"],
    ["of one of two", v.object({ card: v.union([v.string(), card]) }), "card.number"],
    ["of a part", v.intersect([v.object({ how: v.string() }), v.object({ card })]), "card.number"],
    ["of any name", v.record(v.string(), card), "visa.number"],
    ["of a schema that refers to itself", nested, "next.next"],
    ["of what says nothing", v.object({ card: v.unknown() }), "card.number"],
    ["of what can't be told", v.object({ card: v.custom<object>(() => true) }), "card.number"],
  ])("%s", (_, schema, path) => {
    expect(check(schema, path)).not.toThrow();
  });
});
