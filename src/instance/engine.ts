import type { Source } from "../broadcast/watchers.ts";
import { objectName } from "../contract/address.ts";
import { isOperator, type Caller } from "../contract/caller.ts";
import type { Limits } from "../contract/limits.ts";
import { problem, ProblemError, refusal, type Problem } from "../contract/problem.ts";
import type {
  GetReply,
  HistoryReply,
  HistoryRequest,
  InstanceRequest,
  Letter,
  SendReply,
  SendRequest,
  StartReply,
  StartRequest,
} from "../contract/requests.ts";
import type {
  ArchiveRequest,
  OperationReply,
  OperationRequest,
  OperationView,
} from "../contract/operations.ts";
import type { EventReply, View } from "../contract/view.ts";
import type { Destinations } from "../egress/leave.ts";
import type { Sha256 } from "../egress/claim.ts";
import { Runner } from "../egress/runner.ts";
import { Quarantined, StepFailed, Unsupported } from "../kernel/errors.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import { AlarmClock } from "./alarm-clock.ts";
import { Archiver, type Archived } from "./archiver.ts";
import { takeLetter } from "./letters.ts";
import type { Live } from "./live.ts";
import { operate } from "./operations/operate.ts";
import { notFound, Processor } from "./processor.ts";
import { Store, type JournalRow } from "./store.ts";
import { journalEntry, viewOf, viewText } from "./view.ts";

/** If the alarm handler is killed half-way, the alarm it set first rings after so long. */
const DEAD_MAN = 30_000;

/** When the handler itself fails (a quarantined state, say), it is tried again after so long. */
const AFTER_FAILURE = 600_000;

export interface EngineOptions {
  /** As much of the object's state as is used here. */
  context: Pick<DurableObjectState, "id" | "storage" | "waitUntil">;
  env: unknown;
  workflows: ReadonlyMap<string, RegisteredWorkflow>;
  destinations: Destinations;
  limits?: Limits;
  /** Milliseconds since the epoch. */
  clock: () => number;
  /** Shows watchers what was just committed. */
  show: (source: Source) => void;
  /** How payloads are hashed; the platform's own by default. */
  sha256?: Sha256;
  /** Where what nobody expected is told; the log by default. */
  report?: (...what: unknown[]) => void;
}

/** All that an instance does, whatever it runs in: a Durable Object, or a test in plain Node. */
export class Engine {
  readonly #name: string | undefined;
  readonly #workflows: EngineOptions["workflows"];
  readonly #storage: DurableObjectStorage;
  readonly #clock: () => number;
  readonly #report: (...what: unknown[]) => void;
  readonly #store: Store;
  readonly #alarm: AlarmClock;
  readonly #processor: Processor;
  readonly #archiver: Archiver;
  readonly #runner: Runner;

