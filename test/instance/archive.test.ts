import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type View } from "../../src/index.ts";
import { rowsIn } from "../../src/instance/archive-format.ts";
import {
  archive,
  archivedMoments,
  bucket,
  count,
  evict,
  inJournal,
  keysOf,
  lived,
  momentsOf,
  objectId,
  paged,
  range,
} from "../support/archiving.ts";
import { call, history, send, start, stubOf } from "../support/client.ts";
import { limits, resetLimits } from "../support/limits.ts";
import { resetWorld } from "../support/probe.ts";

beforeEach(() => {
  resetLimits();
  resetWorld();
});

afterEach(() => {
  Object.assign(env.ARCHIVE, bucket);
  vi.useRealTimers();
});

describe("archiving", () => {
  it("moves the older entries to R2; the history is read as before", async () => {
    limits.partEntries = 40;
    const id = await lived(130);
    const before = await history("probes", id);
    const states = await momentsOf(id, 1, 130);
    expect(states).not.toContain(null);
    const { status, body } = await archive(id, 30);
    expect(status).toBe(200);
    expect(body.operation).toEqual({ name: "archive", changed: true, entries: 100, through: 100 });
    expect(body).toMatchObject({ seq: 130, context: { count: 126 } });
    expect(await inJournal(id)).toEqual(range(101, 130));
    expect(await keysOf(id)).toEqual(["1/1-40.ndjson", "1/41-80.ndjson", "1/81-100.ndjson"]);
    for (const evicted of [false, true]) {
      if (evicted) await evict(id);
      for (const limit of [1_000, 130, 39, 7]) expect(await paged(id, limit)).toEqual(before);
    }
    expect(await momentsOf(id, 101, 130)).toEqual(states.slice(100));
    expect(await archivedMoments(id, 1, 130)).toEqual(states);
  });

  it("writes newline-delimited JSON: a header with the state before, then the entries", async () => {
    limits.partEntries = 10;
    const id = await lived(25);
    await archive(id, 5);
    const object = await env.ARCHIVE.get(`journal/${objectId(id)}/1/11-20.ndjson`);
    expect(object!.httpMetadata!.contentType).toBe("application/x-ndjson");
    const text = await object!.text();
    const [header, first, ...rest] = text.split("\n");
    expect(JSON.parse(header!)).toMatchObject({
      ...{ instance: { tenant: "tropical", workflow: "probes", id }, epoch: 1, version: "1" },
      ...{ first: 11, last: 20, moment: { machine: { context: { count: 6 } } } },
    });
    expect(JSON.parse(first!)).toMatchObject({ seq: 11, type: "COUNT", state: "idle" });
    expect(rest).toHaveLength(10);
    expect(rest.at(-1)).toBe("");
    expect(rowsIn(text, 18, 100).map(({ seq }) => seq)).toEqual([19, 20]);
  });

  it("goes on from where it was, as often as wanted", async () => {
    const id = await lived(50);
    const states = await momentsOf(id, 1, 50);
    expect((await archive(id, 30)).body.operation).toMatchObject({ entries: 20, through: 20 });
    const again = await archive(id, 30);
    expect(again.body.operation).toMatchObject({ changed: false, entries: 0, through: 20 });
    expect((await archive(id, 1)).body.operation).toMatchObject({ entries: 29, through: 49 });
    await count(id, 10);
    await evict(id);
    expect((await archive(id, 5)).body.operation).toMatchObject({ entries: 6, through: 55 });
    expect((await archive(id)).body.operation).toMatchObject({ changed: false });
    expect((await history("probes", id)).map(({ seq }) => seq)).toEqual(range(1, 60));
    expect((await archivedMoments(id, 1, 50)).slice(0, 50)).toEqual(states);
    expect(await momentsOf(id, 56, 60)).not.toContain(null);
  });

  it("keeps what repeats are known by", async () => {
    const id = await lived(20);
    await archive(id, 5);
    const grow = { type: "GROW", data: { bytes: 100 } };
    expect(await send("probes", id, grow, { key: "first" })).toMatchObject({
      status: 200,
      body: { outcome: "duplicate", first: { outcome: "applied", seq: 2 }, seq: 20 },
    });
    const counting = await start("endless");
    await send("endless", counting, { type: "LATER" }, { key: "later" });
    await count(counting, 20, "endless");
    await archive(counting, 5, "endless");
    expect(
      (await send("endless", counting, { type: "LATER" }, { key: "later" })).body,
    ).toMatchObject({
      outcome: "duplicate",
      first: { outcome: "deferred", seq: 2 },
      deferred: [{ seq: 2 }],
    });
  });

  it("writes several parts of large entries", async () => {
    const id = await start("probes");
    for (let n = 0; n < 20; n++) {
      await send("probes", id, { type: "GROW", data: { bytes: 900_000 - n } });
    }
    const before = await history("probes", id);
    await archive(id, 1);
    expect(await keysOf(id)).toHaveLength(5);
    expect(await history("probes", id)).toEqual(before);
  });
});

