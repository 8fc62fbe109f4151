import type { Source, Watchers } from "../broadcast/watchers.ts";
import { type Caller } from "../contract/caller.ts";
import type { Limits } from "../contract/limits.ts";
import { log, type LogDetails } from "../contract/log.ts";
import { isPassing, type Problem } from "../contract/problem.ts";
import type {
  GetReply,
  InstanceRequest,
  Letter,
  Receipt,
  SendReply,
  SendRequest,
  StartReply,
  StartRequest,
  WatchRequest,
} from "../contract/requests.ts";
import type { EventReply, View } from "../contract/view.ts";
import type { TransitionExport } from "../contract/transition.ts";
import type { Destinations } from "../egress/leave.ts";
import type { Sha256 } from "../egress/claim.ts";
import { eraseArchive, erasePayloads, eraseWebhooks } from "../egress/erase.ts";
import { Runner } from "../egress/runner.ts";
import type { Transports } from "../egress/transport.ts";
import { Quarantined } from "../kernel/errors.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import { journalKeys } from "../audit/keys.ts";
import { AlarmClock } from "../contract/alarm-clock.ts";
import { Archiver } from "./archiver.ts";
import { Audit } from "./audit.ts";
import { Control } from "./control.ts";
import { Door } from "./door.ts";
import { Edges } from "./edges.ts";
import { Exporter } from "./exporter.ts";
import { closing, type Follower } from "./follower.ts";
import { holdUnseen } from "./holding.ts";
import { takeLetter } from "./letters.ts";
import { ListKeeper } from "./list-keeper.ts";
import type { Live } from "./live.ts";
import { Past } from "./past.ts";
import { quarantinedView, scheduledView } from "./partial-views.ts";
import { notFound } from "./not-found.ts";
import { Processor, type SendResult } from "./processor.ts";
import type { Report } from "./report.ts";
import { logTransitions } from "./transition-log.ts";
import { Ringing } from "./ringing.ts";
import { sightNow, viewerOf, viewerOfStored } from "./sight.ts";
import { Store, type JournalRow } from "./store.ts";
import { viewOf, viewText } from "./view.ts";
import { watched } from "./watched.ts";

export interface EngineOptions {
  /** As much of the object's state as is used here. */
  context: Pick<DurableObjectState, "id" | "storage" | "waitUntil">;
  env: unknown;
  workflows: ReadonlyMap<string, RegisteredWorkflow>;
  destinations: Destinations;
  transports: Transports;
  limits?: Limits;
  /** Milliseconds since the epoch. */
  clock: () => number;
  /** Shows watchers what was just committed. */
  show: (source: Source) => void;
  /** The sockets that are to be closed in time. */
  watchers?: Pick<Watchers, "due" | "closeEnded">;
  /** Where every entry of the journal is sent on to. */
  export?: TransitionExport | undefined;
  /** How payloads are hashed; the platform's own by default. */
  sha256?: Sha256;
  /** Tells watchers that there is nothing left to watch. */
  erased?: () => void;
  /** Where what nobody expected is told; the log by default. */
  report?: (message: string, details: LogDetails) => void;
}

/** All that an instance does, whatever it runs in: a Durable Object, or a test in plain Node. */
export class Engine {
  readonly #workflows: EngineOptions["workflows"];
  readonly #storage: DurableObjectStorage;
  readonly #clock: () => number;
  readonly #report: Report;
  readonly #store: Store;
  readonly #alarm: AlarmClock;
  readonly #processor: Processor;
  readonly #runner: Runner;
  readonly #edges: Edges;
  readonly #list: ListKeeper | undefined;
  readonly #ringing: Ringing;
  readonly #journal: Parameters<typeof watched>[0];
  readonly #door: Door;
  /** What it was, and what it could become. */
  readonly past: Past;
  /** What operators do to it. */
  readonly control: Control;
  /** Whether all that is so. */
  readonly audit: Audit;

