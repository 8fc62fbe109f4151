/**
 * The object's one alarm. It is only ever moved earlier, so that traffic can't push deadlines
 * away; the alarm handler alone may set it later, once it has done what was due.
 */
export class AlarmClock {
  readonly #context: Pick<DurableObjectState, "storage" | "waitUntil">;
  /** When the alarm will ring; Infinity for never. */
  #at = Infinity;

  constructor(context: Pick<DurableObjectState, "storage" | "waitUntil">) {
    this.#context = context;
  }

  /** Reads the real alarm: after a restart, memory knows nothing of it. */
  async read(): Promise<void> {
    this.#at = (await this.#context.storage.getAlarm()) ?? Infinity;
  }

  /** Makes sure that the alarm rings at `due` at the latest. May be called inside a transaction. */
  noLaterThan(due: number): void {
    if (due < this.#at) this.set(due);
  }

  /** Sets the alarm to `due`, later or not; to none for Infinity. */
  set(due: number): void {
    this.#at = due;
    const { storage } = this.#context;
    const done = due === Infinity ? storage.deleteAlarm() : storage.setAlarm(due);
    this.#context.waitUntil(done);
  }

  /** A transaction whose alarm, if it sets one, is rolled back with it. */
  transact<Result>(work: () => Result): Result {
    const before = this.#at;
    try {
      return this.#context.storage.transactionSync(work);
    } catch (error) {
      this.#at = before;
      throw error;
    }
  }

  /** For when a transaction that set it was rolled back. */
  restore(at: number): void {
    this.#at = at;
  }

  get at(): number {
    return this.#at;
  }
}
