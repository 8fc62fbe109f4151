import { join } from "node:path";
import { mintToken, type Secrets } from "../src/cli/secrets.ts";
import { httpRequest, sendAll, Timed } from "./load.ts";
import { bundle, startServer } from "./workerd.ts";

const EVENTS = 10_000;
const TIMERS = 10_000;
const MEASURED = 1_500;

export interface Grown {
  what: string;
  /** Milliseconds, the median of one client's events. */
  p50: number;
  /** Beside a new instance in the same run. */
  ratio: number;
}

/**
 * How long the next event takes for an instance with a long journal, and for one with many timers,
 * beside a new one: asked in turn, by one client, of one server.
 */
export async function grown(place: string, scripts: string, secrets: Secrets): Promise<Grown[]> {
  const token = await mintToken(secrets, { subject: "bench", roles: ["operator"] }, "1h");
  const server = await startServer({
    folder: join(place, "grown"),
    script: bundle("bench/grown-worker.ts", join(scripts, "grown")),
    ...{ className: "Instance", binding: "INSTANCES", variables: secrets.variables },
  });
  try {
    const post = (path: string, body: unknown, key?: string): string =>
      httpRequest(path, token, JSON.stringify(body), key ? { "Idempotency-Key": key } : {});
    const event = (id: string, key: string): string =>
      post(`/grown/${id}/events`, { type: "COUNT" }, key);
    await sendAll(server.port, [
      ...["new", "journal", "timers"].map((id) => post("/grown", { id })),
      post("/grown/timers/events", { type: "SET_TIMERS", data: { count: TIMERS } }),
      ...Array.from({ length: EVENTS }, (_, index) => event("journal", `before-${index}`)),
    ]);
    const client = new Timed(server.port);
    const samples = new Map<string, number[]>([
      ["new", []],
      ["journal", []],
      ["timers", []],
    ]);
    for (let turn = 0; turn < MEASURED; turn++) {
      for (const [id, times] of samples) times.push(await client.send(event(id, `${id}-${turn}`)));
    }
    client.close();
    const p50 = (id: string) => samples.get(id)!.toSorted((a, b) => a - b)[MEASURED >> 1]!;
    const names = { new: "a new one", journal: "10,000 events", timers: "10,000 timers" };
    return Object.entries(names).map(([id, what]) => ({
      ...{ what, p50: p50(id), ratio: p50(id) / p50("new") },
    }));
  } finally {
    await server.close();
  }
}
