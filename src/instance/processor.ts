import { ProblemError, refusal } from "../contract/problem.ts";
import type { ParentLink, SendRequest, StartRequest } from "../contract/requests.ts";
import type { FirstAnswer, Outcome } from "../contract/view.ts";
import { Quarantined } from "../kernel/errors.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import { begin, type Settlement } from "../kernel/step.ts";
import { authorise, decide, firstAnswer, recordDecision, type Decision } from "./decide.ts";
import { MAX_DEFERRED } from "./deferral.ts";
import { hold, tooManyKept } from "./holding.ts";
import { checkHops } from "./hops.ts";
import { InnerWork } from "./inner-work.ts";
import { blank, type Live } from "./live.ts";
import { record, type Happening } from "./recorder.ts";
import { withoutSecrets, type Taken } from "./secret-keeper.ts";
import type { EffectRow } from "./effect-table.ts";
import { notFound } from "./not-found.ts";
import { sightNow } from "./sight.ts";
import { identityOf } from "./store.ts";
import { Transactions, type TransactionsOptions } from "./transactions.ts";
import { validateEvent } from "./validate.ts";
import type { Troubles } from "./incidents.ts";

export interface SendResult {
  live: Live;
  outcome: Outcome;
  first?: FirstAnswer;
}

/** Everything that happens to an instance in the ordinary course of things. */
export class Processor {
  readonly transactions: Transactions;
  readonly inner: InnerWork;
  readonly #clock: () => number;

  constructor(options: TransactionsOptions) {
    this.transactions = new Transactions(options);
    this.inner = new InnerWork(this.transactions);
    this.#clock = options.clock;
  }

  /** @throws Quarantined where the deployment can't take the stored state */
  current(): Live | undefined {
    return this.transactions.current();
  }

