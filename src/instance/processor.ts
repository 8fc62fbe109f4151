import type { Caller } from "../contract/caller.ts";
import { ProblemError, refusal } from "../contract/problem.ts";
import type { IncomingEvent, SendRequest, StartRequest } from "../contract/requests.ts";
import type { Outcome } from "../contract/view.ts";
import { timerDue, type Timer } from "../kernel/effects.ts";
import { Quarantined } from "../kernel/errors.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import { begin, settlementEvent, step, type Settlement } from "../kernel/step.ts";
import type { AlarmClock } from "./alarm-clock.ts";
import { decide, isSameEvent, type Decision } from "./decide.ts";
import { load, nextDue, type Live } from "./live.ts";
import { keepTimers, record, type Happening } from "./recorder.ts";
import type { EffectRow, JournalRow, Store } from "./store.ts";

/** Tries of a timer or a result that the chart throws on, before a person is needed. */
const MAX_INTERNAL_TRIES = 5;

/** Timers that may fire in one run of the alarm; the rest follows at once. */
const MAX_TIMERS_A_RUN = 500;

/** What a committed transaction leaves to do: show the entries, run the work. */
export type AfterCommit = (live: Live, entries: JournalRow[], started: EffectRow[]) => void;

export interface SendResult {
  live: Live;
  outcome: Outcome;
  first?: { outcome: Outcome; seq: number };
}

/**
 * Everything that changes an instance. Each happening is one synchronous transaction: dedupe,
 * journal, state, timers, outgoing work and the alarm hold together or not at all.
 */
export class Processor {
  readonly #storage: DurableObjectStorage;
  readonly #store: Store;
  readonly #alarm: AlarmClock;
  readonly #workflows: ReadonlyMap<string, RegisteredWorkflow>;
  readonly #afterCommit: AfterCommit;
  #live: Live | undefined;

  constructor(
    storage: DurableObjectStorage,
    store: Store,
    alarm: AlarmClock,
    workflows: ReadonlyMap<string, RegisteredWorkflow>,
    afterCommit: AfterCommit,
  ) {
    this.#storage = storage;
    this.#store = store;
    this.#alarm = alarm;
    this.#workflows = workflows;
    this.#afterCommit = afterCommit;
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

  /** @throws ProblemError id-in-use where it was started with something else, or the event is refused */
  start(request: StartRequest, now: number): { created: boolean; live: Live } {
    const existing = this.current();
    const { address, caller } = request;
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
      };
      this.#store.create(identity);
      const first = begin(workflow.machine, request.input);
      const blank: Live = {
        identity,
        workflow,
        machine: first.state,
        texts: new Map(),
        timers: [],
        effects: new Map(),
        seq: 0,
        updatedAt: now,
      };
      const started: Happening = {
        type: "durachart.started",
        data: request.input,
        outcome: "applied",
        by: caller.subject,
      };
      const recorded = [record(this.#store, blank, started, first, now)];
      if (request.event !== undefined) {
        const { live: begun } = recorded[0]!;
        const { happening, next } = this.#decide(begun, request.event, caller);
        recorded.push(record(this.#store, begun, happening, next, now));
      }
      return recorded;
    });
    return { created: true, live };
  }

  /** @throws ProblemError not-found, forbidden, event-not-allowed, key-reused */
  send({ address, caller, event, dedupe }: SendRequest, now: number): SendResult {
    this.fireTimers(now);
    const live = this.current();
    if (live === undefined) throw notFound(address.workflow, address.id);
    try {
      const { happening, next } = this.#decide(live, event, caller);
      const committed = this.#commit(() => [
        record(this.#store, live, happening, next, now, { key: dedupe ?? null }),
      ]);
      return { live: committed, outcome: happening.outcome };
    } catch (error) {
      // A repeat fails, be it refused by the state it led to or by its key: it gets the first answer.
      const first = dedupe === undefined ? undefined : this.#firstOf(dedupe, event);
      if (first === undefined) throw error;
      return { live: this.current()!, outcome: "duplicate", first };
    }
  }

  /** What became of the event that came with this key before. @throws ProblemError key-reused */
  #firstOf(key: string, event: IncomingEvent): { outcome: Outcome; seq: number } | undefined {
    const known = this.#store.taken(key);
    if (known === undefined) return undefined;
    const { seq, outcome } = known;
    if (isSameEvent(known, event)) return { outcome, seq };
    throw refusal(
      "key-reused",
      `The idempotency key came before with another event (seq ${seq}). Use a new key for a new event.`,
    );
  }

