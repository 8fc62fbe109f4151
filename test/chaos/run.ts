import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bundle } from "../../bench/workerd.ts";
import { root } from "../../src/cli/fleet.ts";
import { makeSecrets, mintToken } from "../../src/cli/secrets.ts";
import type { JournalEntry, View } from "../../src/contract/view.ts";
import {
  Client,
  journalOf,
  listOf,
  mailOf,
  startInstance,
  viewIfThere,
  viewOf,
  Watcher,
  type Target,
} from "./clients.ts";
import { check, type Verdict } from "./history.ts";
import { checkList, differences, lagOf, type Lag } from "./listing.ts";
import { randomFrom } from "../support/random.ts";
import { replaceOnce, sabotages, type Sabotage } from "./sabotage.ts";
import { Server } from "./server.ts";
import { Sink } from "./sink.ts";

export interface ChaosOptions {
  seed: number;
  kills: number;
  /** How far apart kills may be, in milliseconds. */
  between: number;
  /** Events that must have been acknowledged before the load ends. */
  events: number;
  /** Milliseconds after which a run whose process died is taken over; the real 30 s by default. */
  lease?: number;
  sabotage?: Sabotage;
  say?(text: string): void;
}

/** What was under way when the process was killed. */
interface Interrupted {
  request: number;
  actor: number;
  delivery: number;
  alarm: number;
}

export interface ChaosReport extends Verdict {
  kills: number;
  interrupted: Interrupted;
  /** Answers that never reached the client, which then sent its event again. */
  lostAnswers: number;
  reconnects: number;
  /** How late the latest timer was that no kill held up, in milliseconds. */
  latest: number;
  /** Messages that arrived more than once. */
  repeats: number;
  seconds: number;
  /** Instances in the list at the end. */
  listed: number;
  /** How long after an event the list knew of it, where no kill came between; milliseconds. */
  lag: Lag;
}

const CLIENTS = 24;
const INSTANCES = 32;
const WATCHED = 6;

/** Instances that are started right before each kill, and never hear of anything again. */
const QUIET = 12;

/** Milliseconds until the list must have everything, once everything is at rest. */
const LIST_PATIENCE = 20_000;

/** Timers that are set for one moment, so that a kill can hit the alarm that fires them. */
const VOLLEY = 150;

/** The tables as all migrations together make them. */
function listSchema(): string {
  const folder = join(root, "migrations/list");
  const files = readdirSync(folder).toSorted();
  return files.map((file) => readFileSync(join(folder, file), "utf8")).join("\n");
}

