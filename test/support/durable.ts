import type { AnyStateMachine } from "xstate";
import { journalKeys as keysOf } from "../../src/audit/keys.ts";
import { AlarmClock } from "../../src/contract/alarm-clock.ts";
import type { Verification } from "../../src/contract/verification.ts";
import { verifyJournal } from "../../src/instance/verifying.ts";
import { keys } from "./audited.ts";
import { Archiver } from "../../src/instance/archiver.ts";
import type { Live } from "../../src/instance/live.ts";
import { Processor } from "../../src/instance/processor.ts";
import { Store, type JournalRow } from "../../src/instance/store.ts";
import { registerWorkflows } from "../../src/kernel/registration.ts";
import { imagined, momentAt } from "../../src/instance/moment-view.ts";
import { rewind } from "../../src/instance/operations/rewind.ts";
import { viewerOf } from "../../src/instance/sight.ts";
import { simulate } from "../../src/instance/simulate.ts";
import { actorsOf } from "../../src/instance/view.ts";
import type { Simulation, Supposition } from "../../src/contract/simulation.ts";
import type { JournalledChanges, Moment } from "../../src/kernel/moment.ts";
import { keyOf } from "../../src/kernel/xstate.ts";
import { defaultLimits } from "../../src/contract/limits.ts";
import { MemoryStorage, ProcessDied } from "../../src/testing/memory-storage.ts";
import { MemoryBucket } from "./memory-bucket.ts";
import { show, type Shown } from "./oracle.ts";

const address = { tenant: "t", workflow: "charts", id: "c" };
const caller = { tenant: "t", subject: "s", roles: ["operator"] };

/** The durable engine's transactions on a real SQLite, with crashes where the test wants them. */
export class Durable {
  now = 0;
  readonly emitted: unknown[] = [];
  readonly commands: unknown[] = [];
  readonly #storage = new MemoryStorage();
  readonly #workflows;
  #processor: Processor;
  #store!: Store;
  /** What was stored at the time, by seq. */
  readonly #seen = new Map<number, Moment>();
  #events = 0;
  #crashIn: { when: "before" | "after"; commits: number } | undefined;
  /** Where the archive goes. */
  readonly bucket = new MemoryBucket();
  /** How often the process died. */
  crashes = 0;

  constructor(machine: AnyStateMachine) {
    const world = (): Promise<void> => Promise.resolve();
    this.#workflows = registerWorkflows({ charts: { machine, effects: { routes: { world } } } });
    this.#storage.onCommit = (when) => {
      if (this.#crashIn?.when !== when || --this.#crashIn.commits > 0) return;
      this.#crashIn = undefined;
      throw new ProcessDied("crash");
    };
    this.#processor = this.#newProcess();
  }

