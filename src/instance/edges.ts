import type { Caller } from "../contract/caller.ts";
import { refusal } from "../contract/problem.ts";
import type { EraseRequest, InstanceRequest, StartRequest } from "../contract/requests.ts";
import { sightOf, type Sight } from "../kernel/access.ts";
import { Quarantined } from "../kernel/errors.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import { begin, halt, type Step } from "../kernel/step.ts";
import { blank, expiry, isRunning, readStored } from "./live.ts";
import { notFound } from "./not-found.ts";
import type { Processor } from "./processor.ts";
import { record, type Happening } from "./recorder.ts";
import { postponed, type Scheduled } from "./schedule.ts";
import { identityOf, type Identity, type Store } from "./store.ts";
import { tombstoneOf, type Tombstone } from "./tombstone.ts";

/** Milliseconds until it is looked again whether the deployment has the workflow. */
const WITHOUT_WORKFLOW = 600_000;

export interface EdgesOptions {
  storage: Pick<DurableObjectStorage, "transactionSync" | "deleteAll">;
  store: Store;
  processor: Processor;
  /** Deletes what the instance kept outside of its object; harmless when repeated. */
  deleteLeftovers: (of: Tombstone) => Promise<void>;
  /** What else the alarm is to ring for. */
  alsoDue: () => number;
  /** Told when there is nothing left to be watched. */
  buried: () => void;
}

/** What comes before an instance's life, and what after it: a delayed start, and being erased. */
export class Edges {
  readonly #options: EdgesOptions;
  readonly #storage: EdgesOptions["storage"];
  readonly #store: Store;
  readonly #processor: Processor;

  constructor(options: EdgesOptions) {
    this.#options = options;
    this.#storage = options.storage;
    this.#store = options.store;
    this.#processor = options.processor;
  }

  get tombstone(): Tombstone | null {
    return this.#store.tombstones.read();
  }

  get scheduled(): Scheduled | null {
    return this.#store.schedule.read();
  }

  /** @throws ProblemError erased */
  checkNotErased({ workflow, id }: { workflow: string; id: string }): void {
    if (this.tombstone === null) return;
    throw refusal("erased", `${workflow}/${id} was erased. Its id is never used again.`);
  }

  /** @throws ProblemError not-begun; not-found where it is not for this caller to know */
  checkBegun({ address: { workflow, id }, caller }: InstanceRequest): void {
    const scheduled = this.scheduled;
    if (scheduled === null) return;
    this.sightOf(scheduled, caller);
    throw refusal(
      "not-begun",
      `${workflow}/${id} begins at ${new Date(scheduled.startAt).toISOString()}. Until then it can only be looked at, terminated or erased.`,
      { startAt: new Date(scheduled.startAt).toISOString() },
    );
  }

  /**
   * What somebody sees of an instance that has not begun: it is its starter's.
   *
   * @throws ProblemError not-found
   */
  sightOf({ request: { address, caller } }: Scheduled, looking: Caller): Sight {
    const workflow = this.#processor.transactions.workflows.get(address.workflow);
    const isOwner = caller.subject === looking.subject;
    const sight = sightOf(workflow ?? { access: {} }, looking.roles, isOwner);
    if (sight === null) throw notFound(address.workflow, address.id);
    return sight;
  }

  /** When there is something to do here; Infinity for never. */
  get due(): number {
    if (this.tombstone?.hasLeftovers === true) return this.tombstone.erasedAt;
    return this.scheduled?.due ?? Infinity;
  }