/** The runtime under load, killed again and again, and then held to its promises. */
export async function chaos(options: ChaosOptions): Promise<ChaosReport> {
  const began = performance.now();
  const folder = mkdtempSync(join(tmpdir(), "durachart-chaos-"));
  const random = randomFrom(options.seed);
  const sink = new Sink(randomFrom(options.seed + 1));
  const secrets = makeSecrets();
  const server = await Server.start({
    folder,
    script: build(folder, options),
    sinkPort: await sink.listen(),
    variables: {
      ...secrets.variables,
      LIST_SCHEMA: listSchema(),
      SEED: String(options.seed + 2),
    },
  });
  const target: Target = {
    url: () => `http://127.0.0.1:${server.port}`,
    token: await mintToken(secrets, { subject: "chaos", roles: ["operator"] }, "1h"),
  };
  const run = new Run(options, random, server, sink, target);
  try {
    await run.load();
    const verdict = await run.verdict();
    const seconds = Math.round((performance.now() - began) / 1_000);
    return { ...verdict, ...run.figures(), kills: options.kills, seconds };
  } finally {
    run.stop();
    await server.kill();
    sink.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

function build(folder: string, { sabotage, lease }: ChaosOptions): string {
  let script = bundle("test/chaos/worker.ts", join(folder, "bundle"));
  if (sabotage !== undefined) {
    const { find, put } = sabotages[sabotage];
    script = replaceOnce(script, find, put);
  }
  if (lease === undefined) return script;
  // The dead-man's alarm is as long as a lease.
  script = replaceOnce(script, /var LEASE = 3e4;/g, `var LEASE = ${lease};`);
  return replaceOnce(script, /var DEAD_MAN = 3e4;/g, `var DEAD_MAN = ${lease};`);
}

class Run {
  readonly #options: ChaosOptions;
  readonly #random: () => number;
  readonly #server: Server;
  readonly #sink: Sink;
  readonly #target: Target;
  readonly #instances = Array.from({ length: INSTANCES }, (_, index) => `i-${index}`);
  readonly #clients: Client[];
  readonly #watchers: Watcher[];
  readonly #interrupted: Interrupted = { request: 0, actor: 0, delivery: 0, alarm: 0 };
  readonly #killedAt: { from: number; to: number }[] = [];
  readonly #volleys: Client;
  readonly #quiet: string[] = [];
  #latest = 0;
  #listed = 0;
  #lag: Lag = { median: NaN, percentile99: NaN };
  #isOver = false;

  constructor(
    options: ChaosOptions,
    random: () => number,
    server: Server,
    sink: Sink,
    target: Target,
  ) {
    this.#options = options;
    this.#random = random;
    this.#server = server;
    this.#sink = sink;
    this.#target = target;
    this.#clients = Array.from(
      { length: CLIENTS },
      (_, index) =>
        new Client(target, `c${index}`, this.#instances, randomFrom(options.seed + 100 + index)),
    );
    this.#volleys = new Client(target, "volley", this.#instances, random);
    this.#watchers = this.#instances
      .slice(0, WATCHED)
      .map((instance) => new Watcher(target, instance));
  }

  async load(): Promise<void> {
    await Promise.all(this.#instances.map((instance) => startInstance(this.#target, instance)));
    for (const watcher of this.#watchers) watcher.start();
    const clients = this.#clients.map((client) => client.run(() => this.#isOver));
    const failed = Promise.all(clients);
    failed.catch(() => {
      this.#isOver = true;
    });
    for (let kill = 1; kill <= this.#options.kills; kill++) {
      if (kill % 3 === 0) await this.#volley();
      else await pause(200 + this.#random() * this.#options.between);
      await this.#kill(kill);
    }
    while (this.#acknowledged() < this.#options.events && !this.#isOver) await pause(100);
    this.#isOver = true;
    await failed;
  }

  /** Sets many timers for one moment, and waits until they are firing. */
  async #volley(): Promise<void> {
    const instance = this.#instances[Math.floor(this.#random() * INSTANCES)]!;
    const at = Date.now() + 1_200;
    for (let timer = 0; timer < VOLLEY; timer++) {
      const key = `volley-${this.#volleys.acknowledged.length}-${at}`;
      const delay = at - Date.now();
      if (delay <= 100) break;
      const data = { key, id: `timer-${key}`, delay };
      await this.#volleys.send(instance, { type: "REMIND", data });
    }
    await pause(at - Date.now() + this.#random() * 15);
  }

  async #kill(number: number): Promise<void> {
    const { started, all } = this.#startQuiet(number);
    await started;
    // Some kills are aimed; the others hit instances of which the list knows nothing yet.
    if (number % 4 === 1) await this.#untilOpen(["/work"]);
    if (number % 4 === 2) await this.#untilOpen(["/told", "/counted"]);
    const { open } = this.#sink;
    const from = Date.now();
    if (this.#clients.some(({ isWaiting }) => isWaiting)) this.#interrupted.request += 1;
    if ((open.get("/work") ?? 0) > 0) this.#interrupted.actor += 1;
    if ((open.get("/told") ?? 0) + (open.get("/counted") ?? 0) > 0) this.#interrupted.delivery += 1;
    await this.#server.kill();
    await all;
    await pause(this.#random() * 100);
    await this.#server.start();
    this.#killedAt.push({ from, to: Date.now() });
    const done = `${this.#acknowledged()} events acknowledged`;
    this.#options.say?.(`kill ${number} of ${this.#options.kills}; ${done}`);
  }

  /** Until the sink is being called; not for ever, since a kill holds its lanes for a lease. */
  async #untilOpen(paths: readonly string[]): Promise<void> {
    const deadline = performance.now() + 2_000;
    const isOpen = () => paths.some((path) => (this.#sink.open.get(path) ?? 0) > 0);
    while (!isOpen() && performance.now() < deadline) await pause(1);
  }

  /** Some will be there when the kill comes, and some only half. Nothing else will bring them to mind. */
  #startQuiet(kill: number): { started: Promise<unknown>; all: Promise<unknown> } {
    const ids = Array.from({ length: QUIET }, (_, index) => `quiet-${kill}-${index}`);
    this.#quiet.push(...ids);
    const starts = ids.map((id) => startInstance(this.#target, id));
    const half = starts.slice(0, QUIET / 2);
    return { started: Promise.allSettled(half), all: Promise.allSettled(starts) };
  }

  #acknowledged(): number {
    return this.#clients.reduce((sum, { acknowledged }) => sum + acknowledged.length, 0);
  }

  /** Waits until everything has come to rest, then reads all there is to read. */
  async verdict(): Promise<Verdict> {
    this.#sink.isFaulty = false;
    this.#options.say?.("the load is over; waiting for everything to come to rest");
    const { lease = 30_000 } = this.#options;
    const views = await this.#atRest(lease * 2 + 10_000);
    const journals = new Map<string, JournalEntry[]>();
    for (const id of this.#instances) journals.set(id, await journalOf(this.#target, id));
    await this.#watchersAtHead(journals);
    for (const watcher of this.#watchers) watcher.stop();
    this.#countAlarms(journals);
    const untruths = await this.#compareList(views);
    this.#lag = lagOf(journals, (await mailOf(this.#target)).arrivals, this.#killedAt);
    const verdict = check({
      acknowledged: [...this.#clients, this.#volleys].flatMap(({ acknowledged }) => acknowledged),
      journals,
      views,
      deliveries: this.#sink.deliveries,
      watched: this.#watchers.map(({ instance, seqs }) => ({ instance, seqs })),
    });
    return { ...verdict, violations: [...verdict.violations, ...untruths.slice(0, 20)] };
  }

  /** Waits until the list has come to know of the busy ones, or for as long as it may take. */
  async #compareList(busy: ReadonlyMap<string, View>): Promise<string[]> {
    const deadline = performance.now() + LIST_PATIENCE;
    let seen = await listOf(this.#target);
    await pause(3_000);
    while (performance.now() < deadline) {
      const { left } = await mailOf(this.#target);
      seen = await listOf(this.#target);
      if (left === 0 && differences(seen.listed, busy).length === 0) break;
      await pause(250);
    }
    this.#listed = seen.listed.length;
    // To look at an object wakes it: until now the quiet ones had nothing but their own alarms.
    const views = new Map(busy);
    for (const id of this.#quiet) {
      const view = await viewIfThere(this.#target, id);
      if (view !== undefined) views.set(id, view);
    }
    return checkList({ ...seen, views });
  }

  /** @param patience milliseconds without anything becoming less */
  async #atRest(patience: number): Promise<Map<string, View>> {
    const views = new Map<string, View>();
    const isAtRest = ({ retrying, incidents, timerCount, actors, pending }: View): boolean =>
      retrying.length + incidents.length + timerCount + actors.length + pending === 0;
    let least = Infinity;
    let deadline = Infinity;
    for (;;) {
      for (const id of this.#instances) {
        const known = views.get(id);
        if (known === undefined || !isAtRest(known)) views.set(id, await viewOf(this.#target, id));
      }
      const left = [...views.values()].reduce((sum, { pending }) => sum + pending, 0);
      if (left < least) {
        least = left;
        deadline = performance.now() + patience;
      }
      if ([...views.values()].every(isAtRest) || performance.now() > deadline) return views;
      await pause(250);
    }
  }

  async #watchersAtHead(journals: ReadonlyMap<string, JournalEntry[]>): Promise<void> {
    const deadline = performance.now() + 5_000;
    const isBehind = ({ instance, seqs }: Watcher): boolean =>
      seqs.length < journals.get(instance)!.length;
    while (this.#watchers.some(isBehind) && performance.now() < deadline) await pause(50);
  }

  /** A kill hit an alarm where timers were due before it and fired only after. */
  #countAlarms(journals: ReadonlyMap<string, JournalEntry[]>): void {
    const lateness = [...journals.values()].flatMap((journal) => {
      const due = new Map<string, number>();
      return journal.flatMap(({ event, at }) => {
        const { id, delay } = (event.data ?? {}) as { id: string; delay: number };
        if (event.type === "REMIND") due.set(id, Date.parse(at) + delay);
        if (event.type !== "REMINDED") return [];
        return [{ due: due.get(id)!, fired: Date.parse(at) }];
      });
    });
    this.#interrupted.alarm = this.#killedAt.filter(({ from }) =>
      lateness.some(({ due, fired }) => due <= from && fired > from),
    ).length;
    const undisturbed = lateness.filter(
      ({ due, fired }) => !this.#killedAt.some(({ from, to }) => due <= to && fired >= from),
    );
    const late = undisturbed.map(({ due, fired }) => fired - due).toSorted((a, b) => a - b);
    this.#latest = late.at(-1) ?? 0;
  }

  figures(): Pick<
    ChaosReport,
    "interrupted" | "reconnects" | "repeats" | "lostAnswers" | "latest" | "listed" | "lag"
  > {
    const { deliveries } = this.#sink;
    return {
      interrupted: this.#interrupted,
      latest: this.#latest,
      listed: this.#listed,
      lag: this.#lag,
      lostAnswers: this.#clients.reduce((sum, { lostAnswers }) => sum + lostAnswers, 0),
      reconnects: this.#watchers.reduce((sum, { reconnects }) => sum + reconnects, 0),
      repeats: deliveries.length - new Set(deliveries.map(({ path, id }) => `${path} ${id}`)).size,
    };
  }

  stop(): void {
    this.#isOver = true;
    for (const watcher of this.#watchers) watcher.stop();
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, milliseconds)));
}