describe("archiving, broken off", () => {
  const entries = 37;
  const parts = ["1/1-10.ndjson", "1/11-20.ndjson", "1/21-30.ndjson", "1/31-32.ndjson"];

  it.each(
    range(1, 4).flatMap((call) => (["before", "after"] as const).map((when) => [when, call])),
  )("%s the bucket has taken part %i, loses nothing, and is repeated", async (when, failing) => {
    limits.partEntries = 10;
    const id = await lived(entries);
    const before = await history("probes", id);
    const states = await momentsOf(id, 33, entries);
    let calls = 0;
    env.ARCHIVE.put = (async (...put: Parameters<typeof bucket.put>) => {
      calls += 1;
      if (when === "after" || calls !== failing) await bucket.put(...put);
      if (calls === failing) throw new Error("R2 is away");
    }) as never;
    const broken = await archive(id, 5);
    expect(broken).toMatchObject({
      status: 503,
      body: {
        type: "urn:durachart:problem:overloaded",
        detail: expect.stringMatching(/R2 is away.*Nothing is lost/) as string,
      },
    });
    expect(await inJournal(id)).toEqual(range((Number(failing) - 1) * 10 + 1, entries));
    expect(await history("probes", id)).toEqual(before);
    if (failing === 2) await evict(id);
    await count(id, 3);
    const repeated = await archive(id, 8);
    expect(repeated.body.operation).toMatchObject({ changed: true, through: 32 });
    expect(await keysOf(id)).toEqual(parts);
    expect((await history("probes", id)).slice(0, entries)).toEqual(before);
    expect((await momentsOf(id, 33, entries + 3)).slice(0, 5)).toEqual(states);
  });

  it.each(range(1, 4))("by the death of its process at part %i, likewise", async (failing) => {
    limits.partEntries = 10;
    const id = await lived(entries);
    const before = await history("probes", id);
    let calls = 0;
    env.ARCHIVE.put = (async (...put: Parameters<typeof bucket.put>) => {
      calls += 1;
      await bucket.put(...put);
      if (calls !== failing) return;
      await runInDurableObject(stubOf("probes", id), (_instance, context) => {
        context.abort("crash");
      }).catch(() => {});
      await new Promise(() => {});
    }) as never;
    expect((await archive(id, 5)).status).toBe(500);
    expect(await inJournal(id)).toEqual(range((failing - 1) * 10 + 1, entries));
    Object.assign(env.ARCHIVE, bucket);
    await archive(id, 5);
    expect(await inJournal(id)).toEqual(range(33, entries));
    expect(await keysOf(id)).toEqual(parts);
    expect(await history("probes", id)).toEqual(before);
    expect(await momentsOf(id, 33, entries)).not.toContain(null);
  });
});

describe("while it is archived", () => {
  it("an instance takes events, and is archived once", async () => {
    limits.partEntries = 10;
    const id = await lived(45);
    env.ARCHIVE.put = (async (...put: Parameters<typeof bucket.put>) => {
      await count(id, 2);
      await bucket.put(...put);
      await count(id, 1);
    }) as never;
    const [one, other] = await Promise.all([archive(id, 5), archive(id, 5), count(id, 20)]);
    expect(one.status + other.status).toBe(400);
    Object.assign(env.ARCHIVE, bucket);
    const entries = await paged(id, 9);
    expect(entries.map(({ seq }) => seq)).toEqual(range(1, entries.length));
    const { body } = await call<View>("GET", `/probes/${id}`);
    expect(body).toMatchObject({ seq: entries.length, context: { count: entries.length - 4 } });
    const through = other.body.operation.through;
    expect(await inJournal(id)).toEqual(range(through + 1, entries.length));
    expect(await momentsOf(id, through + 1, entries.length)).not.toContain(null);
  });

  it("its history can be read, page by page", async () => {
    limits.partEntries = 10;
    const id = await lived(60);
    const before = await history("probes", id);
    env.ARCHIVE.get = (async (...get: Parameters<typeof bucket.get>) => {
      await archive(id, 10);
      return bucket.get(...get);
    }) as never;
    await archive(id, 45);
    expect(await history("probes", id)).toEqual(before);
  });

  it("its history may begin again: nothing of the new one is lost", async () => {
    const id = await start("endless");
    await count(id, 90, "endless");
    env.ARCHIVE.put = (async (...put: Parameters<typeof bucket.put>) => {
      await count(id, 12, "endless");
      await bucket.put(...put);
    }) as never;
    const { body } = await archive(id, 5, "endless");
    expect(body).toMatchObject({ epoch: 2, seq: 4 });
    expect(body.operation).toMatchObject({ changed: false, through: 0 });
    expect(await inJournal(id, "endless")).toEqual([1, 2, 3, 4]);
    Object.assign(env.ARCHIVE, bucket);
    expect((await archive(id, 2, "endless")).body.operation).toMatchObject({ through: 2 });
    expect((await keysOf(id, "endless")).at(-1)).toBe("2/1-2.ndjson");
    expect((await history("endless", id)).map(({ epoch, seq }) => [epoch, seq])).toEqual(
      range(1, 4).map((seq) => [2, seq]),
    );
    await count(id, 96, "endless");
    expect(await history("endless", id)).toMatchObject([{ epoch: 3, seq: 1 }]);
  });
});
