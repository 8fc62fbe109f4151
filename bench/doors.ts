import { join } from "node:path";
import { mintToken, type Secrets } from "../src/cli/secrets.ts";
import { httpRequest, load, sendAll } from "./load.ts";
import { bundle, startServer } from "./workerd.ts";

const ROUNDS = 9;
const window = { warmUp: 500, measured: 1_500 };
/** More than a round can send. */
const FRESH = 6_000;

interface Door {
  what: string;
  /** Milliseconds. */
  p50: number;
  /** Beside the door that looks at nothing; the median of pairs of neighbouring rounds. */
  ratio: number;
}

const doors = [
  { what: "nobody is looked at", path: "/open", isFresh: false },
  { what: "a token seen before", path: "/closed", isFresh: false },
  { what: "a token never seen", path: "/closed", isFresh: true },
] as const;

const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!;

/** What verifying a token adds to an event, at one client; one server, its doors in turn. */
export async function doorsOf(folder: string, scripts: string, secrets: Secrets): Promise<Door[]> {
  const script = bundle("bench/doors-worker.ts", join(scripts, "doors"));
  const { variables } = secrets;
  const classes = { className: "Instance", binding: "INSTANCES" };
  let minted = 0;
  // Of the same person in the same second two tokens would be the same one.
  const mint = () =>
    mintToken(secrets, { subject: `bench-${(minted += 1)}`, roles: ["operator"] }, "1h");
  const token = await mint();
  const rounds = new Map(doors.map((door) => [door, [] as number[]]));
  for (let round = 0; round < ROUNDS; round++) {
    const server = await startServer({ folder, script, variables, ...classes });
    let sent = 0;
    try {
      await sendAll(server.port, [httpRequest("/orders", token, JSON.stringify({ id: "o" }))]);
      // Each first as often as last.
      for (const door of round % 2 === 0 ? doors : doors.toReversed()) {
        const fresh = door.isFresh ? await Promise.all(Array.from({ length: FRESH }, mint)) : [];
        const figures = await load(
          server.port,
          [
            () => {
              sent += 1;
              const type = sent % 2 === 1 ? "ADD_PIZZA" : "REMOVE_PIZZA";
              const data = { id: "p", ...(sent % 2 === 1 ? { pizza: "mango-tango" } : {}) };
              const body = JSON.stringify({ type, data });
              return httpRequest(`${door.path}/orders/o/events`, fresh.pop() ?? token, body);
            },
          ],
          window,
        );
        rounds.get(door)!.push(figures.p50);
      }
    } finally {
      await server.close();
    }
  }
  const open = rounds.get(doors[0])!;
  return doors.map((door) => {
    const own = rounds.get(door)!;
    return {
      what: door.what,
      p50: median(own),
      ratio: median(own.map((p50, round) => p50 / open[round]!)),
    };
  });
}
