import type { Rate } from "./limits.ts";

/** A token bucket, as it is kept with a socket. */
export interface Bucket {
  left: number;
  /** Milliseconds since the epoch. */
  at: number;
}

/**
 * One more.
 *
 * @param bucket null for one that nothing was taken from yet
 * @returns the bucket afterwards; null where it was empty
 */
export function take(bucket: Bucket | null, { burst, perSecond }: Rate, now: number) {
  const { left, at } = bucket ?? { left: burst, at: now };
  // A clock that was set back gives nothing, and takes nothing.
  const filled = Math.min(burst, left + (Math.max(0, now - at) / 1_000) * perSecond);
  return filled < 1 ? null : { left: filled - 1, at: now };
}