  constructor(options: EngineOptions) {
    const { context, env, workflows, clock, show } = options;
    const report: Report = (message, error) =>
      (options.report ?? log.error)(message, { ...this.#place(), error });
    const { destinations, transports, erased = () => {} } = options;
    const logsTransitions = (env as { LOG_LEVEL?: string } | undefined)?.LOG_LEVEL === "info";
    const objectId = context.id.toString();
    const limited = options.limits === undefined ? {} : { limits: options.limits };
    this.#report = report;
    this.#workflows = workflows;
    this.#storage = context.storage;
    this.#clock = clock;
    const keys = () => journalKeys(env);
    this.#store = new Store(context.storage.sql, { journalKeys: keys, env });
    this.#alarm = new AlarmClock(context);
    const shared = { context, store: this.#store, alarm: this.#alarm, workflows, clock, report };
    this.#list = ListKeeper.of(
      { ...shared, processor: () => this.#processor, edges: () => this.#edges },
      env,
    );
    this.#processor = new Processor({
      storage: context.storage,
      store: this.#store,
      alarm: this.#alarm,
      workflows,
      clock,
      ...limited,
      afterCommit: (live, entries, started) => {
        if (entries.length > 0) this.#show(show, live, entries);
        if (logsTransitions) logTransitions(live, entries);
        this.#runner.abortUnwanted(live);
        this.#runner.start(live, started);
      },
      alsoDue: (live) => Math.min(...followers.map((follower) => follower.due(live))),
    });
    const followers: Follower[] = this.#list === undefined ? [] : [this.#list];
    if (options.watchers !== undefined) followers.push(closing(options.watchers, clock));
    if (options.export !== undefined) {
      const current = () => this.#processor.current();
      const setAlarm = () => this.#ringing.setAlarm();
      followers.push(new Exporter({ ...shared, to: options.export, current, setAlarm }));
    }
    const { transactions } = this.#processor;
    const archiver = new Archiver({ transactions, env, objectId, clock, ...limited });
    const { sha256 } = options;
    this.#runner = new Runner({
      ...{ context, env, ledger: this.#processor, destinations, transports, clock },
      ...(sha256 === undefined ? {} : { sha256 }),
      secrets: this.#store.secrets,
    });
    this.#edges = new Edges({
      storage: context.storage,
      store: this.#store,
      processor: this.#processor,
      deleteLeftovers: async ({ jurisdiction }) => {
        await erasePayloads(env, objectId);
        await eraseArchive(env, objectId);
        await eraseWebhooks(env, context.id.name, jurisdiction);
      },
      alsoDue: () => this.#list?.dueAtEdge() ?? Infinity,
      buried: () => {
        this.#runner.abortAll();
        erased();
      },
    });
    const [store, processor, edges] = [this.#store, this.#processor, this.#edges];
    const acting = { processor, edges, runner: this.#runner, list: this.#list, followers };
    this.#journal = { processor, store };
    this.#ringing = new Ringing({ ...shared, ...acting });
    this.#door = new Door({ id: context.id, store, edges, report });
    this.audit = new Audit({ door: this.#door, store, archiver });
    this.past = new Past({ door: this.#door, store, archiver, workflows, clock });
    this.control = new Control({
      ...{ door: this.#door, store, processor, edges, archiver, clock },
      ...{ runner: this.#runner, alarm: this.#alarm, due: () => this.#ringing.due() },
    });
  }

  /** Whether there is anything: an instance, one that is to begin, or what is left of one. */
  get exists(): boolean {
    return this.#store.isUsed();
  }

  /**
   * After a restart: brings the tables up to this deployment, goes on with what waits, and sets the
   * alarm without which pending work would sleep for ever. Never throws: an object whose constructor
   * does is unusable, and the next call will say the same.
   */
  async wakeUp(): Promise<void> {
    await this.#alarm.read();
    try {
      if (this.#store.exists()) {
        this.#storage.transactionSync(() => this.#store.renew());
        this.#renewSecrets();
        this.#processor.startWaiting(this.#clock());
      }
      this.#alarm.noLaterThan(this.#ringing.due());
    } catch (error) {
      this.#report("Waking up failed", error);
      if (error instanceof Quarantined) this.#list?.remindQuarantined();
    }
  }

  /** Has secrets sealed by the current key. Without keys they wait, and so does nothing else. */
  #renewSecrets(): void {
    if (!this.#store.tables.has("secrets")) return;
    try {
      this.#storage.transactionSync(() => this.#store.secrets.rewrap(this.#store.identity()));
    } catch (error) {
      this.#report("Secrets could not be sealed anew", error);
    }
  }

  /**
   * As after a restart, whatever is in memory; and the list is told anew. An object that was never
   * started stays empty.
   */
  async wake(): Promise<void> {
    if (!this.exists) return;
    this.#list?.forget();
    await this.wakeUp();
  }

  start(asked: StartRequest): StartReply {
    return this.#door.answer(asked, (caller) => {
      const workflow = this.#workflows.get(asked.address.workflow);
      const { request, keep } = this.#store.secrets.admit(workflow, asked);
      const later = this.#edges.schedule(request, this.#clock(), keep);
      if (later !== null) {
        const sight = this.#edges.sightOf(later.scheduled, caller);
        return { ok: true, created: later.created, json: scheduledView(later.scheduled, sight) };
      }
      try {
        const { created, live } = this.#processor.start(request, this.#clock(), keep);
        return { ok: true, created, json: this.#view(live, caller) };
      } catch (error) {
        // A repeat of the start of one that the deployment can't run.
        if (!(error instanceof Quarantined && this.#store.exists())) throw error;
        return { ok: true, created: false, json: this.#quarantined(caller, error) };
      }
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
    return this.#door.answer(request, (caller) => {
      let sent: SendResult;
      try {
        this.#edges.checkBegun(request);
        sent = this.#processor.send(request, this.#clock());
      } catch (error) {
        if (!(error instanceof Quarantined)) throw error;
        return this.#keepForLater(request, error);
      }
      const { live, outcome, first } = sent;
      const view = this.#view(live, caller, first === undefined ? { outcome } : { outcome, first });
      return outcome === "deferred" ? { ok: true as const, json: view, deferred: true } : view;
    });
  }

  /**
   * Events that came together. Each is decided and recorded by itself; on the platform's disk they are one
   * commit, since nothing is waited for in between.
   *
   * @param json of `SendRequest`s
   * @param inOrder behind one whose problem passes by itself none is tried
   * @returns JSON of a `Receipt` for each that was tried
   */
  sendAll(json: string, inOrder: boolean): string {
    const receipts: Receipt[] = [];
    for (const request of JSON.parse(json) as SendRequest[]) {
      const receipt = this.receipt(request);
      receipts.push(receipt);
      if (inOrder && !receipt.ok && isPassing(receipt.problem)) break;
    }
    return JSON.stringify(receipts);
  }

  /** One event, and what became of it. */
  receipt(request: SendRequest): Receipt {
    return this.#door.answer(request, () => this.#receiptOf(request));
  }

  #receiptOf(request: SendRequest): Receipt {
    try {
      this.#edges.checkBegun(request);
      const { live, outcome, first } = this.#processor.send(request, this.#clock());
      const { seq, identity } = live;
      return { ok: true, outcome, epoch: identity.epoch, seq, ...(first && { first }) };
    } catch (error) {
      if (!(error instanceof Quarantined)) throw error;
      const held = this.#hold(request);
      const { epoch } = this.#store.identity();
      return { ok: true, ...held, epoch, seq: this.#store.state().seq };
    }
  }

  /** The deployment can't run the instance: until one can, its events are kept. */
  #keepForLater(request: SendRequest, error: Quarantined): SendReply {
    const outcome = this.#hold(request);
    const json = this.#quarantined(request.caller, error, outcome);
    return { ok: true, json, ...(outcome.outcome === "deferred" ? { deferred: true } : {}) };
  }

  #hold(request: SendRequest): ReturnType<typeof holdUnseen> {
    const outcome = holdUnseen(this.#processor.transactions, request, this.#clock());
    this.#list?.remindQuarantined();
    return outcome;
  }

  /**
   * What another instance of this deployment has to say.
   *
   * @param json of a `Letter`
   * @returns a problem, or null when it is committed
   */
  receive(json: string): Problem | null {
    const letter = JSON.parse(json) as Letter;
    const answer = this.#door.answer(letter, () => {
      try {
        takeLetter(this.#workflows, this.#processor, letter, this.#clock());
      } catch (error) {
        if (!(error instanceof Quarantined && letter.kind === "send")) throw error;
        this.#keepForLater(letter, error);
      }
      return null;
    });
    return answer === null ? null : answer.problem;
  }

  get(request: InstanceRequest): GetReply {
    return this.#door.answer(request, (caller) => {
      const scheduled = this.#edges.scheduled;
      if (scheduled !== null) {
        const sight = this.#edges.sightOf(scheduled, caller);
        return { ok: true, json: scheduledView(scheduled, sight) };
      }
      try {
        const live = this.#current(request);
        const { troubles } = this.#processor;
        return { ok: true, json: viewText(live, viewerOf(live, caller), {}, troubles) };
      } catch (error) {
        if (!(error instanceof Quarantined)) throw error;
        return { ok: true, json: this.#quarantined(caller, error) };
      }
    });
  }

  /**
   * What a new watcher is to be shown.
   *
   * @param checkRoom throws where there are too many: told to nobody for whom there is nothing to watch
   */
  watch(
    request: WatchRequest,
    checkRoom: () => void,
  ): { ok: true; source: Source; view: View } | { ok: false; problem: Problem } {
    return this.#door.answer(request, (caller) => {
      const live = this.#current(request);
      const view = viewOf(live, viewerOf(live, caller), this.#processor.troubles);
      const { ticket } = request;
      checkRoom();
      if (ticket !== undefined) {
        this.#processor.transactions.transact(() => this.#store.tickets.use(ticket, this.#clock()));
      }
      return { ok: true as const, source: watched(this.#journal, live), view };
    });
  }

  /** A socket is to be closed at a time, in milliseconds since the epoch, should nothing happen before. */
  closesBy(until: number): void {
    this.#alarm.noLaterThan(until);
  }

  /** What a watcher that is there can read. */
  source(): Source | undefined {
    try {
      const live = this.#processor.current();
      return live === undefined ? undefined : watched(this.#journal, live);
    } catch (error) {
      // Whoever asks for the state is told what is wrong with it.
      this.#report("Watchers can't be shown the instance", error);
      return undefined;
    }
  }

  alarm(): void {
    this.#ringing.ring();
  }

  /** It is committed: that a watcher can't be shown it must stop nothing else. */
  #show(show: EngineOptions["show"], live: Live, entries: readonly JournalRow[]): void {
    try {
      show(watched(this.#journal, live, entries));
    } catch (error) {
      this.#report("Watchers could not be shown what happened", error);
    }
  }

  /** Who this is, for the log. Never throws: it is asked where something has gone wrong already. */
  #place(): LogDetails {
    try {
      if (!this.#store.exists()) return { instance: this.#door.name };
      const { tenant, workflow, id, epoch } = this.#store.identity();
      return { tenant, workflow, instance: id, epoch, seq: this.#store.state().seq };
    } catch {
      return { instance: this.#door.name };
    }
  }

  /** After something of the caller's own has happened: what they still see of it. */
  #view(live: Live, caller: Caller, more: Partial<EventReply> = {}): string {
    const viewer = { caller, sight: sightNow(live, caller) };
    return viewText(live, viewer, more, this.#processor.troubles);
  }

  #quarantined(caller: Caller, error: Quarantined, more: object = {}): string {
    const { sight } = viewerOfStored(this.#store, this.#workflows, caller);
    return quarantinedView(this.#store, error, sight, more);
  }

  #current(request: InstanceRequest): Live {
    const { address } = request;
    this.#edges.checkBegun(request);
    this.#processor.fireTimers(this.#clock());
    const live = this.#processor.current();
    if (live === undefined) throw notFound(address.workflow, address.id);
    return live;
  }
}
