import type { Report } from "./report.ts";
import type { Projection } from "../contract/projection.ts";
import { backoff } from "../egress/timing.ts";
import type { ListingCursor, ListingCursorStore } from "./listing-cursor.ts";
import type { Mark, Unsent } from "./projection.ts";

/** An instance tells the list of itself at most once in so long. */
const PAUSE = 1_000;

/** A message that was not taken within so long is sent anew. */
const PATIENCE = 30_000;

export interface ListingOptions {
  queue: Pick<Queue<Projection>, "send">;
  storage: Pick<DurableObjectStorage, "transactionSync">;
  cursors: ListingCursorStore;
  clock: () => number;
  report: Report;
}

/**
 * Keeps the list informed of one instance. What it is behind of shows in the instance's due time, so
 * the alarm is set by the very transaction that changed something: no change can be committed that
 * the list never learns of.
 */
export class Listing {
  readonly #options: ListingOptions;
  #cursor: ListingCursor | undefined;
  #isRead = false;
  /** When the message under way counts as lost; -Infinity where there is none. */
  #patientUntil = -Infinity;
  #failures = 0;
  #retryAt = -Infinity;

  constructor(options: ListingOptions) {
    this.#options = options;
  }

  /**
   * When the alarm is to ring for the list's sake; Infinity where the list knows everything. A pause
   * after the change, so that a burst of events costs one message.
   *
   * @param countIncidents asked only where nothing else tells that the list is behind
   */
  due(mark: Omit<Mark, "incidents">, changedAt: number, countIncidents: () => number): number {
    if (!this.#isBehind(mark, countIncidents)) return Infinity;
    return Math.max(changedAt + PAUSE, this.#earliest());
  }

  /**
   * Sends the newest, where the list is behind and was not told within the last second. Whoever rings
   * the alarm, and for whatever reason, so that no other deadline can put this off for ever.
   *
   * @returns what settles once it is known whether it was taken; null where nothing was sent
   */
  tell(mark: Mark, project: () => Unsent): Promise<void> | null {
    const now = this.#options.clock();
    if (now < this.#earliest() || !this.#isBehind(mark, () => mark.incidents)) return null;
    this.#patientUntil = now + PATIENCE;
    return this.#send(mark, project, now);
  }

  /** Has the list told anew, whatever it knows: no instance is in epoch 0. */
  forget(): void {
    const cursor = this.#known();
    if (cursor === undefined || cursor.epoch === 0) return;
    this.#options.storage.transactionSync(() => this.#keep({ ...cursor, epoch: 0 }));
  }

  async #send(mark: Mark, project: () => Unsent, sentAt: number): Promise<void> {
    const { queue, storage, clock, report } = this.#options;
    try {
      const revision = Math.max(sentAt, (this.#known()?.revision ?? 0) + 1);
      await queue.send({ ...project(), revision }, { contentType: "json" });
      storage.transactionSync(() => this.#keep({ ...mark, revision, sentAt }));
      this.#failures = 0;
    } catch (error) {
      this.#isRead = false;
      this.#failures += 1;
      this.#retryAt = clock() + PAUSE + backoff(this.#failures);
      report("The list could not be told", error);
    }
    this.#patientUntil = -Infinity;
  }

  #isBehind({ epoch, seq }: Omit<Mark, "incidents">, countIncidents: () => number): boolean {
    const cursor = this.#known();
    if (cursor === undefined || cursor.epoch !== epoch || cursor.seq !== seq) return true;
    return cursor.incidents !== countIncidents();
  }

  #earliest(): number {
    const sentAt = this.#known()?.sentAt ?? -Infinity;
    return Math.max(sentAt + PAUSE, this.#retryAt, this.#patientUntil);
  }

  #known(): ListingCursor | undefined {
    if (!this.#isRead) {
      this.#cursor = this.#options.cursors.read();
      this.#isRead = true;
    }
    return this.#cursor;
  }

  #keep(cursor: ListingCursor): void {
    this.#options.cursors.write(cursor);
    this.#cursor = cursor;
  }
}
