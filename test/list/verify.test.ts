import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Verification } from "../../src/contract/verification.ts";
import type { Projection } from "../../src/contract/projection.ts";
import { archive } from "../support/archiving.ts";
import {
  call,
  customer,
  freshId,
  history,
  operate,
  send,
  setTime,
  start,
  stubOf,
  type Answer,
} from "../support/client.ts";
import { consume, rowOf } from "../support/listed.ts";
import { lister, resetLister } from "../support/lister.ts";
import { resetWorld } from "../support/probe.ts";

const began = 1_800_000_000_000;

/** What goes to the list's queue; nothing reaches it but by `tell`. */
let told: Projection[];

beforeEach(() => {
  resetWorld();
  setTime(began);
  told = [];
  lister.send = (projection) => Promise.resolve(void told.push(projection));
});

afterEach(() => {
  vi.useRealTimers();
  resetLister();
});

const stub = (id: string) => stubOf("probes", id);
const verify = (id: string): Promise<Answer<Verification>> => call("GET", `/probes/${id}/verify`);
const kinds = ({ body }: Answer<Verification>) => body.problems.map(({ seq, kind }) => [seq, kind]);

/** Brings the list up to date with an instance. */
async function tell(id: string): Promise<void> {
  setTime(Date.now() + 2_000);
  await runDurableObjectAlarm(stub(id));
  await consume(told.splice(0));
}

/** Somebody writes into the instance's database, while it sleeps. */
async function tamper(id: string, ...statements: string[]): Promise<void> {
  await runInDurableObject(stub(id), (_instance, { storage }) => {
    for (const statement of statements) storage.sql.exec(statement);
  });
  await evictDurableObject(stub(id));
}

async function counted(times: number): Promise<string> {
  const id = await start("probes");
  for (let n = 0; n < times; n++) await send("probes", id, { type: "COUNT" }, { key: `k${n}` });
  return id;
}

