import colors from "picocolors";
import { CommandLineMistake, parseOptions, tellMistake } from "../../src/cli/command-line.ts";
import { fuzz, routesWith, type FuzzReport, type Tally } from "./run.ts";

/** `npm run fuzz`: malformed requests for every route of the shop; see docs/reliability.md. */
async function main(): Promise<void> {
  const { values } = parseOptions({
    options: {
      requests: { type: "string", default: "10000" },
      seed: { type: "string", default: String(Date.now() % 1_000_000) },
      only: { type: "string", default: "" },
    },
  });
  const [seed, requests] = [Number(values.seed), Number(values.requests)];
  if (!Number.isSafeInteger(seed) || !Number.isSafeInteger(requests) || requests < 1) {
    throw new CommandLineMistake("--seed and --requests are whole numbers, --requests at least 1.");
  }
  const routes = await routesWith(values.only);
  if (routes.length === 0) {
    const names = `"GET /:workflow/:id", say`;
    throw new CommandLineMistake(`No route has "${values.only}" in its name (${names}).`);
  }
  console.log(`seed ${colors.bold(seed)}, ${requests} requests a route`);
  const report = await fuzz({ seed, requests, routes, isAll: values.only === "", progress });
  if (process.stdout.isTTY) process.stdout.write("\r\x1b[K");
  print(report, seed);
  process.exitCode = report.findings.length === 0 ? 0 : 1;
}

let shown = 0;

function progress(done: number, of: number, perSecond: number): void {
  const line = `${Math.floor((done / of) * 100)} % of ${of} requests, ${Math.round(perSecond)} a second`;
  if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K${colors.cyan(line)}`);
  else if (done - shown >= of / 10) {
    shown = done;
    console.log(line);
  }
}

function print({ tallies, findings, memory, seconds }: FuzzReport, seed: number): void {
  const all = new Map<string, number>();
  for (const tally of tallies) {
    console.log(`${tally.route.padEnd(56)} ${histogram(tally.statuses)} ${share(tally)}`);
    for (const [name, count] of tally.statuses) all.set(name, (all.get(name) ?? 0) + count);
  }
  const total = sum(tallies, ({ total }) => total);
  const withObject = tallies.filter(({ hasObject }) => hasObject);
  const reached = sum(withObject, ({ reached }) => reached);
  const asked = sum(withObject, ({ total }) => total);
  console.log(`\n${colors.bold("all".padEnd(56))} ${histogram(all)}`);
  console.log(
    `  * by the runtime's HTTP parser, before any Worker; cut: left in the middle by who asked`,
  );
  console.log(
    `${total} requests in ${seconds.toFixed(0)} s, ${Math.round(total / seconds)} a second; of ${asked} for ${withObject.length} routes with an object behind them ${reached} (${percent(reached, asked)}) came to it`,
  );
  for (const { before, after, most } of memory) {
    console.log(
      `memory of the runtime: ${megabytes(before)} half-way, ${megabytes(after)} at the end (at most ${megabytes(most)} more)`,
    );
  }
  for (const { where, what, request } of findings) {
    console.log(`\n${colors.red(colors.bold(where))}: ${what}`);
    if (request !== undefined) console.log(`  ${request}`);
  }
  const verdict =
    findings.length === 0
      ? colors.green("nothing found")
      : colors.red(`${findings.length} findings`);
  console.log(`${verdict}; again: npm run fuzz -- --seed ${seed}`);
}

function histogram(statuses: ReadonlyMap<string, number>): string {
  return [...statuses]
    .toSorted(([a], [b]) => a.localeCompare(b))
    .map(([name, count]) => `${(name.startsWith("5") ? colors.yellow : colors.dim)(name)} ${count}`)
    .join("  ");
}

const share = ({ reached, total, hasObject }: Tally): string =>
  hasObject ? colors.cyan(`→ ${percent(reached, total)}`) : "";
const percent = (part: number, whole: number): string =>
  `${((part / Math.max(1, whole)) * 100).toFixed(0)} %`;
const megabytes = (bytes: number): string => `${Math.round(bytes / 1_000_000)} MB`;

function sum<Item>(items: readonly Item[], count: (item: Item) => number): number {
  return items.reduce((total, item) => total + count(item), 0);
}

await main().catch(tellMistake);
