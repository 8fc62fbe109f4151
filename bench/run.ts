import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import colors from "picocolors";
import { root } from "../src/cli/fleet.ts";
import { makeSecrets, mintToken } from "../src/cli/secrets.ts";
import { count } from "./count.ts";
import { doorsOf } from "./doors.ts";
import { grown } from "./grown.ts";
import { httpRequest, load, sendAll, type Figures, type NextRequest } from "./load.ts";
import { past } from "./past.ts";
import { bundle, startServer } from "./workerd.ts";

const ROUNDS = 3;
const window = { warmUp: 700, measured: 1_500 };

/** Orders of one client: few enough to stay within the window's objects, enough not to be one. */
const ORDERS_A_CLIENT = 8;

interface Scenario {
  name: string;
  clients: number;
  isHot: boolean;
  /** How long our answer to an event is; the bare object is asked to answer as much. */
  answerBytes: number;
}

const scenarios: Scenario[] = [
  { name: "1 client", clients: 1, isHot: false, answerBytes: 0 },
  { name: "32 clients", clients: 32, isHot: false, answerBytes: 0 },
  { name: "32 clients, one hot order", clients: 32, isHot: true, answerBytes: 0 },
];

const secrets = makeSecrets();
const token = await mintToken(secrets, { subject: "bench", roles: ["operator"] }, "1h");
let runs = 0;

interface Side {
  name: string;
  script: string;
  className: string;
  binding: string;
  /** What makes an order exist before the clock starts. */
  begin(id: string): string;
}

/**
 * One round of one side: a server of its own, since the runtime closes objects that were idle for
 * ten seconds, and a server that still holds those of an earlier round stalls over it.
 */
async function round(side: Side, scenario: Scenario, folder: string): Promise<Figures> {
  runs += 1;
  const { script, className, binding } = side;
  const { variables } = secrets;
  const server = await startServer({ folder, script, className, binding, variables });
  try {
    const { clients, isHot } = scenario;
    const orders = isHot ? 1 : clients * ORDERS_A_CLIENT;
    const names = Array.from({ length: orders }, (_, index) => `o-${index}`);
    await sendAll(
      server.port,
      names.map((id) => side.begin(id)),
    );
    const sources = Array.from({ length: clients }, (_, client) => {
      const own = names.slice(client * ORDERS_A_CLIENT, (client + 1) * ORDERS_A_CLIENT);
      return clientOf(isHot ? names : own, client, scenario.answerBytes);
    });
    return await load(server.port, sources, window);
  } finally {
    await server.close();
  }
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

/** On the hot order every client has an item half of the time, so the box is half full. */
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
  const ours: Side = {
    ...{ name: "Durachart", className: "Instance", binding: "INSTANCES" },
    script: bundle("bench/ours-worker.ts", join(scripts, "ours")),
    begin: (id) => httpRequest("/orders", token, JSON.stringify({ id })),
  };
  const bare: Side = {
    ...{ name: "bare object", className: "BareObject", binding: "OBJECTS" },
    script: bundle("bench/bare.ts", join(scripts, "bare")),
    begin: (id) =>
      httpRequest(`/orders/${id}/events`, token, `{"type":"x"}`, { "Answer-Bytes": "20" }),
  };
  const sample = await startServer({
    ...{ folder: join(scripts, "sample"), script: ours.script, variables: secrets.variables },
    ...{ className: ours.className, binding: ours.binding },
  });
  for (const one of scenarios) one.answerBytes = await answerLength(sample.port, one);
  await sample.close();

  for (const [medium, folder] of [
    ["tmpfs", "/dev/shm"],
    ["disk", root],
  ] as const) {
    const place = mkdtempSync(join(folder, ".durachart-bench-"));
    console.log(
      colors.bold(`\nAcknowledged events a second on ${medium}`) +
        colors.dim(`  (medians of ${ROUNDS} alternating rounds of ${window.measured / 1_000} s)`),
    );
    print(["", ours.name, "p50", "p99", bare.name, "p50", "p99", "ratio"]);
    for (const scenario of scenarios) {
      const rounds = new Map<Side, Figures[]>([
        [ours, []],
        [bare, []],
      ]);
      for (let done = 0; done < ROUNDS; done++) {
        for (const [side, figures] of rounds) {
          figures.push(await round(side, scenario, join(place, "server")));
        }
      }
      const [a, b] = [...rounds.values()].map(medians) as [Figures, Figures];
      print([
        `${scenario.name} (${scenario.answerBytes} B)`,
        ...[`${a.perSecond}/s`, milliseconds(a.p50), milliseconds(a.p99)],
        ...[`${b.perSecond}/s`, milliseconds(b.p50), milliseconds(b.p99)],
        (a.perSecond / b.perSecond).toFixed(2),
      ]);
    }
    rmSync(place, { recursive: true, force: true });
  }

  console.log(
    colors.bold("\nWhat one order writes") + colors.dim("  (rows, and one for each alarm set)"),
  );
  const old = await grown("/dev/shm/.durachart-bench-grown", scripts, secrets);
  const { p50, p99, bytesAnEvent, eventBytes } = await past(
    "/dev/shm/.durachart-bench-past",
    scripts,
    secrets,
  );
  const { counts, bytes } = await count(scripts, secrets);
  print(["", "", "rows", "commits"]);
  for (const { what, rows, commits } of counts) {
    console.log(what.padEnd(44) + String(rows).padStart(16) + String(commits).padStart(16));
  }
  console.log(`\nA finished order's database: ${bytes} bytes`);
  console.log(
    `Storage an event in a journal of 10,000: ${bytesAnEvent} bytes, of which the event itself ${eventBytes}`,
  );
  console.log(
    `What an order was after any of 10,000 events: ${milliseconds(p50)} (p50), ${milliseconds(p99)} (p99)`,
  );
  const doors = await doorsOf("/dev/shm/.durachart-bench-doors", scripts, secrets);
  console.log(colors.bold("\nWhat verifying adds to an event") + colors.dim("  (1 client, tmpfs)"));
  for (const { what, p50, ratio } of doors) print([what, milliseconds(p50), ratio.toFixed(2)]);
  console.log(
    colors.bold("\nThe next event of an instance that has grown") +
      colors.dim("  (1 client, tmpfs)"),
  );
  for (const { what, p50, ratio } of old) {
    print([what, milliseconds(p50), ratio.toFixed(2)]);
  }
  console.log();
} finally {
  rmSync(scripts, { recursive: true, force: true });
}