  start(): void {
    this.#attempt(() =>
      this.#processor.start({ address, caller, input: undefined, fingerprint: "f" }, this.now),
    );
    this.#collect();
  }

  /** The process dies at a commit to come, the next by default. */
  crash(when: "before" | "after", commits = 1): void {
    this.#crashIn = { when, commits };
  }

  /** Sends an event, again and again until it is answered, and some more if it is to be duplicated. */
  send(type: string, duplicates: number): void {
    const dedupe = `e${this.#events++}`;
    for (let time = 0; time <= duplicates; time++) {
      this.#attempt(() => {
        try {
          this.#processor.send({ address, caller, event: { type }, dedupe }, this.now);
        } catch (error) {
          const { type: name } = (error as { problem?: { type: string } }).problem ?? {};
          // What the chart never names is refused at once; XState ignores it.
          if (!/:(event-not-allowed|unknown-event)$/.test(name ?? "")) throw error;
        }
      });
    }
    this.#collect();
  }

  advance(to: number): void {
    for (;;) {
      const at = Math.min(...this.#live.timers.inline.map((timer) => timer.at), this.#nextRow());
      if (at > to) break;
      this.now = Math.max(this.now, at);
      this.#attempt(() => this.#processor.fireTimers(this.now));
      const stuck = this.#live.timers.inline.find((timer) => timer.failures !== undefined);
      if (stuck !== undefined) throw new Error(stuck.error);
      this.#collect();
      if (this.#live.machine.snapshot.status !== "active") break;
    }
    this.now = to;
  }

  /** Brings the `index`th of the running promises to its end, `deliveries` times over. */
  settle(
    index: number,
    result: { output: unknown } | { error: { name: string; message: string } },
    deliveries: number,
  ): void {
    const key = this.promises()[index]!;
    for (let time = 0; time < deliveries; time++) {
      this.#attempt(() => {
        const row = this.#live.effects.get(key);
        if (row !== undefined) this.#processor.settle(row, result, this.now);
      });
    }
    const row = this.#live.effects.get(key);
    if (row?.error) throw new Error(row.error);
    this.#collect();
  }

  promises(): number[] {
    const { actors } = this.#live.machine;
    const found: number[] = [];
    const walk = (key: number): void => {
      const actor = actors.get(key);
      if (actor?.snapshot.status !== "active") return;
      if (actor.kind === "promise") found.push(key);
      const children = (actor.snapshot["children"] ?? {}) as Record<string, { sessionId: string }>;
      for (const child of Object.values(children)) if (child) walk(keyOf(child));
    };
    walk(0);
    return found;
  }

  /** Forgets everything that isn't stored. */
  restart(): void {
    this.#storage.revive();
    this.#processor = this.#newProcess();
  }

  show(): Shown {
    const { machine } = this.#live;
    return show(
      machine.snapshot as never,
      (ref) => machine.actors.get(keyOf(ref))?.snapshot as never,
    );
  }

  get seq(): number {
    return this.#live.seq;
  }

  get #live(): Live {
    return this.#processor.current()!;
  }

  #nextRow(): number {
    return this.#live.timers.rows.next[0]?.at ?? Infinity;
  }

  /** Back to what it was after an entry, with the time that it then had before it. */
  rewind(to: number): void {
    this.#attempt(() => {
      const live = this.#live;
      const around = { processor: this.#processor, live, caller, reason: undefined, now: this.now };
      rewind(around, { to, shiftTimers: true });
    });
    this.#collect();
  }

  /** When an entry was written. */
  timeOf(seq: number): number {
    return this.#store.journal(seq - 1, 1)[0]!.at;
  }

  /** What would happen, from the present or from a moment of the past. */
  simulate(suppose: readonly Supposition[], from?: number): Simulation {
    const live =
      from === undefined
        ? imagined(this.#store, this.#workflows)
        : momentAt(this.#store, this.#workflows, this.#store.identity(), from);
    return simulate(live, suppose, { viewer: viewerOf(live, caller), now: this.now });
  }

  /** What has happened since an entry, and what it is now, in a simulation's words. */
  since(seq: number): { steps: object[]; result: object } {
    const entries = this.#store.journal(seq, 10_000);
    const { machine, timers } = this.#live;
    const { status, value, context } = machine.snapshot;
    const all = [...timers.inline, ...this.#store.timers.all()];
    return {
      steps: entries.map(({ type, outcome, state, changes }) => {
        const { inner } = JSON.parse(changes) as JournalledChanges;
        const effects = (inner?.effects ?? []).map(([, kind, name]) => `${kind} ${name}`);
        return { type, outcome, state: JSON.parse(state) as unknown, effects };
      }),
      result: {
        ...{ status, state: value, context: JSON.parse(JSON.stringify(context)) as unknown },
        timers: all.map(({ event, at }) => `${event.type} ${at}`).toSorted(),
      },
    };
  }

  /** A running promise's id, after those of the actors above it. */
  idOf(index: number): string {
    const key = this.promises()[index]!;
    const inOrder = [...this.#live.machine.actors.keys()].filter((one) => one !== 0);
    const place = inOrder.toSorted((a, b) => a - b).indexOf(key);
    return actorsOf(this.#live)[place]!.id;
  }

  /** What the history says of every moment, and what was stored then. */
  moments(): { seq: number; told: Moment | null; seen: Moment }[] {
    return [...this.#seen].map(([seq, seen]) => ({
      ...{ seq, seen },
      told: this.#store.moments.at(seq),
    }));
  }

  /** Archives, again and again until it is through without the process dying. */
  async archive(keep: number, partEntries: number): Promise<void> {
    for (;;) {
      try {
        await this.#archiver(partEntries).archive(keep);
        if (!this.#storage.isDead) break;
      } catch (error) {
        if (!(error instanceof ProcessDied) && !this.#storage.isDead) throw error;
      }
      this.crashes += 1;
      this.restart();
    }
    // There were fewer commits than until the crash.
    this.#crashIn = undefined;
  }

  /** All that is stored is gone, as when the instance is erased. */
  erase(): void {
    const tables = this.#storage.sql
      .exec("SELECT name FROM sqlite_master WHERE type = 'table'")
      .toArray() as { name: string }[];
    for (const { name } of tables) this.#storage.sql.exec(`DROP TABLE ${name}`);
    this.#store.forget();
  }

  /** An entry is gone that should not be. */
  lose(seq: number): void {
    this.#storage.sql.exec("DELETE FROM journal WHERE seq = ?", seq);
  }

  get archivedThrough(): number {
    return this.#store.archived.through();
  }

  /** Whether all of it is what was written. */
  verify(): Promise<Verification> {
    const archiver = this.#archiver();
    return verifyJournal(this.#store, (identity, part) => archiver.part(identity, part), null);
  }

  history(): Promise<JournalRow[]> {
    return this.#archiver().read(0, 1_000_000);
  }

  /** As `moments`, of what is archived too. */
  momentsAnywhere(): Promise<{ seq: number; told: Moment | null; seen: Moment }[]> {
    const archiver = this.#archiver();
    return Promise.all(
      [...this.#seen].map(async ([seq, seen]) => ({
        ...{ seq, seen },
        told: (await archiver.momentAt(seq))?.moment ?? null,
      })),
    );
  }

  /** What the history knows of how the promises that run now were asked for. */
  runs(): number {
    return this.#store.search.runs(new Set(this.promises()), this.seq).size;
  }

  #archiver(partEntries = 1): Archiver {
    const { transactions } = this.#processor;
    const limits = { ...defaultLimits, partEntries };
    const clock = () => this.now;
    return new Archiver({
      ...{ transactions, limits, clock, objectId: "o" },
      env: { ARCHIVE: this.bucket },
    });
  }

  #see(): void {
    const { seq, body } = this.#store.state();
    const { machine, timers } = JSON.parse(body) as Pick<Moment, "machine" | "timers">;
    const actors = this.#store.actors
      .all()
      .map((text) => JSON.parse(text) as Moment["actors"][number]);
    const all = [...timers, ...this.#store.timers.all()].toSorted((a, b) => a.key - b.key);
    this.#seen.set(seq, { machine, actors, timers: all });
  }

  /** Until it is through without the process dying. */
  #attempt(act: () => void): void {
    for (;;) {
      try {
        act();
        if (!this.#storage.isDead) {
          if (this.#store.exists()) this.#see();
          return;
        }
      } catch (error) {
        if (!(error instanceof ProcessDied) && !this.#storage.isDead) throw error;
      }
      this.crashes += 1;
      this.restart();
    }
  }

  /** Takes what is to leave, in the order in which it would. */
  #collect(): void {
    for (;;) {
      const row = [...this.#live.effects.values()].find(({ kind }) => kind !== "actor");
      if (row === undefined) return;
      const payload = JSON.parse(row.payload) as { params?: unknown };
      if (row.kind === "emit") this.emitted.push(payload);
      else this.commands.push(payload.params);
      this.#processor.finish(row.key);
    }
  }

  #newProcess(): Processor {
    const context = { storage: this.#storage, waitUntil: () => {} } as never;
    const journalKeys = () => keysOf({ JOURNAL_KEYS: keys.first });
    this.#store = new Store(this.#storage.sql as never, { momentsEvery: 7, journalKeys });
    return new Processor({
      storage: this.#storage,
      store: this.#store,
      alarm: new AlarmClock(context),
      workflows: this.#workflows,
      clock: () => this.now,
      afterCommit: () => {},
    });
  }
}
