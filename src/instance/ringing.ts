import type { Runner } from "../egress/runner.ts";
import type { AlarmClock } from "../contract/alarm-clock.ts";
import type { Edges } from "./edges.ts";
import type { Follower } from "./follower.ts";
import type { ListKeeper } from "./list-keeper.ts";
import type { Processor } from "./processor.ts";
import type { Report } from "./report.ts";
import type { Store } from "./store.ts";

/** If the alarm handler is killed half-way, the alarm it set first rings after so long. */
const DEAD_MAN = 30_000;

/** When the handler itself fails (a quarantined state, say), it is tried again after so long. */
const AFTER_FAILURE = 600_000;

export interface RingingOptions {
  context: Pick<DurableObjectState, "waitUntil">;
  store: Store;
  alarm: AlarmClock;
  processor: Processor;
  edges: Edges;
  runner: Runner;
  list: ListKeeper | undefined;
  /** The list is one of them. */
  followers: readonly Follower[];
  clock: () => number;
  report: Report;
}

/** What an instance does when its alarm rings, and when it is to ring next. */
export class Ringing {
  readonly #options: RingingOptions;

  constructor(options: RingingOptions) {
    this.#options = options;
  }

  ring(): void {
    const { alarm, store, edges, processor, runner, followers, clock, report } = this.#options;
    const now = clock();
    alarm.set(now + DEAD_MAN);
    for (const follower of followers) follower.beginRinging();
    try {
      edges.beginDue(now);
      if (store.exists()) {
        processor.fireTimers(now);
        runner.runDue(now);
      }
      const clearing = edges.clearDue(now);
      if (clearing !== null) return this.#clear(clearing);
      this.#rung();
    } catch (error) {
      // The platform drops an alarm whose handler has thrown seven times: keep it, further apart.
      report("The alarm failed", error);
      alarm.set(now + AFTER_FAILURE);
      for (const follower of followers) follower.ringFailed(error);
    }
  }

  /** When there is next something to do; Infinity for never. @throws Quarantined */
  due(): number {
    const { store, edges, list, processor } = this.#options;
    if (!store.exists()) return Math.min(edges.due, list?.dueAtEdge() ?? Infinity);
    return processor.due(processor.current()!);
  }

  /** Sets the alarm to what is due now. */
  setAlarm(): void {
    const { alarm, report } = this.#options;
    try {
      const due = this.due();
      if (due !== alarm.at) alarm.set(due);
    } catch (error) {
      // The handler has set it to when it looks at what it can't read again.
      report("The alarm could not be set", error);
    }
  }

  /** What was due is done: the followers are told, and the alarm set to what is due next. */
  #rung(): void {
    const { alarm, followers } = this.#options;
    const isTelling = followers.filter((follower) => follower.ring()).length > 0;
    const due = this.due();
    // Once they were told, the alarm is set again: until then what was set before will do.
    if (isTelling) alarm.noLaterThan(due);
    else alarm.set(due);
  }

  /** Should it fail or be killed, the alarm that is set already rings again. */
  #clear(clearing: Promise<void>): void {
    const { context, list, report } = this.#options;
    const failed = (error: unknown): void => {
      report("What was erased could not be cleared away", error);
      list?.ring();
    };
    context.waitUntil(clearing.then(() => this.#rung(), failed));
  }
}
