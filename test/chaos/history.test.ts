import { describe, expect, it } from "vitest";
import type { JournalEntry, View } from "../../src/contract/view.ts";
import { check, type Observed } from "./history.ts";

const at = (milliseconds: number) => new Date(milliseconds).toISOString();

const entry = (seq: number, type: string, data: object, time = 0): JournalEntry => ({
  ...{ epoch: 1, seq, at: at(time), event: { type, data }, outcome: "applied", by: "x" },
  ...{ state: "a", changes: {} },
});

const rest = { retrying: [], incidents: [], timerCount: 0, actors: [] } as unknown as View;

/** A run in which every promise was kept. */
const kept = (): Observed => ({
  acknowledged: [{ instance: "i", type: "COUNT", key: "k1" }],
  journals: new Map([
    [
      "i",
      [
        entry(1, "durachart.started", {}),
        entry(2, "COUNT", { key: "k1" }),
        entry(3, "REMIND", { key: "k2", id: "t", delay: 50 }, 100),
        entry(4, "REMINDED", { id: "t" }, 150),
      ],
    ],
  ]),
  views: new Map([["i", rest]]),
  deliveries: [
    { path: "/told", id: "t/chaos/i/1-1", key: "k1" },
    { path: "/told", id: "t/chaos/i/1-1", key: "k1" },
    { path: "/counted", id: "t/chaos/i/1-2", key: "k1" },
  ],
  watched: [{ instance: "i", seqs: [1, 2, 3, 4] }],
});

describe("the history checker", () => {
  it("finds nothing where every promise was kept; a repeat under one id is fine", () => {
    expect(check(kept()).violations).toEqual([]);
  });

  it.each<[string, (seen: Observed) => void, RegExp]>([
    [
      "a lost event",
      (seen) => seen.acknowledged.push({ instance: "i", type: "COUNT", key: "k9" }),
      /k9 was acknowledged/,
    ],
    [
      "an event applied twice",
      ({ journals }) => journals.get("i")!.push(entry(5, "COUNT", { key: "k1" })),
      /k1 was applied 2 times/,
    ],
    ["a gap in the journal", ({ journals }) => journals.get("i")!.splice(1, 1), /has seq 3/],
    [
      "a timer that never fired",
      ({ journals }) => journals.get("i")!.splice(3, 1),
      /t fired 0 times/,
    ],
    [
      "a timer that fired twice",
      ({ journals }) => journals.get("i")!.push(entry(5, "REMINDED", { id: "t" }, 160)),
      /t fired 2 times/,
    ],
    [
      "a timer that fired early",
      ({ journals }) => {
        journals.get("i")![3] = entry(4, "REMINDED", { id: "t" }, 149);
      },
      /t fired 1 ms early/,
    ],
    [
      "a forgotten message",
      (seen) => {
        seen.deliveries.pop();
      },
      /counted of k1 arrived under 0 ids/,
    ],
    [
      "a message under two ids",
      (seen) => seen.deliveries.push({ path: "/told", id: "t/chaos/i/1-8", key: "k1" }),
      /told of k1 arrived under 2 ids/,
    ],
    [
      "two messages under one id",
      (seen) => seen.deliveries.push({ path: "/told", id: "t/chaos/i/1-1", key: "k8" }),
      /was given to/,
    ],
    [
      "messages out of order",
      (seen) => seen.deliveries.unshift({ path: "/told", id: "t/chaos/i/1-9", key: "k7" }),
      /arrived at \/told after a later one/,
    ],
    ["a watcher's gap", ({ watched }) => watched[0]!.seqs.splice(1, 1), /watcher of i saw a gap/],
    ["a watcher's double", ({ watched }) => watched[0]!.seqs.push(4), /watcher of i saw a gap/],
    [
      "an instance that is stuck",
      ({ views }) => views.set("i", { ...rest, timerCount: 1 }),
      /i is stuck/,
    ],
  ])("finds %s", (_, spoil, message) => {
    const seen = kept();
    spoil(seen);
    expect(check(seen).violations.join("\n")).toMatch(message);
  });
});
