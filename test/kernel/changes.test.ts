import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { changesText, contextTexts, joinContext } from "../../src/kernel/changes.ts";
import { findUnserialisable } from "../../src/kernel/json.ts";
import type { Changes } from "../../src/contract/view.ts";

/** The state of a context after `changes`. */
function applyChanges(context: Record<string, unknown>, changes: Changes): Record<string, unknown> {
  const next = { ...context, ...changes.context?.set };
  for (const key of changes.context?.unset ?? []) delete next[key];
  return next;
}

const context = fc.dictionary(
  fc.string().filter((key) => key !== "__proto__"),
  fc.jsonValue(),
);
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

const same = { status: "active", rest: '{"children":{}}', nextKey: 1 };
const nothingBeside = { actors: new Map<number, string>(), timers: "", effects: "" };

describe("changes", () => {
  it("lead from any context to any other", () => {
    fc.assert(
      fc.property(context, context, (before, after) => {
        const text = changesText(
          { ...same, texts: contextTexts(before) },
          { ...same, texts: contextTexts(after) },
          nothingBeside,
        );
        const changes = JSON.parse(text) as Changes;
        expect(plain(applyChanges(before, changes))).toEqual(plain(after));
      }),
    );
  });

  it("see what was altered in place", () => {
    const before = { list: [1] };
    const texts = contextTexts(before);
    before.list.push(2);
    const after = { ...same, texts: contextTexts(before) };
    expect(changesText({ ...same, texts }, after, nothingBeside)).toBe(
      '{"context":{"set":{"list":[1,2]},"unset":[]}}',
    );
  });

  it("join to the same JSON", () => {
    fc.assert(
      fc.property(context, (value) => {
        expect(JSON.parse(joinContext(contextTexts(value)))).toEqual(plain(value));
      }),
    );
  });
});

describe("what JSON would change", () => {
  it("is nothing of what is JSON", () => {
    fc.assert(fc.property(fc.jsonValue(), (value) => findUnserialisable(value, "x") === null));
  });

  it.each<[string, unknown, string]>([
    ["a date", { a: [{ b: new Date() }] }, "x.a[0].b (Date)"],
    ["a set", { a: new Set() }, "x.a (Set)"],
    ["not a number", { a: Number.NaN }, "x.a (NaN)"],
    ["infinity", [Infinity], "x[0] (Infinity)"],
    ["a function", { a: () => {} }, "x.a (function)"],
    ["a hole in a list", [undefined], "x[0] (undefined)"],
    ["a bigint", { a: 1n }, "x.a (bigint)"],
    [
      "an instance",
      {
        a: new (class Money {
          amount = 1;
        })(),
      },
      "x.a (Money)",
    ],
  ])("is found with its path: %s", (_, value, path) => {
    expect(findUnserialisable(value, "x")).toBe(path);
  });
});