  /**
   * Fires what is due, oldest first, each in a transaction of its own. One that the chart throws on
   * is put off and, after five tries, left blocked; the others go on.
   */
  fireTimers(now: number): void {
    for (let fired = 0; fired < MAX_TIMERS_A_RUN; fired++) {
      const live = this.current();
      if (live === undefined) return;
      const due = earliest(live.timers, now);
      if (due === undefined) return;
      const others = live.timers.filter((timer) => timer !== due);
      const happening = { type: due.event.type, by: "timer" };
      try {
        this.#commit(() => {
          const next = step(live.workflow.machine, live.machine, due.event);
          const outcome = next.taken ? "applied" : "ignored";
          return [
            record(this.#store, live, { ...happening, outcome }, next, now, { timers: others }),
          ];
        });
      } catch (error) {
        this.#postponeTimer(due, error, now);
      }
    }
  }

  /** Brings an actor's result to the machine; drops it where nobody waits for it any more. */
  settle(row: EffectRow, result: Settlement, now: number): void {
    const live = this.current();
    if (live === undefined || !live.effects.has(row.key)) return;
    const { id } = JSON.parse(row.payload) as { id: string };
    const event = settlementEvent(live.machine, { key: row.key, id }, result);
    if (event === null) {
      this.finish(row.key);
      return;
    }
    try {
      this.#commit(() => {
        this.#store.deleteEffect(row.key);
        const effects = new Map(live.effects);
        effects.delete(row.key);
        const taken = step(live.workflow.machine, live.machine, event);
        const data = "error" in result ? result.error : result.output;
        const outcome = taken.taken ? "applied" : "ignored";
        const happening: Happening = { type: event.type, data, outcome, by: "actor" };
        return [record(this.#store, { ...live, effects }, happening, taken, now)];
      });
    } catch (error) {
      const failures = row.result === null ? 1 : row.attempt + 1;
      const blocked = failures >= MAX_INTERNAL_TRIES;
      this.update({
        ...row,
        attempt: failures,
        due: blocked ? null : now + internalBackoff(failures),
        error: messageOf(error),
        result: JSON.stringify(result),
      });
    }
  }

  /** Forgets work that is done. */
  finish(key: number): void {
    this.#changeEffects((effects) => {
      this.#store.deleteEffect(key);
      effects.delete(key);
    });
  }

  /** Keeps a new try, lease or error of some work. */
  update(row: EffectRow): void {
    this.#changeEffects((effects) => {
      if (!effects.has(row.key)) return;
      this.#store.updateEffect(row);
      effects.set(row.key, row);
    });
  }

  #changeEffects(change: (effects: Map<number, EffectRow>) => void): void {
    const live = this.current();
    if (live === undefined) return;
    this.#commit(() => {
      const effects = new Map(live.effects);
      change(effects);
      return [{ live: { ...live, effects }, entry: null, started: [] }];
    });
  }

  /** As `decide`; what threw may have altered the context in place: what is stored is the truth. */
  #decide(live: Live, event: IncomingEvent, caller: Caller): Decision {
    try {
      return decide(live, event, caller);
    } catch (error) {
      if (!(error instanceof ProblemError)) this.#live = undefined;
      throw error;
    }
  }

  #postponeTimer(timer: Timer, error: unknown, now: number): void {
    const live = this.current();
    if (live === undefined) return;
    const failures = (timer.failures ?? 0) + 1;
    const { retryAt: _, ...rest } = timer;
    const postponed: Timer = { ...rest, failures, error: messageOf(error) };
    if (failures < MAX_INTERNAL_TRIES) postponed.retryAt = now + internalBackoff(failures);
    const timers = live.timers.map((other) => (other.id === timer.id ? postponed : other));
    this.#commit(() => [keepTimers(this.#store, live, timers)]);
  }

  /** One transaction. Memory follows only when it has committed; on a throw it is read afresh. */
  #commit(change: () => { live: Live; entry: JournalRow | null; started: EffectRow[] }[]): Live {
    const alarmBefore = this.#alarm.at;
    let done: ReturnType<typeof change>;
    try {
      done = this.#storage.transactionSync(() => {
        const changed = change();
        this.#alarm.noLaterThan(nextDue(changed.at(-1)!.live));
        return changed;
      });
    } catch (error) {
      this.#alarm.restore(alarmBefore);
      this.#live = undefined;
      throw error;
    }
    const { live } = done.at(-1)!;
    this.#live = live;
    this.#afterCommit(
      live,
      done.flatMap(({ entry }) => entry ?? []),
      done.flatMap(({ started }) => started).filter(({ key }) => live.effects.has(key)),
    );
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

function earliest(timers: readonly Timer[], now: number): Timer | undefined {
  let found: Timer | undefined;
  for (const timer of timers) {
    if (timerDue(timer) > now) continue;
    if (found === undefined || timer.at < found.at) found = timer;
  }
  return found;
}

/** Full jitter over 1, 2, 4, 8 … seconds. */
function internalBackoff(failures: number): number {
  return Math.ceil(Math.random() * 1_000 * 2 ** (failures - 1));
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
