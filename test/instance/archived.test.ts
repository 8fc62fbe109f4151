import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { defaultLimits, type View } from "../../src/index.ts";
import { eraseArchive } from "../../src/egress/erase.ts";
import {
  archive,
  bucket,
  count,
  evict,
  keysOf,
  lived,
  objectId,
  range,
} from "../support/archiving.ts";
import {
  call,
  customer,
  eventually,
  freshId,
  operator,
  send,
  setTime,
  start,
  stubOf,
} from "../support/client.ts";
import { resetLimits } from "../support/limits.ts";
import { resetWorld, world } from "../support/probe.ts";
import { TestSocket } from "../support/socket.ts";

beforeEach(() => {
  resetLimits();
  resetWorld();
});

afterEach(() => {
  Object.assign(env.ARCHIVE, bucket);
  vi.useRealTimers();
});

describe("of what is archived", () => {
  it("a watcher that has missed some is told, and goes on when it has read that", async () => {
    const id = await lived(40);
    const live = await TestSocket.open(`/probes/${id}/stream?after=40`);
    await archive(id, 10);
    const late = await TestSocket.open(`/probes/${id}/stream?after=12`);
    await eventually(
      () => Promise.resolve(late.closed),
      (closed) => closed !== null,
    );
    expect(late.closed).toEqual({
      code: 4416,
      reason: "Archived up to seq 30: read /history, then after=",
    });
    expect(late.views).toHaveLength(1);
    expect(late.entries).toEqual([]);
    const back = await TestSocket.open(`/probes/${id}/stream?after=30`);
    await count(id, 2);
    await eventually(
      () => Promise.resolve([live.seqs.length, back.seqs.length]),
      ([first, second]) => first === 2 && second === 12,
    );
    expect(back.seqs).toEqual(range(31, 42));
    expect(live.seqs).toEqual([41, 42]);
  });

  it("a rewind to what is kept runs again what began before; to the rest there is none", async () => {
    world.actor = () => new Promise(() => {});
    const id = await start("probes");
    await send("probes", id, { type: "WORK" });
    await count(id, 30);
    await archive(id, 10);
    await archive(id, 5);
    const stub = stubOf("probes", id);
    const address = { tenant: "tropical", workflow: "probes", id };
    const rewind = (to: number) =>
      stub.operate({ address, caller: operator, operation: { name: "rewind", to } });
    expect(await rewind(30)).toMatchObject({ ok: true });
    const { body } = await call<View>("GET", `/probes/${id}`);
    expect(body).toMatchObject({ state: "working", context: { count: 28 }, pending: 1, seq: 33 });
    for (const to of [1, 10, 27]) {
      expect(await rewind(to)).toMatchObject({ ok: false, problem: { status: 409 } });
    }
  });

  it("the state, and what would follow from it, are told as before", async () => {
    setTime(1_800_000_000_000);
    const id = await lived(30);
    const look = async () => [
      ...(await Promise.all(
        [1, 4, 12, 25, 26].map((seq) => call("GET", `/probes/${id}/history/${seq}`)),
      )),
      await call("POST", `/probes/${id}/simulate`, {
        body: { from: 12, suppose: [{ type: "COUNT" }] },
      }),
    ];
    const plain = (answers: Awaited<ReturnType<typeof look>>) =>
      answers.map(({ status, body }) => ({ status, body }));
    const before = plain(await look());
    expect(before.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200]);
    await archive(id, 5);
    expect(plain(await look())).toEqual(before);
  });

  it("erasing removes it, and the payloads", async () => {
    const id = await lived(30);
    await archive(id, 5);
    await env.PAYLOADS.put(`payload/${objectId(id)}/x`, "x");
    expect(await keysOf(id)).toHaveLength(1);
    await call("POST", `/probes/${id}/terminate`);
    expect((await call("POST", `/probes/${id}/erase`, { body: { force: true } })).status).toBe(200);
    await eventually(
      async () => [
        ...(await keysOf(id)),
        ...(await env.PAYLOADS.list({ prefix: `payload/${objectId(id)}/` })).objects,
      ],
      (left) => left.length === 0,
    );
    expect((await call("GET", `/probes/${id}/history`)).status).toBe(410);
  });

  it("nothing is told where a part is gone, or the bucket", async () => {
    const id = await lived(20);
    await archive(id, 5);
    const path = `/probes/${id}/history`;
    env.ARCHIVE.get = () => Promise.reject(new Error("R2 is away"));
    expect(await call("GET", path)).toMatchObject({
      status: 503,
      body: { detail: expect.stringMatching(/R2 is away/) as string },
    });
    Object.assign(env.ARCHIVE, bucket);
    expect(await eraseArchive(env, objectId(id))).toBe(1);
    expect(await keysOf(id)).toEqual([]);
    expect(await call("GET", path)).toMatchObject({
      status: 409,
      body: {
        type: "urn:durachart:problem:state-not-kept",
        detail: expect.stringMatching(
          /entries 1 to 15 .*journal\/[0-9a-f]+\/1\/1-15\.ndjson.*gone/,
        ) as string,
      },
    });
    expect((await call("GET", `${path}?after=15`)).status).toBe(200);
  });
});

it("Archiving is for operators, of what there is, and needs a bucket", async () => {
  const id = await lived(20);
  const path = `/probes/${id}/archive`;
  expect((await call("POST", path, { as: customer })).status).toBe(403);
  expect((await call("GET", path)).status).toBe(405);
  expect((await archive(freshId())).status).toBe(404);
  for (const body of [{ keep: 0 }, { keep: 1.5 }, { keep: "1" }, { keeps: 1 }, 5]) {
    expect((await call("POST", path, { body })).status).toBe(422);
  }
  const { ARCHIVE } = env;
  (env as { ARCHIVE?: R2Bucket }).ARCHIVE = undefined as never;
  await evict(id);
  try {
    expect(await archive(id, 5)).toMatchObject({
      status: 503,
      body: {
        type: "urn:durachart:problem:not-configured",
        detail: "This deployment has no R2 bucket bound as ARCHIVE. Bind one in wrangler.toml.",
      },
    });
  } finally {
    env.ARCHIVE = ARCHIVE;
  }
  expect(defaultLimits.partEntries).toBe(2_500);
});
