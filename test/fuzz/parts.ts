import * as fc from "fast-check";
import type { Secrets } from "../../src/cli/secrets.ts";
import type { Ask, Role } from "./ask.ts";
import { phases, type Phase, type Population } from "./population.ts";

/** What requests are made of. */
export interface World {
  population: Population;
  secrets: Secrets;
}

/** Part of a request; the rest is the route's. */
export type Part = Partial<Omit<Ask, "raw">> & { json?: unknown };
export type Parts = fc.Arbitrary<Part>;

export const JSON_TYPE = ["Content-Type", "application/json"] as const;

/** Few, since each makes an object in memory. */
export const strangers = ["nobody-1", "nobody-2", "nobody-3", "nobody.4", "nobody~5"];
export const anyPhase = fc.constantFrom<Phase>(...phases);
export const words = fc.string({ unit: "binary", maxLength: 30 });
export const nonsense = fc.jsonValue({ maxDepth: 2 });
export const roles = fc.constantFrom<Role>("customer", "other", "service", "operator", "nobody");
export const readers = fc.constantFrom<Role>("customer", "other", "service", "operator");
export const letters = fc.string({
  unit: fc.constantFrom(...Array.from("abcdefghij")),
  minLength: 1,
  maxLength: 12,
});
export const hexadecimal = (length: number) =>
  fc.string({
    unit: fc.constantFrom(...Array.from("0123456789abcdef")),
    minLength: length,
    maxLength: length,
  });

export const bodyless = (paths: fc.Arbitrary<string>, as: fc.Arbitrary<Role> = readers): Parts =>
  fc.record({ as, path: paths });
export const numbers = fc.oneof(
  fc.integer({ min: 0, max: 40 }).map(String),
  fc.constantFrom("-1", "1e3", "0x10", "99999999999999999999", "1.5", "", " 1", "+1", "١", "NaN"),
);
export const knownIds = fc.constantFrom<string>(...phases, ...strangers);
export const queries = fc
  .array(
    fc.tuple(
      fc.constantFrom(
        ...["status", "state", "version", "incident", "owner", "attribute.customer", "limit"],
        ...["createdAfter", "createdBefore", "cursor", "counts", "attribute.$x", "x", "origin"],
      ),
      fc.oneof(words, numbers, fc.constantFrom("active", "true", "2026-11-22", "any", "bakePizza")),
    ),
    { maxLength: 4 },
  )
  .map((pairs) =>
    new URLSearchParams(pairs.map(([name, value]) => [name, value.toWellFormed()])).toString(),
  );