  constructor(options: EngineOptions) {
    const { context, env, workflows, destinations, clock, show, report = console.error } = options;
    const objectId = context.id.toString();
    const limited = options.limits === undefined ? {} : { limits: options.limits };
    this.#report = report;
    this.#name = context.id.name;
    this.#workflows = workflows;
    this.#storage = context.storage;
    this.#clock = clock;
    this.#store = new Store(context.storage.sql);
    this.#alarm = new AlarmClock(context);
    this.#processor = new Processor({
      storage: context.storage,
      store: this.#store,
      alarm: this.#alarm,
      workflows,
      clock,
      ...limited,
      afterCommit: (live, entries, started) => {
        if (entries.length > 0) this.#show(show, live, entries);
        this.#runner.abortUnwanted(live);
        this.#runner.start(live, started);
      },
    });
    const { transactions } = this.#processor;
    this.#archiver = new Archiver({ transactions, env, objectId, clock, ...limited });
    const { sha256 } = options;
    this.#runner = new Runner({
      ...{ context, env, ledger: this.#processor, destinations, clock },
      ...(sha256 === undefined ? {} : { sha256 }),
    });
  }

  /** Whether it was ever started. */
  get exists(): boolean {
    return this.#store.exists();
  }

  /**
   * After a restart: brings the tables up to this deployment, goes on with what waits, and sets the
   * alarm without which pending work would sleep for ever. Never throws: an object whose constructor
   * does is unusable, and the next call will say the same.
   */
  async wakeUp(): Promise<void> {
    await this.#alarm.read();
    try {
      this.#storage.transactionSync(() => this.#store.renewRecording());
      if (this.#processor.current() === undefined) return;
      this.#processor.startWaiting(this.#clock());
      this.#alarm.noLaterThan(this.#processor.due(this.#processor.current()!));
    } catch (error) {
      this.#report(error);
    }
  }

  start(request: StartRequest): StartReply {
    return this.#answer(request, (caller) => {
      const { created, live } = this.#processor.start(request, this.#clock());
      return { ok: true, created, json: this.#view(live, caller) };
    });
  }

  /**
   * The busiest call: both ways as one JSON text, which crosses cheaper than objects do.
   *
   * @param json of a `SendRequest`
   * @returns JSON of an `EventReply`; where it is no plain one, more
   */
  send(json: string): string | SendReply {
    const request = JSON.parse(json) as SendRequest;
    return this.#answer(request, (caller) => {
      const { live, outcome, first } = this.#processor.send(request, this.#clock());
      const view = this.#view(live, caller, first === undefined ? { outcome } : { outcome, first });
      return outcome === "deferred" ? { ok: true as const, json: view, deferred: true } : view;
    });
  }

  /**
   * What another instance of this deployment has to say.
   *
   * @param json of a `Letter`
   * @returns a problem, or null when it is committed
   */
  receive(json: string): Problem | null {
    const letter = JSON.parse(json) as Letter;
    const answer = this.#answer(letter, () => {
      takeLetter(this.#workflows, this.#processor, letter, this.#clock());
      return null;
    });
    return answer === null ? null : answer.problem;
  }

  get(request: InstanceRequest): GetReply {
    return this.#answer(request, (caller) => {
      return { ok: true, json: this.#view(this.#current(request), caller) };
    });
  }

  /** A promise where some of it is archived. */
  history(request: HistoryRequest): HistoryReply | Promise<HistoryReply> {
    const { address, after, limit } = request;
    const reply = (rows: JournalRow[]): HistoryReply => {
      const identity = this.#store.identity();
      const entries = rows.slice(0, limit).map((row) => journalEntry({ identity }, row));
      const next = rows.length > limit ? entries.at(-1)!.seq : null;
      return { ok: true, next, json: JSON.stringify(entries) };
    };
    const answer = this.#answer(request, () => {
      // Not by way of the live state: a quarantined instance shows its journal all the same.
      if (!this.#store.exists()) throw notFound(address.workflow, address.id);
      if (after < this.#store.archived.through()) return null;
      return reply(this.#store.journal(after, limit + 1));
    });
    if (answer !== null) return answer;
    return this.#later(async () => reply(await this.#archiver.read(after, limit + 1)));
  }

  /** What an operator does to it. */
  operate(request: OperationRequest): OperationReply {
    return this.#answer(request, (caller) => {
      const now = this.#clock();
      const live = this.#current(request);
      const operation = operate(this.#processor, live, request, now);
      // Results that waited, and tries that were put off, go on at once.
      if (operation.changed) this.#runner.runDue(now);
      return { ok: true, json: this.#view(this.#processor.current()!, caller, { operation }) };
    });
  }

  /** Moves the older part of the journal to R2. What waited for that goes on. */
  archive(request: ArchiveRequest): Promise<OperationReply> {
    return this.#later(async () => {
      this.#checkAddress(request);
      const { caller, keep } = request;
      if (!isOperator(caller)) throw refusal("forbidden", '"archive" is for operators.');
      this.#current(request);
      let archived: Archived;
      try {
        archived = await this.#archiver.archive(keep);
      } finally {
        // Broken off, it may have made room all the same.
        this.#goOn();
      }
      const operation = { name: "archive" as const, changed: archived.entries > 0, ...archived };
      return { ok: true, json: this.#view(this.#current(request), caller, { operation }) };
    });
  }

  /** What a new watcher is to be shown. */
  watch(
    request: InstanceRequest,
  ): { ok: true; source: Source; view: View } | { ok: false; problem: Problem } {
    return this.#answer(request, (caller) => {
      const live = this.#current(request);
      const view = viewOf(live, caller, this.#processor.incidents(live));
      return { ok: true as const, source: this.#source(live), view };
    });
  }

  /** What a watcher that is there can read. */
  source(): Source | undefined {
    const live = this.#processor.current();
    return live === undefined ? undefined : this.#source(live);
  }

  alarm(): void {
    const now = this.#clock();
    this.#alarm.set(now + DEAD_MAN);
    try {
      this.#processor.fireTimers(now);
      this.#runner.runDue(now);
      const live = this.#processor.current();
      this.#alarm.set(live === undefined ? Infinity : this.#processor.due(live));
    } catch (error) {
      // The platform drops an alarm whose handler has thrown seven times: keep it, further apart.
      this.#report(`The alarm of ${this.#name} failed`, error);
      this.#alarm.set(now + AFTER_FAILURE);
    }
  }

  /** It is committed: that a watcher can't be shown it must stop nothing else. */
  #show(show: EngineOptions["show"], live: Live, entries: readonly JournalRow[]): void {
    try {
      show(this.#source(live, entries));
    } catch (error) {
      this.#report(error);
    }
  }

  #view(live: Live, caller: Caller, more: Partial<EventReply & OperationView> = {}): string {
    return viewText(live, caller, more, this.#processor.incidents(live));
  }

  #goOn(): void {
    const now = this.#clock();
    this.#processor.fireTimers(now);
    this.#runner.runDue(now);
    const live = this.#processor.current();
    if (live !== undefined) this.#alarm.noLaterThan(this.#processor.due(live));
  }

  #current({ address }: InstanceRequest): Live {
    this.#processor.fireTimers(this.#clock());
    const live = this.#processor.current();
    if (live === undefined) throw notFound(address.workflow, address.id);
    return live;
  }

  #source(live: Live, fresh: readonly JournalRow[] = []): Source {
    const { workflow, id, epoch } = live.identity;
    return {
      subject: { workflow, id },
      epoch,
      head: live.seq,
      read: (after, limit) => {
        // Who is up to date needs only what was just written; of an epoch that is over, nothing else is left.
        const isOver = this.#processor.current()?.identity.epoch !== epoch;
        const isUpToDate = fresh[0]?.seq === after + 1;
        const rows = isUpToDate ? fresh : isOver ? [] : this.#store.journal(after, limit);
        return rows.map((row) => journalEntry(live, row));
      },
    };
  }

  #answer<Answer>(
    request: InstanceRequest,
    act: (caller: Caller) => Answer,
  ): Answer | { ok: false; problem: Problem } {
    try {
      this.#checkAddress(request);
      return act(request.caller);
    } catch (error) {
      return { ok: false, problem: this.#toProblem(error) };
    }
  }

  /** As `#answer`, for what takes its time. */
  async #later<Answer>(
    act: () => Promise<Answer>,
  ): Promise<Answer | { ok: false; problem: Problem }> {
    try {
      return await act();
    } catch (error) {
      return { ok: false, problem: this.#toProblem(error) };
    }
  }

  /** The door found this object by its name; the object makes sure that it is the one meant. */
  #checkAddress({ address, caller }: InstanceRequest): void {
    const isMine = this.#name === objectName(address) && caller.tenant === address.tenant;
    if (!isMine) throw notFound(address.workflow, address.id);
  }

  #toProblem(error: unknown): Problem {
    if (error instanceof ProblemError) return error.problem;
    if (error instanceof Unsupported) return problem("unsupported", error.message);
    if (error instanceof StepFailed) return problem("step-failed", error.message);
    if (error instanceof Quarantined) return problem("quarantined", error.message);
    this.#report(error);
    return problem("internal", "Something went wrong inside. Try again; the log has the details.");
  }
}