  /** Keeps a start for later. @returns the one there is, if it is the same; null where it may begin at once */
  schedule(
    request: StartRequest,
    now: number,
    also: () => void = () => {},
  ): { created: boolean; scheduled: Scheduled } | null {
    const { startAt = now, address, fingerprint } = request;
    const existing = this.scheduled;
    if (existing !== null) {
      const isSame = existing.request.fingerprint === fingerprint;
      if (isSame && this.#isSeen(existing, request.caller)) {
        return { created: false, scheduled: existing };
      }
      throw refusal(
        "id-in-use",
        `${address.workflow}/${address.id} is to begin later with another input or event. Use another id.`,
      );
    }
    if (startAt <= now || this.#store.exists()) return null;
    const { transactions } = this.#processor;
    const workflow = transactions.workflows.get(address.workflow)!;
    const scheduled: Scheduled = {
      ...{ request, version: workflow.version, createdAt: now, startAt, due: startAt },
      failures: 0,
      error: null,
    };
    this.#keep(scheduled, also);
    return { created: true, scheduled };
  }

  /** Begins what is due. Where the chart throws, it is tried again and in the end left blocked. */
  beginDue(now: number): void {
    const scheduled = this.scheduled;
    if (scheduled === null || scheduled.due === null || scheduled.due > now) return;
    try {
      this.#processor.start(scheduled.request, now, () => this.#store.schedule.remove());
    } catch (error) {
      // Not the chart's fault: the deployment that has the workflow will come.
      const isMissing = error instanceof Quarantined;
      const later = isMissing
        ? { ...scheduled, due: now + WITHOUT_WORKFLOW }
        : postponed(scheduled, error, now);
      this.#keep(later);
    }
  }

  /** A blocked beginning is tried again. @returns whether there was one */
  retryBeginning(now: number): boolean {
    const scheduled = this.scheduled;
    if (scheduled === null || scheduled.error === null) return false;
    this.#keep({ ...scheduled, due: now, failures: 0 });
    this.beginDue(now);
    return true;
  }

  /** Ends what has not begun: it enters its first state and leaves it, and nothing of that goes out. */
  terminateScheduled(caller: Caller, reason: string | undefined, now: number): void {
    const { request, createdAt } = this.scheduled!;
    const { address, input } = request;
    const { transactions } = this.#processor;
    const workflow = transactions.workflows.get(address.workflow)!;
    transactions.commit(() => {
      this.#store.schedule.remove();
      const identity = identityOf(request, workflow.version, createdAt);
      this.#store.create(identity);
      const first = this.#firstState(workflow, address, input);
      const ended: Happening = {
        ...{ type: "durachart.terminated", outcome: "applied", hops: 0 },
        ...{ by: caller.subject, credential: caller.credential },
        ...(reason === undefined ? {} : { data: { reason } }),
      };
      // One entry: there is no moment in which it ran, and to which it could be put back.
      const halted = { ...halt(first.state), effects: [] };
      return [record(this.#store, blank(identity, workflow, first.state), ended, halted, now)];
    });
  }

  /**
   * @throws ProblemError operation-not-possible while it runs or has something to deliver
   * @returns false where it was erased before
   */
  async erase({ caller, force = false, address }: EraseRequest, now: number): Promise<boolean> {
    if (this.tombstone !== null) return false;
    const scheduled = this.scheduled;
    if (scheduled === null) this.#checkErasable(address, force);
    const identity: Identity =
      scheduled === null
        ? this.#store.identity()
        : {
            ...address,
            ...{ version: scheduled.version, epoch: 1, createdAt: now, startFingerprint: "" },
            ...{ jurisdiction: caller.jurisdiction ?? null, parent: null, startedBy: null },
          };
    await this.bury(tombstoneOf(identity, now, this.#store.sealing, caller));
    return true;
  }

  /**
   * Puts a tombstone in the place of everything. First in one transaction, so that nothing is readable
   * whatever happens next; then the database itself is deleted, with what free pages still hold.
   */
  async bury(tombstone: Tombstone): Promise<void> {
    const { transactions } = this.#processor;
    transactions.transact(() => {
      this.#store.tombstones.write(tombstone);
      this.#store.tombstones.clearAllElse();
      transactions.wakeAt(tombstone.erasedAt);
    });
    transactions.forget();
    this.#store.forget();
    // No await between: what is written next is committed together with it.
    const deleted = this.#storage.deleteAll();
    this.#store.forget();
    this.#storage.transactionSync(() => {
      this.#store.tombstones.write(tombstone);
      // The alarm went with all else, and there is something left to do.
      transactions.ringAt(tombstone.erasedAt);
    });
    this.#options.buried();
    await deleted;
  }

  /**
   * Erases an instance whose time after its end is over; deletes what an erased one kept elsewhere.
   *
   * @returns null where there is nothing of that to do
   */
  clearDue(now: number): Promise<void> | null {
    const { tombstone } = this;
    if (tombstone?.hasLeftovers === true) return this.#clearLeftovers(tombstone);
    const live = this.#processor.current();
    if (live === undefined || expiry(live) > now) return null;
    return this.bury(tombstoneOf(live.identity, now, this.#store.sealing));
  }

  async #clearLeftovers(tombstone: Tombstone): Promise<void> {
    await this.#options.deleteLeftovers(tombstone);
    this.#storage.transactionSync(() =>
      this.#store.tombstones.write({ ...tombstone, hasLeftovers: false }),
    );
  }

  /** @throws ProblemError where the instance that waits for this one's outcome would wait for ever */
  #checkTold({ workflow, id }: { workflow: string; id: string }): void {
    const isUntold = this.#store.effects.all().some(({ kind }) => kind === "outcome");
    const isAwaited =
      this.#store.identity().parent !== null && readStored(this.#store).machine.status === "active";
    if (!isUntold && !isAwaited) return;
    throw refusal(
      "operation-not-possible",
      `${workflow}/${id} has yet to tell the instance that started it how it ended, and that one waits. Wait for it, or terminate that one first.`,
    );
  }

  #checkErasable({ workflow, id }: { workflow: string; id: string }, force: boolean): void {
    let live;
    try {
      live = this.#processor.current();
    } catch (error) {
      // What can't be read can be erased, if somebody insists: perhaps only a deployment is missing.
      if (!force) throw error;
      this.#checkTold({ workflow, id });
      return;
    }
    if (live === undefined) throw refusal("not-found", `There is no ${workflow}/${id}.`);
    if (isRunning(live)) {
      throw refusal(
        "operation-not-possible",
        `${workflow}/${id} is still running. Terminate or cancel it first.`,
      );
    }
    const waiting = live.effects.size;
    if (waiting === 0) return;
    if (force) {
      this.#checkTold({ workflow, id });
      return;
    }
    throw refusal(
      "operation-not-possible",
      `${workflow}/${id} still has ${waiting} to deliver. Wait, retry them, or erase it with {"force": true}.`,
    );
  }

  #isSeen(scheduled: Scheduled, caller: Caller): boolean {
    try {
      this.sightOf(scheduled, caller);
      return true;
    } catch {
      return false;
    }
  }

  #firstState(workflow: RegisteredWorkflow, { id }: { id: string }, input: unknown): Step {
    try {
      return begin(workflow.machine, input);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw refusal(
        "operation-not-possible",
        `${workflow.key}/${id} has no first state to be ended in: its chart throws (${why}). Erase it instead.`,
      );
    }
  }

  #keep(scheduled: Scheduled, also: () => void = () => {}): void {
    const { transactions } = this.#processor;
    transactions.transact(() => {
      also();
      this.#store.schedule.write(scheduled);
      transactions.wakeAt(Math.min(scheduled.due ?? Infinity, this.#options.alsoDue()));
    });
  }
}
