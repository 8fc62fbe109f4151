import { isOperator, type Caller } from "../contract/caller.ts";
import type {
  ArchiveRequest,
  OperationReply,
  OperationRequest,
  OperationResult,
} from "../contract/operations.ts";
import { refusal } from "../contract/problem.ts";
import type { EraseReply, EraseRequest } from "../contract/requests.ts";
import type { Runner } from "../egress/runner.ts";
import type { AlarmClock } from "../contract/alarm-clock.ts";
import type { Archived, Archiver } from "./archiver.ts";
import type { Door } from "./door.ts";
import type { Edges } from "./edges.ts";
import { operate } from "./operations/operate.ts";
import { scheduledView } from "./partial-views.ts";
import { notFound } from "./not-found.ts";
import type { Processor } from "./processor.ts";
import { viewerOf } from "./sight.ts";
import type { Store } from "./store.ts";
import { iso, viewText } from "./view.ts";

export interface ControlOptions {
  door: Door;
  store: Store;
  processor: Processor;
  runner: Runner;
  edges: Edges;
  archiver: Archiver;
  alarm: AlarmClock;
  clock: () => number;
  /** When there is next something to do. */
  due: () => number;
}

/** What operators do to an instance. */
export class Control {
  readonly #door: Door;
  readonly #store: Store;
  readonly #processor: Processor;
  readonly #runner: Runner;
  readonly #edges: Edges;
  readonly #archiver: Archiver;
  readonly #alarm: AlarmClock;
  readonly #clock: () => number;
  readonly #due: () => number;

  constructor(options: ControlOptions) {
    this.#door = options.door;
    this.#store = options.store;
    this.#processor = options.processor;
    this.#runner = options.runner;
    this.#edges = options.edges;
    this.#archiver = options.archiver;
    this.#alarm = options.alarm;
    this.#clock = options.clock;
    this.#due = options.due;
  }

  /** What an operator does to it. */
  operate(request: OperationRequest): OperationReply {
    return this.#door.answer(request, (caller) => {
      checkOperator(caller, request.operation.name);
      const now = this.#clock();
      if (this.#edges.scheduled !== null) return this.#operateOnScheduled(request, now);
      this.#door.identity(request);
      const result = operate(this.#processor, request, now);
      // Results that waited, and tries that were put off, go on at once.
      if (result.changed) this.#runner.runDue(now);
      return {
        ok: true,
        json: this.#view(caller, result),
      };
    });
  }

  /** Moves the older part of the journal to R2. What waited for that goes on. */
  archive(request: ArchiveRequest): Promise<OperationReply> {
    return this.#door.later(request.caller, async () => {
      this.#door.checkAddress(request);
      this.#edges.checkNotErased(request.address);
      const { caller, keep } = request;
      checkOperator(caller, "archive");
      this.#door.identity(request);
      this.#processor.fireTimers(this.#clock());
      this.#processor.current();
      let archived: Archived;
      try {
        archived = await this.#archiver.archive(keep);
      } finally {
        // Broken off, it may have made room all the same.
        this.#goOn();
      }
      const operation = { name: "archive" as const, changed: archived.entries > 0, ...archived };
      return { ok: true, json: this.#view(caller, operation) };
    });
  }

  /** Nothing of it can be read from then on. */
  async erase(request: EraseRequest): Promise<EraseReply> {
    try {
      this.#door.checkAddress(request);
      checkOperator(request.caller, "erase");
      if (!this.#store.isUsed()) throw notFound(request.address.workflow, request.address.id);
      const changed = await this.#edges.erase(request, this.#clock());
      const { workflow, id } = request.address;
      const erasedAt = iso(this.#edges.tombstone!.erasedAt);
      const operation = { name: "erase", changed, erasedAt };
      return { ok: true, json: JSON.stringify({ workflow, id, status: "erased", operation }) };
    } catch (error) {
      return { ok: false, problem: this.#door.toProblem(error, request.caller) };
    }
  }

  #operateOnScheduled(request: OperationRequest, now: number) {
    const { caller, operation, reason } = request;
    const { name } = operation;
    if (name === "terminate" || name === "cancel") {
      this.#edges.terminateScheduled(caller, reason, now);
    } else if (name !== "retry" || !this.#edges.retryBeginning(now)) {
      this.#edges.checkBegun(request);
    }
    const done = { name, changed: true };
    const { scheduled } = this.#edges;
    if (scheduled === null) return { ok: true as const, json: this.#view(caller, done) };
    const sight = this.#edges.sightOf(scheduled, caller);
    return { ok: true as const, json: scheduledView(scheduled, sight, { operation: done }) };
  }

  #goOn(): void {
    const now = this.#clock();
    this.#processor.fireTimers(now);
    this.#runner.runDue(now);
    if (this.#processor.current() !== undefined) this.#alarm.noLaterThan(this.#due());
  }

  #view(caller: Caller, operation: OperationResult): string {
    const { troubles } = this.#processor;
    const live = this.#processor.current()!;
    return viewText(live, viewerOf(live, caller), { operation }, troubles);
  }
}

/**
 * Before anything is looked up: who isn't one is not told whether there is such an instance.
 *
 * @throws ProblemError forbidden
 */
function checkOperator(caller: Caller, operation: string): void {
  if (isOperator(caller)) return;
  throw refusal("forbidden", `"${operation}" is for operators.`);
}
