import * as fc from "fast-check";
import type { Role } from "./ask.ts";
import {
  anyPhase,
  JSON_TYPE,
  letters,
  nonsense,
  readers,
  strangers,
  words,
  type Part,
  type Parts,
} from "./parts.ts";
import { USED_KEY, type Phase } from "./population.ts";

/** Customers' events that an order in this phase doesn't take, with data that is right. */
const notNow: Partial<Record<Phase, readonly string[]>> = {
  ordering: ["CONFIRM_PIZZA", "RETRY", "REMOVE_PIZZA"],
  chosen: ["RETRY", "REMOVE_PIZZA", "ADD_PIZZA"],
  baking: ["ADD_PIZZA", "REMOVE_PIZZA", "CONFIRM_PIZZA", "RETRY"],
  oven: ["ADD_PIZZA", "REMOVE_PIZZA", "CONFIRM_PIZZA", "RETRY", "CANCEL_ORDER"],
  "kitchen-failed": ["ADD_PIZZA", "REMOVE_PIZZA", "CONFIRM_PIZZA"],
  delivering: ["ADD_PIZZA", "REMOVE_PIZZA", "CONFIRM_PIZZA", "RETRY", "CANCEL_ORDER"],
  "delivery-failed": ["ADD_PIZZA", "REMOVE_PIZZA", "CONFIRM_PIZZA"],
  delivered: ["ADD_PIZZA", "REMOVE_PIZZA", "CONFIRM_PIZZA", "RETRY", "CANCEL_ORDER"],
  cancelled: ["ADD_PIZZA", "REMOVE_PIZZA", "CONFIRM_PIZZA", "RETRY", "CANCEL_ORDER"],
  scheduled: ["ADD_PIZZA", "CONFIRM_PIZZA"],
  erased: ["ADD_PIZZA", "CANCEL_ORDER"],
};
export const ofStations = ["PIZZA_IN_OVEN", "PIZZA_READY", "PIZZA_DELIVERED"];
const dataOf = (type: string, id: string): unknown =>
  type === "ADD_PIZZA"
    ? { id: "p1", pizza: "mango-tango" }
    : type === "REMOVE_PIZZA"
      ? { id: `q${id.replaceAll(/[^A-Za-z0-9]/g, "")}`.slice(0, 60) }
      : undefined;

interface Sent {
  as: Role;
  id: string;
  type: string;
  data: unknown;
  key?: string;
}

/** An event that reaches an instance and can't be taken by it. */
export const refusedEvents: fc.Arbitrary<Sent> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .constantFrom(
        ...Object.entries(notNow).flatMap(([id, types]) =>
          types.map((type) => [id, type] as const),
        ),
      )
      .chain(([id, type]) =>
        fc.record({
          as: fc.constant<Role>("customer"),
          id: fc.constant<string>(id),
          type: fc.constant(type),
          data: words.map((word) => dataOf(type, word)),
        }),
      ),
  },
  fc.record({
    as: fc.constantFrom<Role>("customer"),
    id: anyPhase as fc.Arbitrary<string>,
    type: fc.constantFrom(...ofStations),
    data: fc.constant(undefined),
  }),
  fc.record({
    as: fc.constant<Role>("other"),
    id: anyPhase as fc.Arbitrary<string>,
    type: fc.constantFrom("CANCEL_ORDER", "RETRY", "CONFIRM_PIZZA"),
    data: fc.constant(undefined),
  }),
  fc.record({
    as: readers,
    id: fc.constantFrom(...strangers),
    type: fc.constantFrom("CANCEL_ORDER", ...ofStations),
    data: fc.constant(undefined),
  }),
  fc.record({
    as: fc.constant<Role>("customer"),
    id: fc.constant("chosen"),
    type: fc.constant("ADD_PIZZA"),
    data: fc.constantFrom(
      { id: "p1", pizza: "coconut-dream" },
      { id: "p1", pizza: "banana-curry" },
    ),
    key: fc.constant(USED_KEY),
  }),
);

/** What a door sees through: an event's type or data that the table doesn't have. */
export const strangeEvents: fc.Arbitrary<Sent> = fc.record({
  as: readers,
  id: anyPhase as fc.Arbitrary<string>,
  type: fc.oneof(
    words.map((word) => `${word}!`),
    fc.constantFrom(
      "*",
      "xstate.init",
      "xstate.done.actor.0",
      "xstate.stop",
      "toString",
      "__proto__",
    ),
  ),
  data: nonsense,
});

const wrongData: fc.Arbitrary<Sent> = fc.record({
  as: readers,
  id: anyPhase as fc.Arbitrary<string>,
  type: fc.constantFrom(
    "ADD_PIZZA",
    "REMOVE_PIZZA",
    "CONFIRM_PIZZA",
    "PIZZA_FAILED",
    "CANCEL_ORDER",
  ),
  data: nonsense.map((value) => ({ unknown: value })),
});

export const eventOf = ({ type, data }: Sent) => (data === undefined ? { type } : { type, data });
const cloudEvent = (sent: Sent, id: string, more: object = {}) => ({
  ...{ specversion: "1.0", source: "//fuzz", id: `e-${id}`, ...eventOf(sent) },
  ...more,
});
const addressed = (sent: Sent): Part => ({
  as: sent.as,
  path: `/orders/${sent.id}/events`,
  headers: sent.key === undefined ? [JSON_TYPE] : [JSON_TYPE, ["Idempotency-Key", sent.key]],
});

export const sentEvents: Parts = fc.oneof(
  {
    weight: 6,
    arbitrary: refusedEvents.map((sent) => ({ ...addressed(sent), json: eventOf(sent) })),
  },
  {
    weight: 1,
    arbitrary: strangeEvents.map((sent) => ({ ...addressed(sent), json: eventOf(sent) })),
  },
  { weight: 1, arbitrary: wrongData.map((sent) => ({ ...addressed(sent), json: eventOf(sent) })) },
  {
    weight: 2,
    arbitrary: fc.tuple(refusedEvents, letters).map(([sent, id]) => ({
      ...addressed(sent),
      headers: [["Content-Type", "application/cloudevents+json"]] as const,
      json: cloudEvent({ ...sent, as: sent.as }, id, { subject: `orders/${sent.id}` }),
    })),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(refusedEvents, fc.array(letters, { maxLength: 5 })).map(([sent, ids]) => ({
      ...addressed(sent),
      headers: [["Content-Type", "application/cloudevents-batch+json"]] as const,
      json: ids.map((id) => cloudEvent(sent, id)),
    })),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(refusedEvents, letters, words).map(([sent, id, word]) => ({
      ...addressed(sent),
      headers: [
        ["ce-specversion", "1.0"],
        ["ce-id", id],
        ["ce-source", "//fuzz"],
        ["ce-type", sent.type],
        ["ce-extension", encodeURIComponent(word.toWellFormed())],
        JSON_TYPE,
      ] as const,
      ...(sent.data === undefined ? {} : { json: sent.data }),
    })),
  },
);
