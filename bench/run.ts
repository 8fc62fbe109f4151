import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import colors from "picocolors";
import { root } from "../src/cli/fleet.ts";
import { makeSecrets, mintToken } from "../src/cli/secrets.ts";
import { count } from "./count.ts";
import { httpRequest, load, sendAll, type Figures, type NextRequest } from "./load.ts";
import { bundle, startServer } from "./workerd.ts";

const ROUNDS = 3;
const window = { warmUp: 400, measured: 2_000 };

/** Orders of one client: few enough to stay within the window's objects, enough not to be one. */
const ORDERS_A_CLIENT = 8;

interface Scenario {
  name: string;
  clients: number;
  isHot: boolean;
}

const scenarios: Scenario[] = [
  { name: "1 client", clients: 1, isHot: false },
  { name: "32 clients", clients: 32, isHot: false },
  { name: "32 clients, one hot order", clients: 32, isHot: true },
];

const secrets = makeSecrets();
const token = await mintToken(secrets, { subject: "bench", roles: ["operator"] }, "1h");
let runs = 0;

/** Orders of their own for every round, and clients that add a pizza and take it away again. */
async function prepare({ clients, isHot }: Scenario, ports: readonly number[], length: number) {
  runs += 1;
  const names = Array.from({ length: isHot ? 1 : clients * ORDERS_A_CLIENT }, (_, index) =>
    ["r", runs, index].join("-"),
  );
  // The bare object makes its table at the first request: both sides have theirs before the clock starts.
  const starts = names.map((id) => httpRequest("/orders", token, JSON.stringify({ id })));
  const firsts = names.map((id) => httpRequest(`/orders/${id}/events`, token, `{"type":"x"}`));
  await sendAll(ports[0]!, starts);
  await sendAll(ports[1]!, firsts);
  return Array.from({ length: clients }, (_, client) => {
    const own = isHot
      ? names
      : names.slice(client * ORDERS_A_CLIENT, (client + 1) * ORDERS_A_CLIENT);
    return clientOf(own, client, length);
  });
}

function clientOf(orders: readonly string[], client: number, length: number): NextRequest {
  let sent = 0;
  const item = `c${client}`;
  const add = JSON.stringify({ type: "ADD_PIZZA", data: { id: item, pizza: "mango-tango" } });
  const remove = JSON.stringify({ type: "REMOVE_PIZZA", data: { id: item } });
  return () => {
    // Every order is added to in turn, then every order is taken from.
    const order = orders[sent % orders.length]!;
    const body = Math.floor(sent / orders.length) % 2 === 0 ? add : remove;
    sent += 1;
    const headers = {
      "Idempotency-Key": `${runs}-${client}-${sent}`,
      "Answer-Bytes": String(length),
    };
    return httpRequest(`/orders/${order}/events`, token, body, headers);
  };
}

const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!;
const medians = (rounds: Figures[]): Figures => ({
  perSecond: median(rounds.map(({ perSecond }) => perSecond)),
  p50: median(rounds.map(({ p50 }) => p50)),
  p99: median(rounds.map(({ p99 }) => p99)),
});

/**
 * How long our answer to a plain event is; the bare object is asked to answer as much. On the hot
 * order every client has an item half of the time, so the box is half full.
 */
async function answerLength(port: number, { clients, isHot }: Scenario): Promise<number> {
  const id = `sample-${isHot}-${clients}`;
  const item = (name: string) => ({ type: "ADD_PIZZA", data: { id: name, pizza: "mango-tango" } });
  const others = Array.from({ length: isHot ? clients / 2 - 1 : 0 }, (_, index) =>
    httpRequest(`/orders/${id}/events`, token, JSON.stringify(item(`c${index}`))),
  );
  await sendAll(port, [httpRequest("/orders", token, JSON.stringify({ id })), ...others]);
  const response = await fetch(`http://127.0.0.1:${port}/orders/${id}/events`, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    body: JSON.stringify(item("last")),
  });
  return (await response.text()).length;
}

const scripts = mkdtempSync("/tmp/durachart-bench-");
const print = (columns: string[]) =>
  console.log(columns.map((text, i) => (i === 0 ? text.padEnd(36) : text.padStart(13))).join(""));
const milliseconds = (value: number) => `${value.toFixed(2)} ms`;

try {
  console.log(colors.bold("\nBundling …"));
  const ours = bundle("src/worker.ts", join(scripts, "ours"));
  const bare = bundle("bench/bare.ts", join(scripts, "bare"));

  for (const [medium, folder] of [
    ["tmpfs", "/dev/shm"],
    ["disk", root],
  ] as const) {
    const place = mkdtempSync(join(folder, ".durachart-bench-"));
    const { variables } = secrets;
    const us = await startServer({
      ...{ folder: join(place, "ours"), script: ours, variables },
      ...{ className: "Instance", binding: "INSTANCES" },
    });
    const them = await startServer({
      ...{ folder: join(place, "bare"), script: bare, variables },
      ...{ className: "BareObject", binding: "OBJECTS" },
    });
    console.log(
      colors.bold(`\nAcknowledged events a second on ${medium}`) +
        colors.dim(`  (medians of ${ROUNDS} alternating rounds of ${window.measured / 1_000} s)`),
    );
    print(["", "Durachart", "p50", "p99", "bare object", "p50", "p99", "ratio"]);
    for (const scenario of scenarios) {
      const rounds: [Figures[], Figures[]] = [[], []];
      const length = await answerLength(us.port, scenario);
      for (let round = 0; round < ROUNDS; round++) {
        const ports = [us.port, them.port];
        for (const [side, port] of ports.entries()) {
          const clients = await prepare(scenario, ports, length);
          rounds[side]!.push(await load(port, clients, window));
        }
      }
      const [a, b] = [medians(rounds[0]), medians(rounds[1])];
      print([
        `${scenario.name} (${length} B)`,
        ...[`${a.perSecond}/s`, milliseconds(a.p50), milliseconds(a.p99)],
        ...[`${b.perSecond}/s`, milliseconds(b.p50), milliseconds(b.p99)],
        (a.perSecond / b.perSecond).toFixed(2),
      ]);
    }
    await us.close();
    await them.close();
    rmSync(place, { recursive: true, force: true });
  }

  console.log(
    colors.bold("\nWhat one order writes") + colors.dim("  (rows, and one for each alarm set)"),
  );
  const { counts, bytes } = await count(scripts, secrets);
  print(["", "", "rows", "commits"]);
  for (const { what, rows, commits } of counts) {
    console.log(what.padEnd(44) + String(rows).padStart(16) + String(commits).padStart(16));
  }
  console.log(`\nA finished order's database: ${bytes} bytes\n`);
} finally {
  rmSync(scripts, { recursive: true, force: true });
}
