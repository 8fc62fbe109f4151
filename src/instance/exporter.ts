import { subjectOf } from "../contract/address.ts";
import type { Transition, TransitionExport } from "../contract/transition.ts";
import { backoff } from "../egress/timing.ts";
import type { Follower } from "./follower.ts";
import type { Live } from "./live.ts";
import type { Report } from "./report.ts";
import type { Store } from "./store.ts";
import { iso, journalEntry } from "./view.ts";

/** Entries go together that happen within so long; milliseconds. */
const PAUSE = 1_000;

/** What was not taken within so long is sent anew. */
const PATIENCE = 30_000;

/** Entries that go together. */
const PAGE = 100;

export interface ExporterOptions {
  to: TransitionExport;
  store: Store;
  context: Pick<DurableObjectState, "storage" | "waitUntil">;
  current: () => Live | undefined;
  /** Sets the alarm to what is due now. */
  setAlarm: () => void;
  clock: () => number;
  report: Report;
}

/**
 * Sends every entry of the journal on, in its order, at least once. What is behind shows in the instance's
 * due time, so that the transaction that made the entry sets the alarm, and no row is written for it.
 */
export class Exporter implements Follower {
  readonly #options: ExporterOptions;
  #patientUntil = -Infinity;
  #retryAt = -Infinity;
  #failures = 0;
  /** While the alarm's handler is at work: at its end the rest is sent. */
  #isRinging = false;

  constructor(options: ExporterOptions) {
    this.#options = options;
    options.store.exports.isOn = true;
  }

  /** When the alarm is to ring for its sake; Infinity where all is exported. */
  due({ identity: { epoch }, seq, updatedAt }: Live): number {
    if (this.#isRinging || !this.#options.store.exports.isBehind({ epoch, seq })) return Infinity;
    return Math.max(updatedAt + PAUSE, this.#retryAt, this.#patientUntil);
  }

  beginRinging(): void {
    this.#isRinging = true;
  }

  /** Sends what is next. @returns whether something is being sent */
  ring(): boolean {
    const { clock, current, context, setAlarm } = this.#options;
    this.#isRinging = false;
    const live = current();
    const now = clock();
    if (live === undefined || this.due(live) > now) return false;
    this.#patientUntil = now + PATIENCE;
    context.waitUntil(this.#send(live).then(setAlarm));
    return true;
  }

  ringFailed(): void {
    this.#isRinging = false;
  }

  async #send(live: Live): Promise<void> {
    const { to, store, context, clock, report } = this.#options;
    try {
      const entries = store.exports.next(live.identity.epoch, PAGE);
      const last = entries.at(-1);
      if (last !== undefined) {
        await to.send(
          entries.map(({ epoch, row }) =>
            transitionOf(live, journalEntry({ identity: { ...live.identity, epoch } }, row)),
          ),
        );
        // Erased meanwhile: there is nothing left to note.
        if (store.exists()) {
          context.storage.transactionSync(() =>
            store.exports.sent({ epoch: last.epoch, seq: last.row.seq }),
          );
        }
      }
      this.#failures = 0;
      this.#retryAt = -Infinity;
    } catch (error) {
      store.exports.forget();
      this.#failures += 1;
      this.#retryAt = clock() + backoff(this.#failures);
      report("Transitions could not be exported", error);
    }
    this.#patientUntil = -Infinity;
  }
}

function transitionOf({ identity }: Live, data: Transition["data"]): Transition {
  const subject = subjectOf(identity);
  return {
    specversion: "1.0",
    id: `${data.epoch}-${data.seq}`,
    source: `/${subject}`,
    type: "durachart.transition",
    subject,
    time: iso(Date.parse(data.at)),
    datacontenttype: "application/json",
    tenant: identity.tenant,
    data,
  };
}
