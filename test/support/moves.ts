import * as fc from "fast-check";

/** Something that happens to a random chart, and how the world is meanwhile. */
const move = fc.record({
  kind: fc.oneof(
    { weight: 10, arbitrary: fc.constant("send" as const) },
    { weight: 4, arbitrary: fc.constant("advance" as const) },
    { weight: 4, arbitrary: fc.constant("settle" as const) },
  ),
  choice: fc.nat(1_000),
  restart: fc.boolean(),
  crash: fc.oneof(
    { weight: 4, arbitrary: fc.constant(null) },
    { weight: 1, arbitrary: fc.constantFrom("before" as const, "after" as const) },
  ),
  duplicates: fc.oneof(
    { weight: 4, arbitrary: fc.constant(0) },
    { weight: 1, arbitrary: fc.nat(2) },
  ),
});

export const history = fc.array(move, { minLength: 8, maxLength: 30, size: "max" });

export type Move = typeof move extends fc.Arbitrary<infer One> ? One : never;
