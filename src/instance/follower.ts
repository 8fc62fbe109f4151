import type { Watchers } from "../broadcast/watchers.ts";
import type { Live } from "./live.ts";

/** Somebody who is told of an instance after the fact, by its alarm: the list, an export. */
export interface Follower {
  /** When the alarm is to ring for its sake; Infinity where it knows everything. */
  due(live: Live): number;
  /** The alarm rings; `ring` or `ringFailed` will follow. */
  beginRinging(): void;
  /** What the alarm rang for is done. @returns whether it is being told; the alarm is set again when that is known */
  ring(): boolean;
  ringFailed(error: unknown): void;
}

/** Closes sockets when their tokens end. */
export function closing(
  watchers: Pick<Watchers, "due" | "closeEnded">,
  clock: () => number,
): Follower {
  const close = () => watchers.closeEnded(clock());
  return {
    due: () => watchers.due(),
    beginRinging: close,
    ring: () => false,
    ringFailed: () => {},
  };
}
