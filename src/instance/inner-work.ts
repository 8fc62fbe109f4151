import { log } from "../contract/log.ts";
import { ProblemError } from "../contract/problem.ts";
import type { IncomingEvent } from "../contract/requests.ts";
import { backoff } from "../egress/timing.ts";
import { reviveEvent } from "../kernel/restoring.ts";
import { settle, step, type Settlement, type Step } from "../kernel/step.ts";
import { TimerRowChanges } from "../kernel/timer-changes.ts";
import type { Timer } from "../kernel/timers.ts";
import { decide, deferFor, recordDecision } from "./decide.ts";
import { fileLate, takeDeferred } from "./deferral.ts";
import type { EffectChanges } from "./effect-book.ts";
import type { HeldRow } from "./held.ts";
import { isRunning, type Live } from "./live.ts";
import { bookEffects, keep, record, type Happening, type Recorded } from "./recorder.ts";
import type { EffectRow } from "./effect-table.ts";
import { dueTimer, hasTimer, replaceTimers, shownEvent, takeTimer } from "./timer-book.ts";
import { withoutSecrets } from "./secret-keeper.ts";
import type { Transactions } from "./transactions.ts";
import { validateEvent } from "./validate.ts";

/** Tries of a timer or a result that the chart throws on, before a person is needed. */
const MAX_INTERNAL_TRIES = 5;

/** Timers that may fire in one run of the alarm; the rest follows at once. */
const MAX_TIMERS_A_RUN = 500;

/** What comes from inside: timers, what actors bring back, events that had to wait. */
export class InnerWork {
  readonly #transactions: Transactions;
  /** Deferred events that the chart threw on, by their seq: they wait for another state, or for a person. */
  readonly failedEvents = new Map<number, string>();

  constructor(transactions: Transactions) {
    this.#transactions = transactions;
  }

