/** How long a run may go unrenewed before another takes it over, in milliseconds. */
export const LEASE = 30_000;

const FIRST = 1_000;
const LONGEST = 3_600_000;

/**
 * Milliseconds to wait before the try after `attempt`: exponential with full jitter, from 1 s up to
 * an hour unless said otherwise, so that many instances that failed together don't come back together.
 */
export function backoff(
  attempt: number,
  { first = FIRST, longest = LONGEST }: { first?: number; longest?: number } = {},
  random: () => number = Math.random,
): number {
  return Math.ceil(random() * Math.min(longest, first * 2 ** (attempt - 1)));
}
