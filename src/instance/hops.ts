import { refusal } from "../contract/problem.ts";

/** Instances that an event may pass through. */
const MAX_HOPS = 32;

/** @throws ProblemError too-many-hops */
export function checkHops(hops: number): void {
  if (hops <= MAX_HOPS) return;
  throw refusal(
    "too-many-hops",
    `The event has passed through ${hops} instances; at most ${MAX_HOPS}. Look for instances that answer each other without end.`,
  );
}
