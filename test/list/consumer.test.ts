import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import type { Projection } from "../../src/contract/projection.ts";
import { randomFrom } from "../support/random.ts";
import { consume, freshObject, metered, projection, rowOf, rowsOf } from "../support/listed.ts";

const seed = 20_261_122;

describe("the list's consumer", () => {
  it("writes what it is told", async () => {
    const told = projection({
      ...{ epoch: 2, seq: 7, revision: 9, version: "2", status: "done", due: 1_900_000_060_000 },
      state: { bakePizza: "pizzaInOven" },
      states: ["bakePizza", "bakePizza.pizzaInOven"],
      attributes: { customer: "anna", vip: true, items: 3 },
      incidents: [{ kind: "blocked", what: "timer t", error: "boom", mend: "POST /x" }],
    });
    expect(await consume([told])).toMatchObject({ acks: 1, letters: [], retries: 0 });
    const labels = (await rowsOf("labels")).filter(({ object }) => object === told.object);
    expect(labels.map(({ label }) => label)).toEqual([
      ...["all", "attribute:customer=anna", "attribute:items=3", "attribute:vip=true"],
      ...["incident:any", "incident:blocked", "state:bakePizza", "state:bakePizza.pizzaInOven"],
      ...["status:done", "version:2"],
    ]);
    expect(await rowOf(told.object)).toMatchObject({
      ...{ tenant: "tropical", id: told.id, epoch: 2, seq: 7, revision: 9, due: told.due },
      state: JSON.stringify(told.state),
      attributes: JSON.stringify(told.attributes),
      incidents: JSON.stringify(told.incidents),
    });
  });

  it("lets nothing older overwrite what is newer: by epoch, then seq, then revision", async () => {
    const object = freshObject();
    const order = [
      [1, 1, 5],
      [1, 2, 1],
      [1, 2, 2],
      [1, 10, 0],
      [2, 1, 0],
    ].map(([epoch = 0, seq = 0, revision = 0]) =>
      projection({ object, epoch, seq, revision, version: `${epoch}.${seq}.${revision}` }),
    );
    for (const [index, newer] of order.entries()) {
      await consume([newer]);
      for (const older of order.slice(0, index + 1)) {
        await consume([{ ...older, version: "too late" }]);
        expect(await rowOf(object)).toMatchObject({ version: newer.version });
      }
    }
  });

  it("keeps the newest, late, twice and in any order, in one batch and in many", async () => {
    const random = randomFrom(seed);
    for (let run = 0; run < 20; run++) {
      const object = freshObject();
      const told = Array.from({ length: 8 }, (_, seq) =>
        projection({ object, seq, revision: 100 + seq, version: String(seq) }),
      );
      const sent = [...told, ...told].toSorted(() => random() - 0.5);
      for (let from = 0; from < sent.length;) {
        const size = 1 + Math.floor(random() * 5);
        await consume(sent.slice(from, from + size));
        from += size;
      }
      expect(await rowOf(object)).toMatchObject({ seq: 7, version: "7" });
    }
    await expectTrueLabels();
  });

  it("writes a hundred with one statement", async () => {
    const { meter, database } = metered(env.LIST);
    const told = Array.from({ length: 100 }, () => projection());
    expect(await consume(told, { LIST: database })).toMatchObject({ acks: 100 });
    expect(meter.statements).toBe(1);
    const known = new Set((await rowsOf("instances")).map(({ object }) => object));
    expect(told.every(({ object }) => known.has(object))).toBe(true);
  });

  it("writes few rows for a change, and none for what it knows", async () => {
    const { meter, database } = metered(env.LIST);
    const rows = async (told: Projection) => {
      const before = meter.rowsWritten;
      await consume([told], { LIST: database });
      return meter.rowsWritten - before;
    };
    const first = projection({ attributes: { customer: "anna" } });
    // Itself, five labels, four counts.
    expect(await rows(first)).toBe(10);
    expect(await rows(first)).toBe(0);
    // Only itself.
    expect(await rows({ ...first, seq: 2 })).toBe(1);
    // Itself, and a label and its count for each of what was left and entered.
    const next = { ...first, seq: 3, state: "bakePizza", states: ["bakePizza"] };
    expect(await rows(next)).toBe(5);
    // And a row of the index for the sweeper.
    expect(await rows({ ...next, seq: 4, due: 5 })).toBe(2);
    expect(await rows({ ...next, seq: 5, due: 6 })).toBe(2);
    expect(await rows({ ...next, seq: 6, due: 6 })).toBe(2);
  });

  it.each<[string, (good: Projection) => unknown]>([
    ["no tenant", ({ tenant: _, ...rest }) => rest],
    ["an object that is no id", (good) => ({ ...good, object: "../x" })],
    ["a seq that is no number", (good) => ({ ...good, seq: "7" })],
    ["states without end", (good) => ({ ...good, states: Array.from({ length: 300 }, String) })],
    ["a state without end", (good) => ({ ...good, state: "x".repeat(70_000) })],
    ["an attribute that is a list", (good) => ({ ...good, attributes: { a: [] } })],
    ["incidents that are none", (good) => ({ ...good, incidents: [1] })],
  ])("buries poison and spares its batch-mates: %s", async (_, spoil) => {
    const [one, two] = [projection(), projection()];
    const { letters, acks, retries } = await consume([one, spoil(projection()), two]);
    expect(letters).toMatchObject([{ queue: "durachart-list", reason: { status: 422 } }]);
    expect([acks, retries]).toEqual([3, 0]);
    expect(await rowOf(one.object)).not.toBeNull();
    expect(await rowOf(two.object)).not.toBeNull();
  });

  it("takes texts that SQLite can't, without harm to their batch-mates", async () => {
    const odd = projection({ attributes: { a: "x\0y", b: "\uD800", c: "\uD801" }, states: ["\0"] });
    const two = projection({ attributes: { a: "\uD800", b: "'; DROP TABLE labels; --" } });
    expect(await consume([odd, two])).toMatchObject({ acks: 2, letters: [] });
    await expectTrueLabels();
  });

  it("has one that the database refuses tried again by itself", async () => {
    const told = Array.from({ length: 9 }, () => projection());
    const refused = told[4]!.object;
    const database = {
      prepare: (sql: string) => ({
        bind: (rows: string) => ({
          run: () =>
            rows.includes(refused)
              ? Promise.reject(new Error("refused"))
              : env.LIST.prepare(sql).bind(rows).run(),
        }),
      }),
    };
    expect(await consume(told, { LIST: database })).toMatchObject({ acks: 8, retries: 1 });
    expect(await rowOf(refused)).toBeNull();
  });

  it("has all tried again where the database is down, or there is none", async () => {
    const told = Array.from({ length: 30 }, () => projection());
    let calls = 0;
    const run = () => Promise.reject(new Error(`down ${(calls += 1)}`));
    const database = { prepare: () => ({ bind: () => ({ run }) }) };
    expect(await consume(told, { LIST: database })).toMatchObject({ acks: 0, retries: 30 });
    expect(calls).toBe(10);
    expect(await consume(told, { LIST: undefined })).toMatchObject({ acks: 0, retries: 30 });
  });

  it("keeps of an erased instance only that it is erased", async () => {
    const told = projection({
      attributes: { customer: "anna" },
      incidents: [{ kind: "blocked", what: "anna's timer", error: "anna", mend: "POST /x" }],
    });
    await consume([told]);
    await consume([{ ...told, epoch: 2, seq: 0, status: "erased" }]);
    const { object, tenant, workflow } = told;
    expect(await rowOf(object)).toEqual({
      ...{ object, tenant, workflow, epoch: 2, seq: 0, revision: 1, status: "erased" },
      ...{ id: null, jurisdiction: null, version: null, state: null, attributes: null },
      ...{ incidents: null, due: null, created_at: 0, updated_at: 0, labels: "[]" },
      head: null,
    });
    const left = [...(await rowsOf("labels")), ...(await rowsOf("alerts"))];
    expect(left.filter((row) => row["object"] === object)).toEqual([]);
    await consume([{ ...told, seq: 99 }]);
    expect(await rowOf(object)).toMatchObject({ status: "erased", id: null });
    await expectTrueLabels();
  });

  it("keeps labels and counts true to the instances under random updates", async () => {
    const random = randomFrom(seed);
    const pick = <Value>(values: readonly Value[]) => values[Math.floor(random() * values.length)]!;
    const known = Array.from({ length: 40 }, () =>
      projection({
        ...{ tenant: pick(["a", "b"]), workflow: pick(["orders", "carts"]) },
        jurisdiction: pick([null, null, "eu", "us"]),
      }),
    );
    for (let batch = 0; batch < 40; batch++) {
      const told = Array.from({ length: 25 }, () => {
        const index = Math.floor(random() * known.length);
        const states = pick([["a"], ["a", "a.b"], ["a", "a.c"], ["d", "e"]]);
        const kinds = pick([[], [], ["blocked"], ["blocked", "exhausted"]]);
        const next = {
          ...known[index]!,
          ...{ seq: known[index]!.seq + Math.floor(random() * 3) - 1, states },
          ...{ revision: Math.floor(random() * 1_000), version: pick(["1", "2"]) },
          status: pick(["active", "active", "active", "done", "error"]),
          attributes: pick([{}, { customer: "anna" }, { customer: "bob", vip: true }]),
          incidents: kinds.map((kind) => ({
            kind: kind as "blocked",
            what: "w",
            error: "e",
            mend: "POST /x",
          })),
          due: pick([null, 5, 6]),
        };
        if (random() < 0.9) known[index] = next;
        return next;
      });
      await consume(told);
    }
    await expectTrueLabels();
  });
});

