/**
 * The object's one alarm. It is only ever moved earlier, so that traffic can't push deadlines away; the
 * handler alone may set it later, once it has done what was due.
 */
export class Alarm {
  readonly #context: Pick<DurableObjectState, "storage" | "waitUntil">;
  /** When it will ring; Infinity for never. */
  #at = Infinity;

  constructor(context: Pick<DurableObjectState, "storage" | "waitUntil">) {
    this.#context = context;
  }

  /** After a restart, memory knows nothing of the real one. */
  async read(): Promise<void> {
    this.#at = (await this.#context.storage.getAlarm()) ?? Infinity;
  }

  noLaterThan(due: number): void {
    if (due < this.#at) this.set(due);
  }

  set(due: number): void {
    this.#at = due;
    const { storage } = this.#context;
    this.#context.waitUntil(due === Infinity ? storage.deleteAlarm() : storage.setAlarm(due));
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
}
