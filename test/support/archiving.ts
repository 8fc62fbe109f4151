import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect } from "vitest";
import type { JournalEntry, View } from "../../src/index.ts";
import { Archiver } from "../../src/instance/archiver.ts";
import { Store } from "../../src/instance/store.ts";
import type { Moment } from "../../src/kernel/moment.ts";
import { type Answer, call, operator, send, start, stubOf } from "./client.ts";

/** The bucket's own methods: tests put others in their places. */
export const bucket = {
  put: env.ARCHIVE.put.bind(env.ARCHIVE),
  get: env.ARCHIVE.get.bind(env.ARCHIVE),
};

interface Operated extends View {
  operation: { name: string; changed: boolean; entries: number; through: number };
  type: string;
  detail: string;
}

export const archive = (id: string, keep?: number, workflow = "probes") =>
  call<Operated>("POST", `/${workflow}/${id}/archive`, {
    ...(keep === undefined ? {} : { body: { keep } }),
  });

export async function count(id: string, times: number, workflow = "probes"): Promise<void> {
  const address = { tenant: "tropical", workflow, id };
  const request = JSON.stringify({ address, caller: operator, event: { type: "COUNT" } });
  for (let n = 0; n < times; n++) await stubOf(workflow, id).send(request);
}

/** An instance with so many entries, of all sorts. */
export async function lived(entries: number): Promise<string> {
  const id = await start("probes");
  await send("probes", id, { type: "GROW", data: { bytes: 100 } }, { key: "first" });
  await send("probes", id, { type: "NAP" });
  await send("probes", id, { type: "REST" });
  await send("probes", id, { type: "TELL" });
  await count(id, entries - 5);
  return id;
}

export const evict = (id: string) => evictDurableObject(stubOf("probes", id));
export const objectId = (id: string, workflow = "probes") => stubOf(workflow, id).id.toString();

export async function keysOf(id: string, workflow = "probes"): Promise<string[]> {
  const prefix = `journal/${objectId(id, workflow)}/`;
  const { objects } = await env.ARCHIVE.list({ prefix });
  return objects.map(({ key }) => key.slice(prefix.length)).toSorted();
}

/** The history as clients page through it. */
export async function paged(id: string, limit: number): Promise<JournalEntry[]> {
  const found: JournalEntry[] = [];
  let path: string | undefined = `/probes/${id}/history?limit=${limit}`;
  while (path !== undefined) {
    const answer: Answer<{ entries: JournalEntry[] }> = await call("GET", path);
    const { body, headers, status } = answer;
    expect(status).toBe(200);
    found.push(...body.entries);
    path = /<(.*)>; rel="next"/.exec(headers.get("link") ?? "")?.[1];
  }
  return found;
}

export const inJournal = (id: string, workflow = "probes") =>
  runInDurableObject(stubOf(workflow, id), (_instance, { storage }) =>
    storage.sql
      .exec<{ seq: number }>("SELECT seq FROM journal ORDER BY seq")
      .toArray()
      .map(({ seq }) => seq),
  );

export const momentsOf = (id: string, from: number, to: number) =>
  runInDurableObject(stubOf("probes", id), (_instance, { storage }): (Moment | null)[] => {
    const { moments } = new Store(storage.sql);
    return range(from, to).map((seq) => moments.at(seq));
  });

export const archivedMoments = (id: string, from: number, to: number) =>
  runInDurableObject(stubOf("probes", id), async (_instance, { storage }) => {
    const store = new Store(storage.sql);
    const transactions = { store } as never;
    const archiver = new Archiver({ transactions, env, objectId: objectId(id), clock: Date.now });
    return Promise.all(range(from, to).map(async (seq) => (await archiver.momentAt(seq))?.moment));
  });

export const range = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);
