import type { Live } from "./live.ts";

const MINUTE = 60_000;

/**
 * Stops an instance that keeps itself busy: counts the transitions that come from inside, minute by
 * minute. In memory only, since a loop that is evicted between its turns is slow enough.
 */
export class LoopGuard {
  #minute = 0;
  #count = 0;
  #limit = Infinity;

  /** Counts a transition from inside; false where it has to wait for the next minute. */
  admits({ workflow }: Live, now: number): boolean {
    const minute = Math.floor(now / MINUTE);
    if (minute !== this.#minute) {
      this.#minute = minute;
      this.#count = 0;
    }
    this.#limit = workflow.transitionsPerMinute;
    if (this.#count >= this.#limit) return false;
    this.#count += 1;
    return true;
  }

  /** When inner work may go on; -Infinity where nothing stops it. */
  until(now: number): number {
    const isStopped = this.#count >= this.#limit && Math.floor(now / MINUTE) === this.#minute;
    return isStopped ? (this.#minute + 1) * MINUTE : -Infinity;
  }

  why(now: number): string | undefined {
    const until = this.until(now);
    if (until === -Infinity) return undefined;
    return `It has taken ${this.#limit} transitions from inside within a minute; the rest waits until ${new Date(until).toISOString()}. Look for timers or actors that set each other off.`;
  }
}
