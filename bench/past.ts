import { join } from "node:path";
import { mintToken, tenant, type Secrets } from "../src/cli/secrets.ts";
import { httpRequest, sendAll, Timed } from "./load.ts";
import type { MeterReading } from "./metered.ts";
import { bundle, startServer } from "./workerd.ts";

const EVENTS = 10_000;
const LOOKS = 2_000;

export interface Past {
  /** Milliseconds in which an order says what it was after one of its events. */
  p50: number;
  p99: number;
  /** What the journal and all beside it take, for an event of `eventBytes`. */
  bytesAnEvent: number;
  eventBytes: number;
}

/** What it takes to know what an order was at any time: to look, and to keep. */
export async function past(place: string, scripts: string, secrets: Secrets): Promise<Past> {
  const token = await mintToken(secrets, { subject: "bench", roles: ["operator"] }, "1h");
  const server = await startServer({
    folder: join(place, "past"),
    script: bundle("bench/metered.ts", join(scripts, "past")),
    ...{ className: "Instance", binding: "INSTANCES", variables: secrets.variables },
  });
  const meter = `http://127.0.0.1:${server.port}/meter/${encodeURIComponent(`${tenant}/orders/long`)}`;
  const databaseBytes = async (): Promise<number> =>
    ((await (await fetch(meter)).json()) as MeterReading).databaseBytes;
  const add = JSON.stringify({ type: "ADD_PIZZA", data: { id: "p", pizza: "mango-tango" } });
  const remove = JSON.stringify({ type: "REMOVE_PIZZA", data: { id: "p" } });
  try {
    await sendAll(server.port, [httpRequest("/orders", token, JSON.stringify({ id: "long" }))]);
    const before = await databaseBytes();
    await sendAll(
      server.port,
      Array.from({ length: EVENTS }, (_, index) =>
        httpRequest("/orders/long/events", token, index % 2 === 0 ? add : remove, {
          "Idempotency-Key": `e-${index}`,
        }),
      ),
    );
    const after = await databaseBytes();
    const client = new Timed(server.port);
    const times: number[] = [];
    for (let look = 0; look < LOOKS; look++) {
      // In steps that meet every place between two of the states that are kept whole.
      const seq = 1 + ((look * 7_919) % EVENTS);
      times.push(
        await client.send(httpRequest(`/orders/long/history/${seq}`, token, "", {}, "GET")),
      );
    }
    client.close();
    const sorted = times.toSorted((a, b) => a - b);
    return {
      ...{ p50: sorted[LOOKS >> 1]!, p99: sorted[Math.floor(LOOKS * 0.99)]! },
      bytesAnEvent: Math.round((after - before) / EVENTS),
      eventBytes: Math.round((add.length + remove.length) / 2),
    };
  } finally {
    await server.close();
  }
}
