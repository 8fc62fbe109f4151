import type { RegisteredWorkflow } from "../kernel/registration.ts";
import type { Limits } from "../contract/limits.ts";
import type { AlarmClock } from "../contract/alarm-clock.ts";
import { beginAgain } from "./begin-again.ts";
import { effectsDue } from "./effect-book.ts";
import { JournalLimits } from "./journal-limits.ts";
import { expiry, load, nextDue, type Live } from "./live.ts";
import { LoopGuard } from "./loop-guard.ts";
import type { Recorded } from "./recorder.ts";
import type { EffectRow } from "./effect-table.ts";
import type { JournalRow, Store } from "./store.ts";

/** What a committed transaction leaves to do: show the entries, run the work. */
export type AfterCommit = (live: Live, entries: JournalRow[], started: EffectRow[]) => void;

export interface TransactionsOptions {
  storage: Pick<DurableObjectStorage, "transactionSync">;
  store: Store;
  alarm: AlarmClock;
  workflows: ReadonlyMap<string, RegisteredWorkflow>;
  /** Milliseconds since the epoch. */
  clock: () => number;
  afterCommit: AfterCommit;
  limits?: Limits;
  /** What else the alarm is to ring for: never by default. */
  alsoDue?: (live: Live) => number;
}

/**
 * The instance between two changes, and the one way to change it: a synchronous transaction in which
 * journal, state, timers, outgoing work and the alarm hold together or not at all.
 */
export class Transactions {
  readonly store: Store;
  readonly workflows: ReadonlyMap<string, RegisteredWorkflow>;
  readonly loops = new LoopGuard();
  readonly journal: JournalLimits;
  readonly #storage: TransactionsOptions["storage"];
  readonly #clock: () => number;
  readonly #alarm: AlarmClock;
  readonly #afterCommit: AfterCommit;
  readonly #alsoDue: NonNullable<TransactionsOptions["alsoDue"]>;
  #live: Live | undefined;

  constructor(options: TransactionsOptions) {
    this.store = options.store;
    this.workflows = options.workflows;
    this.journal = new JournalLimits(options.store, options.limits);
    this.#storage = options.storage;
    this.#alarm = options.alarm;
    this.#clock = options.clock;
    this.#afterCommit = options.afterCommit;
    this.#alsoDue = options.alsoDue ?? (() => Infinity);
  }

  /**
   * The instance as it is now, or undefined where none has begun.
   *
   * @throws Quarantined where the deployment can't take the stored state
   */
  current(): Live | undefined {
    if (this.#live === undefined && this.store.exists()) {
      this.#live = load(this.store, this.workflows);
    }
    return this.#live;
  }

  /** What is in memory may be wrong: it is read afresh. */
  forget(): void {
    this.#live = undefined;
  }

  /** When the instance next has something to do by itself; Infinity for never. */
  due(live: Live): number {
    const also = this.#alsoDue(live);
    // With a full journal all that would write to it waits; what was asked for before goes on.
    if (this.journal.isFull(live)) {
      return Math.min(effectsDue(live.workflow, live.effects, true), expiry(live), also);
    }
    return Math.min(Math.max(nextDue(live), this.loops.until(this.#clock())), also);
  }

  /** Memory follows only when it has committed; on a throw it is read afresh. */
  commit(change: () => Recorded[]): Live {
    const done = this.transact(() => {
      const changed = change();
      const again = beginAgain(this.store, changed.at(-1)!.live, this.#clock());
      if (again !== null) changed.push(again);
      this.#alarm.noLaterThan(this.due(changed.at(-1)!.live));
      return changed;
    });
    const { live } = done.at(-1)!;
    this.#live = live;
    this.journal.report(live);
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

  /** A transaction beside the live state, which is read afresh where it fails. */
  transact<Result>(change: () => Result): Result {
    // Whatever it is: with keys that can't be read nothing is written, and nothing counts as a failed try.
    this.store.sealing.check();
    const alarmBefore = this.#alarm.at;
    try {
      return this.#storage.transactionSync(change);
    } catch (error) {
      this.#alarm.restore(alarmBefore);
      this.store.forget();
      this.forget();
      throw error;
    }
  }

  /** Sets the alarm, whatever it was: the platform may have taken it away. */
  ringAt(due: number): void {
    this.#alarm.set(due);
  }

  /** Makes sure, within a transaction, that the alarm rings in time. */
  wakeAt(due: number): void {
    this.#alarm.noLaterThan(due);
  }
}
