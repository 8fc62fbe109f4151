/**
 * The object's one alarm. It is only ever moved earlier, so that a busy instance can't push its own
 * deadlines away; the alarm handler alone may set it later, once it has done what was due.
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

  /** For when a transaction that set it was rolled back. */
  restore(at: number): void {
    this.#at = at;
  }

  get at(): number {
    return this.#at;
  }
}
