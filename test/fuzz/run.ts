import * as fc from "fast-check";
import { asCurl, type Answer, type Ask } from "./ask.ts";
import { malformed } from "./malformed.ts";
import type { World } from "./parts.ts";
import { brokenUploads, rawOf } from "./raw.ts";
import { watchers } from "./watchers.ts";
import { hasReached, isOfLocalRuntime, wrongWith } from "./oracle.ts";
import { differences, populate, stateAtRest } from "./population.ts";
import { allRoutes, type Route } from "./routes.ts";
import { hangUp, send } from "./send.ts";
import { isAlive, openShop, residentBytes, type FuzzedShop } from "./shop.ts";
import { checkTooMany } from "./too-many.ts";
import { asksOf } from "./within.ts";

export interface FuzzOptions {
  seed: number;
  /** Malformed requests for each route. */
  requests: number;
  routes: readonly Route[];
  /** Whether those are all that there are. */
  isAll: boolean;
  /** Called now and then with what was done so far. */
  progress: (done: number, of: number, perSecond: number) => void;
}

/** Something that must not be. */
export interface Finding {
  where: string;
  what: string;
  /** The smallest request that shows it, as a command. */
  request?: string;
}

/** Statuses of a route, and how many came to an object. */
export interface Tally {
  route: string;
  statuses: Map<string, number>;
  reached: number;
  total: number;
  /** Whether there is an object behind it at all. */
  hasObject: boolean;
}

export interface FuzzReport {
  tallies: Tally[];
  findings: Finding[];
  /** Bytes of the runtime's process, of each shop that was run. */
  memory: { before: number; after: number; most: number }[];
  seconds: number;
}

/**
 * Requests of one shop. The charts that it is looked at by have deadlines of half an hour: by then it must
 * have been looked at again.
 */
const MOST_REQUESTS = 800_000;

/** Routes that are fuzzed at the same time, each with one request under way. */
const AT_ONCE = 32;
/**
 * Requests after which memory is measured for the first time: V8 keeps of each Worker what it once needed,
 * and only then needs no more.
 */
const WARM_UP = 250_000;
/** Objects that nobody asks sleep after ten seconds; what they held is then free. */
const REST = 12_000;

/**
 * What the process may have more at the end than half-way, in bytes: what the collector hasn't got round to.
 * Of 250,000 requests and more each may leave no 500 bytes behind.
 */
const MOST_GROWTH = 120_000_000;

/** The routes whose `METHOD /path` contains a text. Once a process: modules make their routers once. */
export async function routesWith(text: string): Promise<Route[]> {
  return (await allRoutes()).filter(({ method, path }) => `${method} ${path}`.includes(text));
}

/** @param options.seed the same requests for the same number */
export async function fuzz(options: FuzzOptions): Promise<FuzzReport> {
  const { routes } = options;
  const shops = Math.max(1, Math.ceil((routes.length * options.requests) / MOST_REQUESTS));
  const size = Math.ceil(routes.length / shops);
  const report: FuzzReport = { tallies: [], findings: [], memory: [], seconds: 0 };
  for (let from = 0; from < routes.length; from += size) {
    const progress = (done: number, _: number, perSecond: number): void =>
      options.progress(from * options.requests + done, routes.length * options.requests, perSecond);
    const part = routes.slice(from, from + size);
    const { tallies, findings, memory, seconds } = await fuzzOneShop(part, {
      ...{ ...options, progress },
      seed: options.seed + 2 * from,
    });
    report.tallies.push(...tallies);
    report.findings.push(...findings);
    report.memory.push(...memory);
    report.seconds += seconds;
  }
  const asked = report.tallies.filter(({ hasObject }) => hasObject);
  const reached = asked.reduce((sum, tally) => sum + tally.reached, 0);
  const total = asked.reduce((sum, tally) => sum + tally.total, 0);
  if (options.isAll && reached * 2 < total) {
    const what = `${reached} of ${total} requests came to an object`;
    report.findings.push({ where: "the fuzzer", what });
  }
  return report;
}

async function fuzzOneShop(routes: readonly Route[], options: FuzzOptions): Promise<FuzzReport> {
  const shop = await openShop();
  try {
    return await fuzzShop(shop, routes, options);
  } finally {
    hangUp();
    await shop.close();
  }
}

