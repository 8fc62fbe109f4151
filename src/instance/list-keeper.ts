import type { Report } from "./report.ts";
import type { Projection } from "../contract/projection.ts";
import { Quarantined } from "../kernel/errors.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import type { AlarmClock } from "../contract/alarm-clock.ts";
import type { Edges } from "./edges.ts";
import type { Follower } from "./follower.ts";
import { Listing } from "./listing.ts";
import { ListingCursorStore } from "./listing-cursor.ts";
import type { Live } from "./live.ts";
import type { Processor } from "./processor.ts";
import { scheduledIncidents } from "./partial-views.ts";
import {
  IN_QUARANTINE,
  markOf,
  projectionOf,
  projectionOfErased,
  projectionOfQuarantined,
  projectionOfScheduled,
  type Mark,
  type Unsent,
} from "./projection.ts";
import type { Store } from "./store.ts";
import type { Troubles } from "./incidents.ts";

/** The binding by which instances tell the list of themselves; where there is none, there is no list. */
interface ListEnv {
  LIST_QUEUE?: Queue<Projection>;
}

export interface ListKeeperOptions {
  context: Pick<DurableObjectState, "id" | "storage" | "waitUntil">;
  store: Store;
  alarm: AlarmClock;
  processor: () => Processor;
  edges: () => Edges;
  workflows: ReadonlyMap<string, RegisteredWorkflow>;
  clock: () => number;
  report: Report;
}

/** Brings an instance and what the list knows of it together: when to tell, and what. */
export class ListKeeper implements Follower {
  readonly #options: ListKeeperOptions;
  readonly #listing: Listing;
  /** While the alarm's handler is at work: at its end it tells the list, and sets the alarm. */
  #isRinging = false;

  private constructor(options: ListKeeperOptions, queue: Queue<Projection>) {
    const { context, clock, report } = options;
    this.#options = options;
    this.#listing = new Listing({
      queue,
      storage: context.storage,
      cursors: new ListingCursorStore(context.storage.sql),
      clock,
      report,
    });
  }

  /** Undefined where this deployment keeps no list. */
  static of(options: ListKeeperOptions, env: unknown): ListKeeper | undefined {
    const queue = (env as ListEnv | undefined)?.LIST_QUEUE;
    return queue === undefined ? undefined : new ListKeeper(options, queue);
  }

  /** When the alarm is to ring for the list's sake; Infinity for never. */
  due(live: Live): number {
    if (this.#isRinging) return Infinity;
    const { seq, identity, updatedAt } = live;
    const incidents = () => markOf(live, this.#troubles).incidents;
    return this.#listing.due({ epoch: identity.epoch, seq }, updatedAt, incidents);
  }

  /** As `due`, of what is no instance yet, or no more: then the handler may end without telling the list. */
  dueAtEdge(): number {
    const edge = this.#edge();
    if (edge === null) return Infinity;
    return this.#listing.due(edge.mark, edge.changedAt, () => edge.mark.incidents);
  }

  /** The alarm rings; `ring` or `ringFailed` will follow. */
  beginRinging(): void {
    this.#isRinging = true;
  }

  /** What the alarm rang for is done. @returns whether the list is being told */
  ring(): boolean {
    this.#isRinging = false;
    const edge = this.#edge();
    if (edge !== null) return this.#wait(this.#listing.tell(edge.mark, edge.project));
    const live = this.#options.processor().current();
    if (live === undefined) return false;
    const { context, report } = this.#options;
    const troubles = this.#troubles;
    return this.#wait(
      this.#listing.tell(markOf(live, troubles), () =>
        projectionOf(context.id.toString(), live, troubles, report),
      ),
    );
  }

  /** The handler failed. What can't be read is listed from its rows, which stay as they are. */
  ringFailed(error: unknown): void {
    this.#isRinging = false;
    if (!(error instanceof Quarantined)) return;
    const { context, store, workflows, report } = this.#options;
    const mark = { ...this.#place(), incidents: IN_QUARANTINE };
    this.#wait(
      this.#listing.tell(mark, () =>
        projectionOfQuarantined(context.id.toString(), store, workflows, error, report),
      ),
    );
  }

  /** Sees to it that the alarm rings where the list doesn't know yet that the instance can't be read. */
  remindQuarantined(): void {
    this.#options.alarm.noLaterThan(this.#listing.due(this.#place(), 0, () => IN_QUARANTINE));
  }

  /** Has the list told anew, whatever it knows. */
  forget(): void {
    this.#listing.forget();
  }

  #edge(): { mark: Mark; changedAt: number; project: () => Unsent } | null {
    const { context, edges } = this.#options;
    const object = context.id.toString();
    const { tombstone, scheduled } = edges();
    if (tombstone !== null) {
      const mark = { epoch: tombstone.epoch + 1, seq: 0, incidents: 0 };
      const project = () => projectionOfErased(object, tombstone);
      return { mark, changedAt: tombstone.erasedAt, project };
    }
    if (scheduled === null) return null;
    const mark = { epoch: 1, seq: 0, incidents: scheduledIncidents(scheduled).length };
    const project = () => projectionOfScheduled(object, scheduled);
    return { mark, changedAt: scheduled.createdAt, project };
  }

  #place(): { epoch: number; seq: number } {
    const { store } = this.#options;
    return { epoch: store.identity().epoch, seq: store.state().seq };
  }

  get #troubles(): Troubles {
    return this.#options.processor().troubles;
  }

  /** Once it is known whether the list was told, the alarm is set to what is due next. */
  #wait(told: Promise<void> | null): boolean {
    if (told === null) return false;
    this.#options.context.waitUntil(told.then(() => this.#setAlarm()));
    return true;
  }

  #setAlarm(): void {
    const { alarm, processor, edges, report } = this.#options;
    try {
      const live = processor().current();
      const atEdge = (): number => Math.min(edges().due, this.dueAtEdge());
      const due = live === undefined ? atEdge() : processor().due(live);
      if (due !== alarm.at) alarm.set(due);
    } catch (error) {
      // The alarm handler has set the alarm to when it looks at what it can't read again.
      if (error instanceof Quarantined) this.remindQuarantined();
      else report("The alarm could not be set", error);
    }
  }
}