  /**
   * Does what is due, oldest first, each in a transaction of its own: timers, held events and results
   * that waited, deferred events whose time is up. A timer that the chart throws on is put off and, after
   * five tries, left blocked; the others go on.
   */
  fireTimers(now: number): void {
    for (let fired = 0; fired < MAX_TIMERS_A_RUN; fired++) {
      const live = this.#transactions.current();
      if (live === undefined || live.paused !== null || this.#isFull(live)) return;
      const due = dueTimer(live.timers, now);
      // A timer that was due before lets the state take what is deferred in time.
      const late = live.deferred.find(({ until }) => until <= now && !(due && due.at <= until));
      if (late !== undefined) {
        this.#transactions.commit(() => [fileLate(this.#transactions.store, live, late, now)]);
        continue;
      }
      const [held] = live.held;
      const result = firstResult(live, now);
      if (
        result !== undefined &&
        !(due && due.at <= result.due) &&
        !(held && held.at <= result.due)
      ) {
        this.settle(result, JSON.parse(result.result!) as Settlement, now);
        continue;
      }
      if (held !== undefined && !(due && due.at <= held.at)) {
        this.#takeHeld(live, held, now);
        this.takeDeferred(now);
        continue;
      }
      if (due === undefined || !this.#transactions.loops.admits(live, now)) return;
      try {
        this.#fire(live, due, now);
      } catch (error) {
        this.#postponeTimer(due, error, now);
        continue;
      }
      this.takeDeferred(now);
    }
  }

  #fire(live: Live, due: Timer, now: number): void {
    const { store } = this.#transactions;
    this.#transactions.commit(() => {
      const event = reviveEvent(live.machine, due.event);
      const next = step(live.machine, event, due.target);
      const timerRows = new TimerRowChanges();
      const timers = takeTimer(store, live.timers, due, timerRows);
      const outcome = next.taken ? "applied" : "ignored";
      const happening: Happening = { ...shownEvent(due), by: "timer", outcome, hops: 0 };
      return [record(store, live, happening, next, now, { timers, timerRows })];
    });
  }

  /** An event that waited for the instance to be looked at again: now it is treated as if it came. */
  #takeHeld(live: Live, row: HeldRow, now: number): void {
    const { store } = this.#transactions;
    const { type, caller, hops } = row;
    const data: unknown = row.data === null ? undefined : JSON.parse(row.data);
    const { trace } = store.originOf(row.seq);
    const held = live.held.filter(({ seq }) => seq !== row.seq);
    let event: IncomingEvent = data === undefined ? { type } : { type, data };
    let values: string[] = [];
    // Without keys it stays where it is, and everything behind it: until they are back.
    store.secrets.check(live.workflow, type);
    try {
      const { workflow, identity } = live;
      const whole = store.secrets.restore(workflow, identity, event);
      values = store.secrets.take(workflow, identity, whole).values;
      const valid = validateEvent(workflow, type, whole.data);
      const taken = store.secrets.take(workflow, identity, valid);
      ({ event } = taken);
      values.push(...taken.values);
      const decision = decide(live, event, { caller, hops, trace, brokered: true });
      this.#transactions.commit(() => {
        taken.keep();
        store.held.remove(row.seq);
        return [recordDecision(store, { ...live, held }, decision, now, null)];
      });
    } catch (error) {
      // Its sender was told that it is kept; all that is left is to say in the journal what became of it.
      this.#transactions.forget();
      const afresh = { ...this.#transactions.current()!, held };
      if (!(error instanceof ProblemError)) {
        // The chart threw: as with one that was deferred, another state may take it, or a person mend it.
        const sender = { by: caller.subject, credential: caller.credential };
        const happening: Happening = { ...event, outcome: "deferred", ...sender, hops, trace };
        this.#transactions.commit(() => {
          store.held.remove(row.seq);
          const kept = { happening, next: null, deferFor: deferFor(live.workflow, type) };
          return [recordDecision(store, afresh, kept, now, null)];
        });
        return;
      }
      const isLate = error.problem.type.endsWith(":event-not-allowed");
      const happening: Happening = {
        ...{ type, data },
        outcome: isLate ? "late" : "refused",
        by: caller.subject,
        credential: caller.credential,
        ...{ hops, trace },
        why: messageOf(withoutSecrets(error, values)),
      };
      this.#transactions.commit(() => {
        store.held.remove(row.seq);
        return [record(store, afresh, happening, null, now)];
      });
    }
  }

  /** Brings an actor's result to the machine; drops it where nobody waits for it any more. */
  settle(row: EffectRow, result: Settlement, now: number): void {
    const live = this.#transactions.current();
    if (live === undefined || !live.effects.has(row.key)) return;
    const { loops, store } = this.#transactions;
    const isHeld = live.paused !== null || this.#isFull(live);
    if (isHeld && row.status === "settling") return;
    if (isHeld || !loops.admits(live, now)) {
      const due = isHeld ? now : loops.until(now);
      // From here on tries are counted of settling, not of running.
      const attempt = row.result === null ? 0 : row.attempt;
      const text = JSON.stringify(result);
      this.change({ put: [{ ...row, status: "settling", attempt, due, result: text }] }, now);
      return;
    }
    try {
      this.#transactions.commit(() => {
        const taken = settle(live.machine, row.key, result);
        if (taken === null) {
          const { effects, started } = bookEffects(store, live, { remove: [row.key] }, now);
          return [{ live: { ...live, effects }, entry: null, started }];
        }
        return [this.#recordSettlement(live, row, result, taken, now)];
      });
    } catch (error) {
      const failures = row.result === null ? 1 : row.attempt + 1;
      const isBlocked = failures >= MAX_INTERNAL_TRIES;
      const put: EffectRow = {
        ...row,
        status: isBlocked ? "parked" : "settling",
        attempt: failures,
        due: now + backoff(failures),
        error: messageOf(error),
        result: JSON.stringify(result),
      };
      this.change({ put: [put] }, now);
      return;
    }
    this.takeDeferred(now);
  }

  #recordSettlement(live: Live, row: EffectRow, result: Settlement, next: Step, now: number) {
    const { id } = JSON.parse(row.payload) as { id: string };
    const happening: Happening = {
      type: `xstate.${"error" in result ? "error" : "done"}.actor.${id}`,
      data: "error" in result ? result.error : result.output,
      outcome: next.taken ? "applied" : "ignored",
      by: "actor",
      hops: row.hops,
      trace: row.trace ?? undefined,
    };
    const { store } = this.#transactions;
    return record(store, live, happening, next, now, { finished: row.key });
  }

  /**
   * Tries the deferred events, oldest first, until the state takes none of them; each in a transaction
   * of its own. Should the process die before, waking up does it. What an instance that has come to its
   * end still keeps is filed as late.
   */
  takeDeferred(now: number): void {
    const { store } = this.#transactions;
    const failed = new Set<number>();
    for (;;) {
      const current = this.#transactions.current();
      const oldest = current?.deferred[0];
      if (current === undefined || oldest === undefined || current.paused !== null) return;
      if (this.#isFull(current)) return;
      if (!isRunning(current)) {
        this.#transactions.commit(() => [fileLate(store, current, oldest, now)]);
        continue;
      }
      try {
        const taken = takeDeferred(current, failed);
        if (taken === null) return;
        this.#transactions.commit(() => [taken.record(store, now)]);
        // The state is another now.
        failed.clear();
        this.failedEvents.clear();
      } catch (error) {
        // It stays where it is: the next state may take it, or its time ends.
        const { seq, cause } = error as { seq?: number; cause?: unknown };
        if (seq === undefined) throw error;
        const { tenant, workflow, id, epoch } = current.identity;
        const place = { tenant, workflow, instance: id, epoch, seq };
        log.warn("A deferred event failed", { ...place, error: cause });
        failed.add(seq);
        this.failedEvents.set(seq, messageOf(cause));
        this.#transactions.forget();
      }
    }
  }

  /** Alters the work, without anything having happened to the machine. */
  change(changes: EffectChanges, now: number): void {
    const live = this.#transactions.current();
    if (live === undefined) return;
    this.#transactions.commit((): Recorded[] => {
      const { effects, started } = bookEffects(this.#transactions.store, live, changes, now);
      return [{ live: { ...live, effects }, entry: null, started }];
    });
  }

  /** Until it is archived, nothing more is written to its journal. */
  #isFull(live: Live): boolean {
    return this.#transactions.journal.isFull(live);
  }

  #postponeTimer(timer: Timer, error: unknown, now: number): void {
    const live = this.#transactions.current();
    // What was thrown after its commit can't call it back.
    if (live === undefined || !hasTimer(live.timers, timer)) return;
    const failures = (timer.failures ?? 0) + 1;
    const { retryAt: _, ...rest } = timer;
    const postponed: Timer = { ...rest, failures, error: messageOf(error) };
    if (failures < MAX_INTERNAL_TRIES) postponed.retryAt = now + backoff(failures);
    const { store } = this.#transactions;
    this.#transactions.commit(() => {
      const kept = { ...live, timers: replaceTimers(store, live.timers, [postponed]) };
      keep(store, kept);
      return [{ live: kept, entry: null, started: [] }];
    });
  }
}

/** The result that has waited longest to be brought to the chart. */
function firstResult({ effects }: Live, now: number): EffectRow | undefined {
  let found: EffectRow | undefined;
  for (const row of effects.values()) {
    if (row.status !== "settling" || row.due > now) continue;
    if (found === undefined || row.due < found.due) found = row;
  }
  return found;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