  /** What goes wrong and is nowhere stored. */
  get troubles(): Troubles {
    const loop = this.transactions.loops.why(this.#clock());
    const { journal } = this.transactions;
    return { loop, journal, failedEvents: this.inner.failedEvents };
  }

  /** When the instance next has something to do by itself; Infinity for never. */
  due(live: Live): number {
    return this.transactions.due(live);
  }

  fireTimers(now: number): void {
    this.inner.fireTimers(now);
  }

  /**
   * @param also is done in the same transaction
   * @throws ProblemError id-in-use where it was started with something else, or the event is refused
   */
  start(
    request: StartRequest,
    now: number,
    also: () => void = () => {},
  ): { created: boolean; live: Live } {
    const { store } = this.transactions;
    const { address, caller, hops = 0, trace, attributes } = request;
    checkHops(hops);
    if (store.exists()) {
      const { startFingerprint, startedBy } = store.identity();
      if (startFingerprint === request.fingerprint) {
        const live = this.current()!;
        // Somebody else's that happens to be the same is none of this caller's business; what they have
        // started themselves for somebody else they are told of as they were at first.
        const isTheirs = startedBy === caller.subject || sightNow(live, caller) !== null;
        if (isTheirs) return { created: false, live };
      }
      throw refusal(
        "id-in-use",
        `${address.workflow}/${address.id} was started with another input or event. Use another id, or send an event to the one there is.`,
      );
    }
    const workflow = this.#workflow(address.workflow);
    const live = this.transactions.commit(() => {
      const identity = identityOf(request, workflow.version, now);
      also();
      store.create(identity);
      const first = begin(workflow.machine, request.input);
      const started: Happening = {
        type: "durachart.started",
        data: request.input,
        outcome: "applied",
        by: caller.subject,
        credential: caller.credential,
        hops,
        trace,
        attributes,
      };
      const recorded = [record(store, blank(identity, workflow, first.state), started, first, now)];
      if (request.event !== undefined) {
        const { live: begun } = recorded[0]!;
        const decision = this.#decide(begun, request.event, { caller, hops, trace, attributes });
        recorded.push(recordDecision(store, begun, decision, now, null));
      }
      return recorded;
    });
    return { created: true, live };
  }

  /**
   * @throws ProblemError not-found, forbidden, unknown-event, invalid-body, event-not-allowed,
   *   key-reused, too-many-deferred, journal-full
   * @param evenIfFull for the chart's own way out, which must stay open
   */
  send(request: SendRequest, now: number, evenIfFull = false): SendResult {
    this.inner.fireTimers(now);
    const { address, dedupe = null } = request;
    const live = this.current();
    if (live === undefined) throw notFound(address.workflow, address.id);
    const { store } = this.transactions;
    // From here on nothing is told or stored of what is secret but its handles.
    const came = store.secrets.take(live.workflow, live.identity, request.event);
    let valid: Taken = came;
    try {
      checkHops(request.hops ?? 0);
      const { type, data } = request.event;
      const whole = validateEvent(live.workflow, type, data);
      valid = store.secrets.take(live.workflow, live.identity, whole);
      const { event, keep } = valid;
      if (!evenIfFull) this.transactions.journal.check(live);
      if (live.paused !== null) {
        authorise(live, event.type, request.caller);
        const held = this.transactions.commit(() => {
          came.keep();
          return [hold(store, live, { ...request, event: came.event }, now)];
        });
        return { live: held, outcome: "deferred" };
      }
      const decision = this.#decide(live, event, request);
      this.transactions.commit(() => {
        keep();
        return [recordDecision(store, live, decision, now, dedupe)];
      });
      this.inner.takeDeferred(now);
      return { live: this.current()!, outcome: decision.happening.outcome };
    } catch (error) {
      // A repeat fails, be it refused by the state it led to or by its key: it gets the first answer.
      const first =
        dedupe === null ? undefined : firstAnswer(store, dedupe, [...valid.forms, ...came.forms]);
      if (first === undefined) {
        throw withoutSecrets(error, [...came.values, ...valid.values]);
      }
      return { live: this.current()!, outcome: "duplicate", first };
    }
  }

  /** Brings an actor's result to the machine; drops it where nobody waits for it any more. */
  settle(row: EffectRow, result: Settlement, now: number): void {
    this.inner.settle(row, result, now);
  }

  /** The outcome of an instance that is an actor of this one. @returns false where nobody waits for it */
  takeOutcome({ key, epoch }: ParentLink, result: Settlement, now: number): boolean {
    const row = this.current()?.effects.get(key);
    if (row?.kind !== "instance" || row.epoch !== epoch || row.status === "parked") return false;
    if (row.status !== "settling") this.inner.settle(row, result, now);
    return true;
  }

  /** Forgets work that is done. */
  finish(key: number): void {
    this.inner.change({ remove: [key] }, this.#clock());
  }

  /** Keeps a new try, lease or error of some work. */
  update(row: EffectRow): void {
    this.inner.change({ put: [row] }, this.#clock());
  }

  /** Leases and runs what waits for nothing any more; after a restart, deferred events too. */
  startWaiting(now: number): void {
    this.inner.takeDeferred(now);
    this.inner.change({}, now);
  }

  /** As `decide`; what threw may have altered the context in place: what is stored is the truth. */
  #decide(...arguments_: Parameters<typeof decide>): Decision {
    const [live] = arguments_;
    let decision: Decision;
    try {
      decision = decide(...arguments_);
    } catch (error) {
      if (!(error instanceof ProblemError)) this.transactions.forget();
      throw error;
    }
    if (decision.deferFor !== undefined && live.deferred.length >= MAX_DEFERRED) {
      throw tooManyKept(live.identity, decision.happening.type);
    }
    return decision;
  }

  #workflow(key: string): RegisteredWorkflow {
    const workflow = this.transactions.workflows.get(key);
    if (workflow === undefined) throw new Quarantined(key, "this deployment has no such workflow");
    return workflow;
  }
}
