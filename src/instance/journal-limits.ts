import { log } from "../contract/log.ts";
import { defaultLimits, type Limits } from "../contract/limits.ts";
import { refusal } from "../contract/problem.ts";
import type { Incident } from "../contract/view.ts";
import { isToBeginAgain } from "./begin-again.ts";
import type { Live } from "./live.ts";
import type { Store } from "./store.ts";

/** Entries after which the database is measured again: it costs a query. */
const MEASURE_EVERY = 100;

const WAY_ON = "archive it (POST …/archive), or give its workflow continueAfter";

/** How long an instance's journal has become, and what follows. Costs an event a subtraction. */
export class JournalLimits {
  readonly #store: Store;
  readonly #limits: Limits;
  #bytes = 0;
  /** The seq from which on the database is measured again; at waking at once. */
  #measureAt = 0;
  #isReported = false;

  constructor(store: Store, limits: Limits = defaultLimits) {
    this.#store = store;
    this.#limits = limits;
  }

  /** Whether the instance takes no events, and what comes from inside waits. */
  isFull(live: Live): boolean {
    return this.#whyFull(live) !== null;
  }

  /** @throws ProblemError journal-full */
  check(live: Live): void {
    const why = this.#whyFull(live);
    if (why === null) return;
    const { workflow, id } = live.identity;
    throw refusal(
      "journal-full",
      `${workflow}/${id} takes no more events: ${why}. To go on, ${WAY_ON}.`,
    );
  }

  incident(live: Live): Pick<Incident, "kind" | "what" | "error"> | null {
    const why = this.#whyFull(live);
    const entries = this.#entries(live);
    const what = `journal of ${entries} entries`;
    if (why !== null) {
      const error = `It takes no more events, and timers and results wait: ${why}. To go on, ${WAY_ON}.`;
      return { kind: "journal-full", what, error };
    }
    const { longJournal, fullJournal } = this.#limits;
    if (entries < longJournal) return null;
    const error = `At ${fullJournal} entries it will take no more events: ${WAY_ON}.`;
    return { kind: "long-journal", what, error };
  }

  /** Says so in the log, once while the instance is awake. */
  report(live: Live): void {
    if (this.#isReported || this.#entries(live) < this.#limits.longJournal) return;
    this.#isReported = true;
    const { tenant, workflow, id, epoch } = live.identity;
    const entries = this.#entries(live);
    const place = { tenant, workflow, instance: id, epoch, seq: live.seq };
    log.warn(`The journal has ${entries} entries: ${WAY_ON}`, place);
  }

  /** After entries were removed. */
  forget(): void {
    this.#measureAt = 0;
  }

  #entries({ seq }: Live): number {
    return seq - this.#store.archived.through();
  }

  #whyFull(live: Live): string | null {
    if (isToBeginAgain(live)) return null;
    const { fullJournal, databaseBytes } = this.#limits;
    const entries = this.#entries(live);
    if (entries >= fullJournal) return `its journal has ${entries} entries, at most ${fullJournal}`;
    if (live.seq >= this.#measureAt || live.seq < this.#measureAt - MEASURE_EVERY) {
      this.#bytes = this.#store.bytes();
      this.#measureAt = live.seq + MEASURE_EVERY;
    }
    if (this.#bytes < databaseBytes) return null;
    return `its database has ${this.#bytes} bytes, at most ${databaseBytes}`;
  }
}
