import { refusal } from "../contract/problem.ts";

/** A query parameter; null where it isn't there. @throws ProblemError bad-parameter */
export function wholeNumber(
  query: URLSearchParams,
  name: string,
  least: number,
  most: number,
): number | null {
  const text = query.get(name);
  if (text === null) return null;
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  const detail = `${name} must be a whole number of at least ${least}, at most ${most}.`;
  throw refusal("bad-parameter", detail, { field: name });
}
