import type { Problem } from "./problem.ts";

/** Statuses that pass by themselves: not started yet, not now, overloaded. */
const PASSING = new Set([404, 409, 429, 500, 503]);

/** Problems that stay, whatever their status: an id or key in use stays so, and so does an end. */
const LASTING = /:(id-in-use|key-reused|has-ended)$/;

/** Whether sending the same again may help. */
export function isPassing({ status, type }: Problem): boolean {
  return PASSING.has(status) && !LASTING.test(type);
}