describe("GET …/verify", () => {
  it("says that a journal is intact, and what the list knows of it", async () => {
    const id = await counted(4);
    expect(await verify(id)).toMatchObject({
      status: 200,
      body: { status: "intact", epoch: 1, from: 1, to: 5, entries: 5, archived: 0, listed: null },
    });
    await tell(id);
    const { head } = (await verify(id)).body;
    expect(await rowOf(stub(id).id.toString())).toMatchObject({ epoch: 1, seq: 5, head });
    await send("probes", id, { type: "COUNT" });
    const { body } = await verify(id);
    expect(body).toMatchObject({ status: "intact", to: 6, listed: { epoch: 1, seq: 5, head } });
    expect(body.head).not.toBe(head);
  });

  it("is for operators, of instances that are there", async () => {
    const id = await counted(1);
    expect(await call("GET", `/probes/${id}/verify`, { as: customer })).toMatchObject({
      status: 403,
    });
    expect(await call("GET", `/probes/${id}/verify`, { as: null })).toMatchObject({ status: 401 });
    expect(await call("POST", `/probes/${id}/verify`)).toMatchObject({ status: 405 });
    expect(await verify(freshId())).toMatchObject({ status: 404 });
    const other = { tenant: "elsewhere", subject: "eve", roles: ["operator"] };
    expect(await call("GET", `/probes/${id}/verify`, { as: other })).toMatchObject({ status: 404 });
  });

  it("writes nothing", async () => {
    const id = await counted(3);
    await verify(id);
    expect(await history("probes", id)).toHaveLength(4);
    expect(told).toEqual([]);
  });

  it("finds an entry that was altered, and a state that was", async () => {
    const id = await counted(4);
    await tamper(id, "UPDATE journal SET by = 'mallory' WHERE seq = 3");
    expect(kinds(await verify(id))).toEqual([[3, "altered"]]);
    const other = await counted(4);
    await tamper(other, `UPDATE state SET body = replace(body, '"count":4', '"count":400')`);
    expect(kinds(await verify(other))).toEqual([[5, "state"]]);
  });

  it("finds by the list's word that an end was cut off, and all else mended", async () => {
    const id = await counted(2);
    const early = await runInDurableObject(
      stub(id),
      (_instance, { storage }) =>
        storage.sql.exec("SELECT seq, body, head FROM state").toArray()[0]!,
    );
    await send("probes", id, { type: "COUNT" }, { key: "last" });
    await tell(id);
    await runInDurableObject(stub(id), (_instance, { storage }) => {
      const { seq, body, head } = early;
      storage.sql.exec("DELETE FROM journal WHERE seq > ?", seq);
      storage.sql.exec("DELETE FROM inbox WHERE seq > ?", seq);
      storage.sql.exec("UPDATE state SET seq = ?, body = ?, head = ?", seq, body, head);
    });
    await evictDurableObject(stub(id));
    expect(kinds(await verify(id))).toEqual([[3, "cut-off"]]);
    await env.LIST.prepare("UPDATE instances SET head = 'k1.x' WHERE object = ?")
      .bind(stub(id).id.toString())
      .run();
    expect(kinds(await verify(id))).toEqual([[3, "cut-off"]]);
  });

  it("goes through what is archived", async () => {
    const id = await counted(12);
    await archive(id, 4);
    expect(await verify(id)).toMatchObject({
      body: { status: "intact", entries: 13, archived: 9 },
    });
    const object = stub(id).id.toString();
    const { objects } = await env.ARCHIVE.list({ prefix: `journal/${object}/` });
    const { key } = objects[0]!;
    const text = await (await env.ARCHIVE.get(key))!.text();
    await env.ARCHIVE.put(key, text.replace('"by":"olga"', '"by":"mallory"'));
    const { body } = await verify(id);
    expect(body).toMatchObject({ status: "broken", problems: [{ seq: 1, kind: "altered" }] });
    await env.ARCHIVE.delete(key);
    expect((await verify(id)).body.problems[0]).toMatchObject({ seq: 1, kind: "archive" });
  });

  it("finds that a tombstone was put there", async () => {
    const id = await counted(1);
    await send("probes", id, { type: "END" });
    expect((await operate("probes", id, "erase", { force: true })).status).toBe(200);
    const buried = await runInDurableObject(stub(id), (_instance, { storage }) =>
      storage.sql.exec("SELECT by, seal FROM burial").toArray(),
    );
    expect(buried).toMatchObject([{ by: "olga", seal: expect.stringMatching(/^k1\./) as string }]);
    expect(await verify(id)).toMatchObject({ body: { status: "intact" } });
    await tamper(id, "UPDATE burial SET by = 'nobody'");
    expect(kinds(await verify(id))).toEqual([[0, "tombstone"]]);
  });

  it("takes names of any letters as they are stored", async () => {
    const id = freshId();
    const as = { ...customer, subject: 'a\u0000b "\u00e9\ud83c\udf55', roles: ["operator"] };
    expect((await call("POST", "/probes", { as, body: { id } })).status).toBe(201);
    await send("probes", id, { type: "COUNT" }, { as });
    await evictDurableObject(stub(id));
    expect(await verify(id)).toMatchObject({ body: { status: "intact", to: 2 } });
    const halved = { ...as, subject: "half \ud800" };
    await send("probes", id, { type: "COUNT" }, { as: halved });
    await operate("probes", id, "pause");
    await send("probes", id, { type: "COUNT" }, { as: halved });
    await evictDurableObject(stub(id));
    expect((await verify(id)).body.problems).toEqual([]);
  });

  it("is not answered while the list can't be asked", async () => {
    const id = await counted(1);
    const prepare = vi.spyOn(Object.getPrototypeOf(env.LIST) as D1Database, "prepare");
    prepare.mockImplementation(() => {
      throw new Error("D1 is down");
    });
    const answer = await verify(id);
    prepare.mockRestore();
    expect(answer).toMatchObject({ status: 503 });
  });
});