/** Labels and counts are what the instances' own rows say. */
async function expectTrueLabels(): Promise<void> {
  const instances =
    await rowsOf<Record<"object" | "tenant" | "workflow" | "labels" | "jurisdiction", string>>(
      "instances",
    );
  const expected = instances.flatMap(({ object, tenant, jurisdiction, workflow, labels }) =>
    (JSON.parse(labels) as string[]).map((label) =>
      [tenant, workflow, label, object, jurisdiction].join(" | "),
    ),
  );
  const labels =
    await rowsOf<Record<"object" | "tenant" | "workflow" | "label" | "jurisdiction", string>>(
      "labels",
    );
  expect(
    labels.map(({ object, tenant, jurisdiction, workflow, label }) =>
      [tenant, workflow, label, object, jurisdiction].join(" | "),
    ),
  ).toEqual(expected.toSorted(byText));
  const { results: scanned } = await env.LIST.prepare(
    `SELECT tenant, coalesce(jurisdiction, '') AS jurisdiction, workflow, label, count(*) AS count
       FROM labels WHERE label NOT LIKE 'attribute:%' GROUP BY 1, 2, 3, 4`,
  ).all();
  const counts = (await rowsOf("counts")).filter(({ count }) => count !== 0);
  expect(counts).toEqual(scanned);
}

const byText = (one: string, other: string): number => (one < other ? -1 : 1);
