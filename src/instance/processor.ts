import { ProblemError, refusal } from "../contract/problem.ts";
import type { ParentLink, SendRequest, StartRequest } from "../contract/requests.ts";
import type { FirstAnswer, Outcome } from "../contract/view.ts";
import { backoff } from "../egress/timing.ts";
import { Quarantined } from "../kernel/errors.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import { begin, settle, step, type Settlement, type Step } from "../kernel/step.ts";
import { reviveEvent } from "../kernel/restoring.ts";
import type { Timer } from "../kernel/timers.ts";
import type { AlarmClock } from "./alarm-clock.ts";
import { beginAgain } from "./begin-again.ts";
import { decide, firstAnswer, type Decision } from "./decide.ts";
import { deferredEvent, fileLate, MAX_DEFERRED, takeDeferred } from "./deferral.ts";
import { checkHops } from "./hops.ts";
import { load, nextDue, type Live } from "./live.ts";
import { LoopGuard } from "./loop-guard.ts";
import { bookEffects, keep, record, type Happening, type Recorded } from "./recorder.ts";
import type { EffectRow, JournalRow, Store } from "./store.ts";
import {
  dueTimer,
  hasTimer,
  NO_TIMERS,
  postponeTimer,
  shownEvent,
  takeTimer,
} from "./timer-book.ts";

/** Tries of a timer or a result that the chart throws on, before a person is needed. */
const MAX_INTERNAL_TRIES = 5;

/** Timers that may fire in one run of the alarm; the rest follows at once. */
const MAX_TIMERS_A_RUN = 500;

/** What a committed transaction leaves to do: show the entries, run the work. */
export type AfterCommit = (live: Live, entries: JournalRow[], started: EffectRow[]) => void;

export interface ProcessorOptions {
  storage: Pick<DurableObjectStorage, "transactionSync">;
  store: Store;
  alarm: AlarmClock;
  workflows: ReadonlyMap<string, RegisteredWorkflow>;
  /** Milliseconds since the epoch. */
  clock: () => number;
  afterCommit: AfterCommit;
  /** What else the alarm is to ring for: never by default. */
  alsoDue?: (live: Live) => number;
}

export interface SendResult {
  live: Live;
  outcome: Outcome;
  first?: FirstAnswer;
}

/**
 * Everything that changes an instance. Each happening is one synchronous transaction: dedupe,
 * journal, state, timers, outgoing work and the alarm hold together or not at all.
 */
export class Processor {
  readonly #storage: ProcessorOptions["storage"];
  readonly #clock: () => number;
  readonly #store: Store;
  readonly #alarm: AlarmClock;
  readonly #workflows: ReadonlyMap<string, RegisteredWorkflow>;
  readonly #afterCommit: AfterCommit;
  readonly #alsoDue: NonNullable<ProcessorOptions["alsoDue"]>;
  readonly #loops = new LoopGuard();
  #live: Live | undefined;

  constructor(options: ProcessorOptions) {
    this.#storage = options.storage;
    this.#store = options.store;
    this.#alarm = options.alarm;
    this.#workflows = options.workflows;
    this.#clock = options.clock;
    this.#afterCommit = options.afterCommit;
    this.#alsoDue = options.alsoDue ?? (() => Infinity);
  }

  /**
   * The instance as it is now, or undefined where none was started.
   *
   * @throws Quarantined where the deployment can't take the stored state
   */
  current(): Live | undefined {
    if (this.#live === undefined && this.#store.exists()) {
      this.#live = load(this.#store, this.#workflows);
    }
    return this.#live;
  }

  /** Why inner work waits, where the instance runs in a loop. */
  get loop(): string | undefined {
    return this.#loops.why(this.#clock());
  }

