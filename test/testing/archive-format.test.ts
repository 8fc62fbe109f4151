import { expect, it } from "vitest";
import { momentIn, partText, rowsIn } from "../../src/instance/archive-format.ts";
import type { Identity, JournalRow } from "../../src/instance/store.ts";

const identity = { tenant: "t", workflow: "w", id: "i", epoch: 2, version: "3" } as Identity;

const row = (seq: number, more: Partial<JournalRow> = {}): JournalRow => ({
  ...{ seq, at: seq * 10, type: "E", data: null, outcome: "applied", by: "olga" },
  ...{ state: '"a"', changes: `{"context":{"set":{"n":${seq}},"unset":[]}}` },
  ...more,
});

const begin = `{"status":"active","context":{"set":{"n":1},"unset":[]},"inner":{"nextKey":1,"rest":{"children":{}}}}`;
const migrated = { type: "durachart.migrated", data: '{"from":"1","to":"2"}' };
const rows = [
  row(1, { changes: begin }),
  row(2, { data: "null" }),
  row(3, { ...migrated, state: '{"b":"c"}' }),
  row(4, { data: '"line\\nbreak\u2028"', by: 'say "so"\n' }),
  row(5, { type: "durachart.rewound", data: '{"to":4,"from":"2","version":"3"}' }),
];

it("A part's entries come back as they stood in the journal", () => {
  const text = partText(identity, rows, null);
  expect(rowsIn(text, 0, 100)).toEqual(rows);
  expect(rowsIn(text, 2, 2)).toEqual([rows[2], rows[3]]);
  expect(rowsIn(text, 5, 100)).toEqual([]);
  expect(text.endsWith("}\n")).toBe(true);
});

it("A part tells the state and the version after each of its entries", () => {
  const text = partText(identity, rows, null);
  const told = rows.map(({ seq }) => momentIn(text, seq)!);
  expect(told.map(({ version }) => version)).toEqual(["1", "1", "2", "2", "3"]);
  expect(told.map(({ at }) => at)).toEqual([10, 20, 30, 40, 50]);
  expect(told.map(({ moment }) => moment.machine.context["n"])).toEqual([1, 2, 3, 4, 5]);
  expect(told[2]!.moment.machine.value).toEqual({ b: "c" });
  const rest = partText(identity, rows.slice(2), told[1]!.moment);
  expect(rows.slice(2).map(({ seq }) => momentIn(rest, seq))).toEqual(told.slice(2));
});

it("A part whose beginning nobody knows tells no state", () => {
  expect(momentIn(partText(identity, rows.slice(2), null), 4)).toBeNull();
  expect(momentIn(partText(identity, [row(1)], null), 1)).toBeNull();
});