async function fuzzShop(
  shop: FuzzedShop,
  routes: readonly Route[],
  { seed, requests, progress }: FuzzOptions,
): Promise<FuzzReport> {
  const { base, pid, secrets } = shop;
  const population = await populate(base, secrets);
  const world: World = { population, secrets };
  const tallies = routes.map((route) => emptyTally(route));
  const before = await stateAtRest(base, population);
  const memory = { before: 0, after: 0, most: MOST_GROWTH };
  const report = (seconds: number): FuzzReport => ({
    tallies,
    findings,
    memory: [memory],
    seconds,
  });
  const findings: Finding[] = [];
  const began = performance.now();
  let done = 0;
  const all = routes.length * requests;
  const half = Math.ceil(requests / 2);
  const isMemoryCounted = routes.length * half >= WARM_UP;
  const halves = [
    { numRuns: half, seed },
    { numRuns: requests - half, seed: seed + routes.length },
  ].filter(({ numRuns }) => numRuns > 0);
  const found = new Set<number>();
  for (const [part, { numRuns, seed }] of halves.entries()) {
    if (part === 1) {
      if (isMemoryCounted) await rest();
      memory.before = residentBytes(pid);
    }
    await eachAtOnce(routes, async (route, index) => {
      const tally = tallies[index]!;
      const heard = (ask: Ask, answer: Answer): void => {
        note(tally, ask, answer);
        done += 1;
        if (done % 1_000 === 0) progress(done, all, (done / (performance.now() - began)) * 1_000);
      };
      if (found.has(index) || !isAlive(pid)) return;
      const finding = await attempt(route, { seed: seed + index, numRuns, heard });
      if (finding === null) return;
      found.add(index);
      findings.push({ where: tally.route, ...finding });
    });
  }
  const seconds = (performance.now() - began) / 1_000;
  if (!isAlive(pid)) {
    findings.push({ where: "the runtime", what: `process ${pid} has ended` });
    return report(seconds);
  }
  findings.push(...(await checkTooMany(base, population)));
  const after = await stateAtRest(base, population);
  findings.push(
    ...differences(before, after).map((what) => ({
      where: "the state",
      what: `is another: ${what}`,
    })),
  );
  if (isMemoryCounted) await rest();
  memory.after = residentBytes(pid);
  const growth = memory.after - memory.before;
  if (isMemoryCounted && growth > MOST_GROWTH) {
    findings.push({ where: "the runtime", what: `has ${growth} bytes more in memory` });
  }
  return report(seconds);

  async function attempt(
    route: Route,
    {
      heard,
      ...parameters
    }: { seed: number; numRuns: number; heard: (ask: Ask, answer: Answer) => void },
  ): Promise<Omit<Finding, "where"> | null> {
    let last = "";
    const property = fc.asyncProperty(allAsks(route, world), async (ask) => {
      let wrong: string | null;
      try {
        const answer = await send(base, population, ask);
        heard(ask, answer);
        wrong = wrongWith(ask, answer);
        if (wrong !== null) wrong = `${wrong}: ${answer.status} ${answer.text.slice(0, 500)}`;
      } catch (error) {
        wrong = (error as Error).message;
      }
      if (wrong === null) return;
      last = wrong;
      throw new Error(wrong);
    });
    const result = await fc.check(property, { ...parameters, skipEqualValues: false });
    if (!result.failed) return null;
    const [ask] = result.counterexample ?? [];
    return { what: last, ...(ask === undefined ? {} : { request: asCurl(base, ask) }) };
  }
}

/** Of all requests of a route: most come to its object, the rest its doors must see. */
function allAsks(route: Route, world: World): fc.Arbitrary<Ask> {
  const within = asksOf(route, world);
  const { method, path } = route;
  const isStream = method === "GET" && path.endsWith("/stream");
  const isUpload = method !== "ALL" && path.endsWith("/payloads");
  return fc.oneof(
    { weight: 64, arbitrary: isStream ? fc.oneof(within, watchers) : within },
    { weight: 30, arbitrary: malformed(within) },
    {
      weight: 6,
      arbitrary: isUpload ? fc.oneof(rawOf(within), brokenUploads(method)) : rawOf(within),
    },
  );
}

/** Behind these there is none: they tell what is always the same, or refuse a method. */
const withoutObject = /^ALL |^OPTIONS |\/healthz$|^GET \/machines\/|jwks\.json$|\/tickets$/;

function emptyTally({ method, path }: Route): Tally {
  const route = `${method} ${path}`;
  return {
    route,
    statuses: new Map(),
    reached: 0,
    total: 0,
    hasObject: !withoutObject.test(route),
  };
}

function note(tally: Tally, ask: Ask, answer: Answer): void {
  const { status, cut = false } = answer;
  const byRuntime = answer.byRuntime === true || isOfLocalRuntime(ask, answer);
  const name = cut ? "cut" : status === 0 ? "hung up" : `${status}${byRuntime ? "*" : ""}`;
  tally.statuses.set(name, (tally.statuses.get(name) ?? 0) + 1);
  tally.total += 1;
  if (hasReached(ask, answer)) tally.reached += 1;
}

async function eachAtOnce<Item>(
  items: readonly Item[],
  act: (item: Item, index: number) => Promise<void>,
): Promise<void> {
  const waiting = [...items.entries()];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      await act(next[1], next[0]);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

const rest = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, REST));
