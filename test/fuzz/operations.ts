import * as fc from "fast-check";
import type { Role } from "./ask.ts";
import { eventOf, refusedEvents, strangeEvents } from "./events.ts";
import { anyPhase, JSON_TYPE, nonsense, roles, strangers, words, type Parts } from "./parts.ts";
import { phases, type Phase } from "./population.ts";

/** Operations that change nothing of what they are asked of. */
const idleOperations: Record<string, { ids: readonly Phase[]; body: fc.Arbitrary<unknown> }> = {
  pause: { ids: ["paused", "delivered", "cancelled", "erased", "scheduled"], body: reasons() },
  resume: { ids: phases.filter((id) => id !== "paused"), body: reasons() },
  terminate: { ids: ["delivered", "cancelled", "erased"], body: reasons() },
  cancel: {
    ids: ["oven", "delivering", "delivered", "cancelled", "erased"],
    body: fc.constant({}),
  },
  retry: {
    ids: phases.filter((id) => id !== "scheduled"),
    body: words.map((word) => ({ incident: `none:${word}` })),
  },
  discard: { ids: phases, body: words.map((word) => ({ incident: word })) },
  rewind: {
    ids: phases,
    body: fc.integer({ min: 1_000, max: Number.MAX_SAFE_INTEGER }).map((to) => ({ to })),
  },
  migrate: { ids: phases, body: words.map((word) => ({ to: `none-${word}` })) },
  erase: {
    ids: ["ordering", "chosen", "baking", "oven", "kitchen-failed", "delivering", "erased"],
    body: fc.constantFrom({}, { force: false }, { force: true }),
  },
  archive: {
    ids: phases,
    body: fc.integer({ min: 1_000, max: Number.MAX_SAFE_INTEGER }).map((keep) => ({ keep })),
  },
};

function reasons(): fc.Arbitrary<unknown> {
  return words.map((word) => ({ reason: word.slice(0, 400) }));
}

const operationsOf = (name: string): Parts => {
  const { ids, body } = idleOperations[name]!;
  return fc.oneof(
    {
      weight: 3,
      arbitrary: fc
        .tuple(fc.constantFrom<string>(...ids, ...strangers), body)
        .map(([id, json]) => ({
          ...{ as: "operator" as const, path: `/orders/${id}/${name}`, headers: [JSON_TYPE], json },
        })),
    },
    {
      weight: 2,
      arbitrary: fc
        .tuple(fc.constantFrom<Role>("customer", "other", "service"), anyPhase, body)
        .map(([as, id, json]) => ({
          ...{ as, path: `/orders/${id}/${name}`, headers: [JSON_TYPE], json },
        })),
    },
    {
      weight: 1,
      // Its body may get lost: then it is the operation as it should be.
      arbitrary: fc.tuple(roles, fc.constantFrom(...ids), nonsense).map(([as, id, json]) => ({
        ...{ as, path: `/orders/${id}/${name}`, headers: [JSON_TYPE], json: { unknown: json } },
      })),
    },
  );
};

export const supposed = fc.oneof(
  refusedEvents.map(eventOf),
  fc.record({ type: fc.constantFrom("ADD_PIZZA", "CONFIRM_PIZZA", "PIZZA_READY"), data: nonsense }),
  strangeEvents.map(eventOf),
  fc.double({ min: 0, max: 315_576_000_000, noNaN: true }).map((advance) => ({ advance })),
  fc.record({ actor: words, output: nonsense }),
  fc.record({ actor: words, error: fc.record({ name: words, message: words }) }),
);

/** By method and path. */
export const operating: Record<string, Parts> = Object.fromEntries(
  Object.keys(idleOperations).map((name) => [`POST /:workflow/:id/${name}`, operationsOf(name)]),
);
