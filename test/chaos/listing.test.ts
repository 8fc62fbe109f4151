import { describe, expect, it } from "vitest";
import type { JournalEntry, View } from "../../src/contract/view.ts";
import type { Listed } from "../../src/list/search.ts";
import { checkList, lagOf } from "./listing.ts";

const view = { epoch: 1, seq: 3, status: "active", state: "a", incidents: [] } as unknown as View;
const row = { ...view, id: "i" } as unknown as Listed;
const counts = { status: { active: 1 }, state: {} };
const views = new Map([["i", view]]);

describe("the check of the list", () => {
  it("finds nothing where it tells the truth", () => {
    expect(checkList({ listed: [row], counts, views })).toEqual([]);
  });

  it.each<[string, readonly Listed[], RegExp]>([
    ["an instance that is missing", [], /i is not in the list/],
    ["one that isn't there", [row, { ...row, id: "j" }], /j is listed and isn't there/],
    ["one that is there twice", [row, row], /twice/],
    ["one that is late", [{ ...row, seq: 2 }], /The list says \[1,2,/],
    ["one in another state", [{ ...row, state: "b" }], /The list says/],
  ])("finds %s", (_, listed, message) => {
    expect(checkList({ listed, counts, views }).join("\n")).toMatch(message);
  });

  it("finds a wrong count", () => {
    const wrong = { status: { active: 2 }, state: {} };
    expect(checkList({ listed: [row], counts: wrong, views })).toMatchObject([/counts/]);
  });
});

describe("the lag of the list", () => {
  const entry = (seq: number, at: number) =>
    ({ seq, at: new Date(at).toISOString() }) as unknown as JournalEntry;
  const journals = new Map([["i", [entry(1, 0), entry(2, 100), entry(3, 200)]]]);
  const arrivals = [
    { id: "i", epoch: 1, seq: 3, at: 900 },
    { id: "i", epoch: 1, seq: 1, at: 500 },
    { id: "i", epoch: 1, seq: 1, at: 2_000 },
  ];

  it("is until the event, or a later one, is known first", () => {
    // 500, 800 and 700.
    expect(lagOf(journals, arrivals, [])).toEqual({ median: 700, percentile99: 700 });
  });

  it("leaves out what a kill held up", () => {
    expect(lagOf(journals, arrivals, [{ from: 600, to: 700 }])).toMatchObject({ median: 500 });
  });
});