  /** When the instance next has something to do by itself; Infinity for never. */
  due(live: Live): number {
    const due = Math.max(nextDue(live), this.#loops.until(this.#clock()));
    return Math.min(due, this.#alsoDue(live));
  }

  /** @throws ProblemError id-in-use where it was started with something else, or the event is refused */
  start(request: StartRequest, now: number): { created: boolean; live: Live } {
    const existing = this.current();
    const { address, caller, parent, hops = 0 } = request;
    checkHops(hops);
    if (existing !== undefined) {
      if (existing.identity.startFingerprint === request.fingerprint) {
        return { created: false, live: existing };
      }
      throw refusal(
        "id-in-use",
        `${address.workflow}/${address.id} was started with another input or event. Use another id, or send an event to the one there is.`,
      );
    }
    const workflow = this.#workflow(address.workflow);
    const live = this.#commit(() => {
      const identity = {
        ...address,
        version: workflow.version,
        epoch: 1,
        createdAt: now,
        startFingerprint: request.fingerprint,
        jurisdiction: caller.jurisdiction ?? null,
        parent: parent === undefined ? null : JSON.stringify(parent),
      };
      this.#store.create(identity);
      const first = begin(workflow.machine, request.input);
      const blank: Live = {
        identity,
        workflow,
        machine: first.state,
        texts: new Map(),
        timers: NO_TIMERS,
        effects: new Map(),
        deferred: [],
        sizes: new Map(),
        seq: 0,
        updatedAt: now,
      };
      const started: Happening = {
        type: "durachart.started",
        data: request.input,
        outcome: "applied",
        by: caller.subject,
        hops,
      };
      const recorded = [record(this.#store, blank, started, first, now)];
      if (request.event !== undefined) {
        const { live: begun } = recorded[0]!;
        const decision = this.#decide(begun, request.event, { caller, hops });
        recorded.push(this.#recordDecision(begun, decision, now, null));
      }
      return recorded;
    });
    return { created: true, live };
  }

  /** @throws ProblemError not-found, forbidden, event-not-allowed, key-reused, too-many-deferred */
  send(request: SendRequest, now: number): SendResult {
    this.fireTimers(now);
    const { address, event, dedupe } = request;
    const live = this.current();
    if (live === undefined) throw notFound(address.workflow, address.id);
    try {
      checkHops(request.hops ?? 0);
      const decision = this.#decide(live, event, request);
      this.#commit(() => [this.#recordDecision(live, decision, now, dedupe ?? null)]);
      this.#takeDeferred(now);
      return { live: this.current()!, outcome: decision.happening.outcome };
    } catch (error) {
      // A repeat fails, be it refused by the state it led to or by its key: it gets the first answer.
      const first = dedupe === undefined ? undefined : firstAnswer(this.#store, dedupe, event);
      if (first === undefined) throw error;
      return { live: this.current()!, outcome: "duplicate", first };
    }
  }

  #recordDecision(
    live: Live,
    { happening, next, deferFor }: Decision,
    now: number,
    key: string | null,
  ): Recorded {
    if (deferFor === undefined) return record(this.#store, live, happening, next, now, { key });
    const row = deferredEvent(live, happening, now + deferFor);
    this.#store.insertDeferred(row);
    const deferred = [...live.deferred, row];
    return record(this.#store, live, happening, null, now, { key, deferred });
  }

  /**
   * Tries the deferred events, oldest first, until the state takes none of them; each in a transaction
   * of its own. Should the process die before, waking up does it. What an instance that has come to its
   * end still keeps is filed as late.
   */
  #takeDeferred(now: number): void {
    const failed = new Set<number>();
    for (let live = this.current(); live !== undefined; live = this.current()) {
      const current = live;
      const [oldest] = current.deferred;
      if (oldest === undefined) return;
      if (current.machine.snapshot.status !== "active") {
        this.#commit(() => [fileLate(this.#store, current, oldest, now)]);
        continue;
      }
      try {
        const taken = takeDeferred(current, failed);
        if (taken === null) return;
        this.#commit(() => [taken(this.#store, now)]);
        // The state is another now.
        failed.clear();
      } catch (error) {
        // It stays where it is: the next state may take it, or its time ends.
        const { seq, cause } = error as { seq?: number; cause?: unknown };
        if (seq === undefined) throw error;
        const { workflow, id } = current.identity;
        console.warn(`${workflow}/${id}: the deferred event of seq ${seq} failed`, cause);
        failed.add(seq);
        this.#live = undefined;
      }
    }
  }

  /**
   * Fires what is due, oldest first, each in a transaction of its own. One that the chart throws on
   * is put off and, after five tries, left blocked; the others go on. Deferred events whose time is up
   * are filed as late.
   */
  fireTimers(now: number): void {
    for (let fired = 0; fired < MAX_TIMERS_A_RUN; fired++) {
      const live = this.current();
      if (live === undefined) return;
      const due = dueTimer(live.timers, now);
      // A timer that was due before lets the state take what is deferred in time.
      const late = live.deferred.find(({ until }) => until <= now && !(due && due.at <= until));
      if (late !== undefined) {
        this.#commit(() => [fileLate(this.#store, live, late, now)]);
        continue;
      }
      if (due === undefined || !this.#loops.admits(live, now)) return;
      try {
        this.#commit(() => {
          const event = reviveEvent(live.machine, due.event);
          const next = step(live.machine, event, due.target);
          const timers = takeTimer(this.#store, live.timers, due);
          const outcome = next.taken ? "applied" : "ignored";
          const happening: Happening = { ...shownEvent(due), by: "timer", outcome, hops: 0 };
          return [record(this.#store, live, happening, next, now, { timers })];
        });
      } catch (error) {
        this.#postponeTimer(due, error, now);
        continue;
      }
      this.#takeDeferred(now);
    }
  }

  /** Brings an actor's result to the machine; drops it where nobody waits for it any more. */
  settle(row: EffectRow, result: Settlement, now: number): void {
    const live = this.current();
    if (live === undefined || !live.effects.has(row.key)) return;
    if (!this.#loops.admits(live, now)) {
      const due = this.#loops.until(now);
      // From here on tries are counted of settling, not of running.
      const attempt = row.result === null ? 0 : row.attempt;
      this.update({ ...row, status: "settling", attempt, due, result: JSON.stringify(result) });
      return;
    }
    try {
      this.#commit(() => {
        const taken = settle(live.machine, row.key, result);
        if (taken === null) return [this.#change(live, { remove: [row.key] }, now)];
        return [this.#recordSettlement(live, row, result, taken, now)];
      });
    } catch (error) {
      const failures = row.result === null ? 1 : row.attempt + 1;
      const isBlocked = failures >= MAX_INTERNAL_TRIES;
      this.update({
        ...row,
        status: isBlocked ? "parked" : "settling",
        attempt: failures,
        due: now + backoff(failures),
        error: messageOf(error),
        result: JSON.stringify(result),
      });
      return;
    }
    this.#takeDeferred(now);
  }

  #recordSettlement(live: Live, row: EffectRow, result: Settlement, next: Step, now: number) {
    const { id } = JSON.parse(row.payload) as { id: string };
    const happening: Happening = {
      type: `xstate.${"error" in result ? "error" : "done"}.actor.${id}`,
      data: "error" in result ? result.error : result.output,
      outcome: next.taken ? "applied" : "ignored",
      by: "actor",
      hops: row.hops,
    };
    return record(this.#store, live, happening, next, now, { finished: row.key });
  }

  /** The outcome of an instance that is an actor of this one. @returns false where nobody waits for it */
  takeOutcome({ key, epoch }: ParentLink, result: Settlement, now: number): boolean {
    const row = this.current()?.effects.get(key);
    if (row?.kind !== "instance" || row.epoch !== epoch || row.status === "parked") return false;
    if (row.status !== "settling") this.settle(row, result, now);
    return true;
  }

  /** Forgets work that is done. */
  finish(key: number): void {
    this.#changeEffects({ remove: [key] });
  }

  /** Keeps a new try, lease or error of some work. */
  update(row: EffectRow): void {
    this.#changeEffects({ put: row });
  }

  /** Leases and runs what waits for nothing any more; after a restart, deferred events too. */
  startWaiting(now: number): void {
    this.#takeDeferred(now);
    this.#changeEffects({});
  }

  #changeEffects(changes: Parameters<typeof bookEffects>[2]): void {
    const live = this.current();
    if (live === undefined) return;
    this.#commit(() => [this.#change(live, changes, this.#clock())]);
  }

  #change(live: Live, changes: Parameters<typeof bookEffects>[2], now: number): Recorded {
    const { effects, started } = bookEffects(this.#store, live, changes, now);
    return { live: { ...live, effects }, entry: null, started };
  }

  /** As `decide`; what threw may have altered the context in place: what is stored is the truth. */
  #decide(...arguments_: Parameters<typeof decide>): Decision {
    const [live] = arguments_;
    let decision: Decision;
    try {
      decision = decide(...arguments_);
    } catch (error) {
      if (!(error instanceof ProblemError)) this.#live = undefined;
      throw error;
    }
    if (decision.deferFor !== undefined && live.deferred.length >= MAX_DEFERRED) {
      throw refusal(
        "too-many-deferred",
        `${live.identity.workflow}/${live.identity.id} keeps ${MAX_DEFERRED} deferred events already. Send "${decision.happening.type}" again later.`,
      );
    }
    return decision;
  }

  #postponeTimer(timer: Timer, error: unknown, now: number): void {
    const live = this.current();
    // What was thrown after its commit can't call it back.
    if (live === undefined || !hasTimer(live.timers, timer)) return;
    const failures = (timer.failures ?? 0) + 1;
    const { retryAt: _, ...rest } = timer;
    const postponed: Timer = { ...rest, failures, error: messageOf(error) };
    if (failures < MAX_INTERNAL_TRIES) postponed.retryAt = now + backoff(failures);
    this.#commit(() => {
      const kept = { ...live, timers: postponeTimer(this.#store, live.timers, postponed) };
      keep(this.#store, kept);
      return [{ live: kept, entry: null, started: [] }];
    });
  }

  /** One transaction. Memory follows only when it has committed; on a throw it is read afresh. */
  #commit(change: () => Recorded[]): Live {
    const alarmBefore = this.#alarm.at;
    let done: Recorded[];
    try {
      done = this.#storage.transactionSync(() => {
        const changed = change();
        const again = beginAgain(this.#store, changed.at(-1)!.live, this.#clock());
        if (again !== null) changed.push(again);
        this.#alarm.noLaterThan(this.due(changed.at(-1)!.live));
        return changed;
      });
    } catch (error) {
      this.#alarm.restore(alarmBefore);
      this.#store.forget();
      this.#live = undefined;
      throw error;
    }
    const { live } = done.at(-1)!;
    this.#live = live;
    // What one happening started another may have ended.
    const started = done.flatMap((one) => one.started).filter(({ key }) => live.effects.has(key));
    const { epoch } = live.identity;
    const last = done.findLast((one) => one.live.identity.epoch !== epoch);
    const entriesOf = (of: Live): JournalRow[] =>
      done.flatMap((one) => (one.live.identity.epoch === of.identity.epoch && one.entry) || []);
    // What brought an epoch to its end belongs to it.
    if (last !== undefined) this.#afterCommit(last.live, entriesOf(last.live), []);
    this.#afterCommit(live, entriesOf(live), started);
    return live;
  }

  #workflow(key: string): RegisteredWorkflow {
    const workflow = this.#workflows.get(key);
    if (workflow === undefined) throw new Quarantined(key, "this deployment has no such workflow");
    return workflow;
  }
}

export function notFound(workflow: string, id: string): ProblemError {
  return refusal("not-found", `There is no ${workflow}/${id}. Start it first.`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
