import { join } from "node:path";
import { mintToken, type Secrets } from "../src/cli/secrets.ts";
import { httpRequest, sendAll, Timed } from "./load.ts";
import { bundle, startServer } from "./workerd.ts";

const ROUNDS = 3;
/** Events through each door, of one round; the first of them warm it up. */
const EVENTS = 1_500;
const WARM_UP = 300;

interface Door {
  what: string;
  /** Milliseconds. */
  p50: number;
  /** Beside the door that looks at nothing; the median of the rounds. */
  ratio: number;
}

const doors = [
  { what: "nobody is looked at", path: "/open", isFresh: false },
  { what: "a token seen before", path: "/closed", isFresh: false },
  { what: "a token never seen", path: "/closed", isFresh: true },
] as const;

const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!;

/**
 * What verifying a token adds to an event, at one client. The doors of one server take turns, event by
 * event: whatever else the machine does meets them all.
 */
export async function doorsOf(folder: string, scripts: string, secrets: Secrets): Promise<Door[]> {
  const script = bundle("bench/doors-worker.ts", join(scripts, "doors"));
  const { variables } = secrets;
  const classes = { className: "Instance", binding: "INSTANCES" };
  let minted = 0;
  // Of the same person in the same second two tokens would be the same one.
  const mint = () =>
    mintToken(secrets, { subject: `bench-${(minted += 1)}`, roles: ["operator"] }, "1h");
  const token = await mint();
  const rounds: { p50: number; ratio: number }[][] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const server = await startServer({ folder, script, variables, ...classes });
    try {
      await sendAll(server.port, [httpRequest("/orders", token, JSON.stringify({ id: "o" }))]);
      // Before the clock starts: to sign one takes longer than to verify it.
      const fresh = await Promise.all(Array.from({ length: EVENTS }, mint));
      const took = new Map(doors.map((door) => [door, [] as number[]]));
      const client = new Timed(server.port);
      let sent = 0;
      for (let event = 0; event < EVENTS; event++) {
        // Each first as often as last.
        for (const door of event % 2 === 0 ? doors : doors.toReversed()) {
          sent += 1;
          const type = sent % 2 === 1 ? "ADD_PIZZA" : "REMOVE_PIZZA";
          const data = { id: "p", ...(sent % 2 === 1 ? { pizza: "mango-tango" } : {}) };
          const path = `${door.path}/orders/o/events`;
          const shown = door.isFresh ? fresh.pop()! : token;
          const request = httpRequest(path, shown, JSON.stringify({ type, data }));
          const milliseconds = await client.send(request);
          if (event >= WARM_UP) took.get(door)!.push(milliseconds);
        }
      }
      client.close();
      const [open, ...closed] = [...took.values()].map(median);
      rounds.push([open!, ...closed].map((p50) => ({ p50, ratio: p50 / open! })));
    } finally {
      await server.close();
    }
  }
  return doors.map(({ what }, index) => {
    const own = rounds.map((round) => round[index]!);
    return {
      what,
      p50: median(own.map(({ p50 }) => p50)),
      ratio: median(own.map(({ ratio }) => ratio)),
    };
  });
}
