import { and, assign, createMachine, not, or, setup, stateIn } from "xstate";
import { describe, expect, it } from "vitest";
import { begin } from "../../src/kernel/step.ts";
import { allowed, allowedIn, chart, ok, type Asked } from "../support/guarded.ts";

const on = (guard: unknown) => ({ on: { E: { guard, actions: assign({}) } } });

describe("a guard", () => {
  const always = "passes";
  const never = "fails";
  const unsure = "depends";
  const swallowing = ({ event }: Asked): boolean => {
    try {
      return event.data?.ok === true;
    } catch {
      return false;
    }
  };
  it.each<[string, unknown, string]>([
    ["by name, of the context", "rich", always],
    ["by name, of the payload", "ok", unsure],
    ["with params", { type: "atLeast", params: { n: 1 } }, always],
    ["with params it fails", { type: "atLeast", params: { n: 2 } }, never],
    [
      "with params of the context",
      { type: "atLeast", params: ({ context }: Asked) => ({ n: context.list.length }) },
      always,
    ],
    [
      "with params of the payload",
      { type: "atLeast", params: ({ event }: Asked) => ({ n: event.data?.ok ? 1 : 2 }) },
      unsure,
    ],
    ["inline", ({ context }: Asked) => !context.rich, never],
    ["inline, of the payload", ok, unsure],
    ["of the type", ({ event }: Asked) => event.type === "E", always],
    ["that asks whether there is a payload", ({ event }: Asked) => "data" in event, unsure],
    ["that lists what there is", ({ event }: Asked) => Object.keys(event).length > 1, unsure],
    ["that spreads the event", ({ event }: Asked) => ({ ...event }).type === "E", unsure],
    ["that takes the rest", ({ event: { type, ...rest } }: Asked) => type in rest, unsure],
    ["that writes the event", ({ event }: Asked) => JSON.stringify(event) !== "", unsure],
    ["that shows the event", ({ event }: Asked) => Symbol.toStringTag in event, unsure],
    ["that asks for its own", ({ event }: Asked) => Object.hasOwn(event, "data"), unsure],
    ["that copies the event", ({ event }: Asked) => structuredClone(event).type === "E", unsure],
    ["that catches what is thrown", swallowing, unsure],
    ["that throws", "throws", unsure],
    ["and", and(["rich", { type: "atLeast", params: { n: 1 } }]), always],
    ["and, with a payload", and(["ok", "rich"]), unsure],
    ["and, with a payload that can't help", and(["ok", not("rich")]), never],
    ["or", or([not("rich"), "rich"]), always],
    ["or, with a payload", or(["ok", not("rich")]), unsure],
    ["or, with a payload that doesn't matter", or(["ok", "rich"]), always],
    ["or, by name", "either", always],
    ["not, by name", not("either"), never],
    ["not, of a payload", not("ok"), unsure],
    ["combined, with one that throws", and(["rich", "throws"]), unsure],
    ["stateIn", stateIn("#chart.a"), always],
    ["not stateIn", not(stateIn("a")), never],
  ])("%s", (_, guard, expected) => {
    const states = { initial: "a", states: { a: {} } };
    expect(allowed({ ...states, ...on(guard) })).toEqual({ E: expected });
  });

  it("that looks at an actor finds it as in a step", () => {
    const child = createMachine({ initial: "up", states: { up: {} } });
    const { state } = begin(
      setup({ actors: { child } }).createMachine({
        context: ({ spawn }) => ({ ref: spawn("child", { id: "kid" }) }),
        on: {
          UP: {
            guard: ({ context }) => context.ref.getSnapshot().value === "up",
            actions: assign({}),
          },
        },
      }),
      undefined,
    );
    expect(allowedIn(state)).toEqual({ UP: "passes" });
  });

  it("can't alter the context, the event, or what it is asked next", () => {
    const { state } = begin(
      chart(
        {
          on: {
            PUSH: {
              guard: ({ context }: Asked) => context.list.push({ n: 2 }) > 0,
              actions: assign({}),
            },
            DEEP: {
              guard: ({ context }: Asked) => (context.list[0]!.n += 1) > 0,
              actions: assign({}),
            },
            WRITE: {
              guard: ({ event }: Asked) => ((event.data = { ok: true }), true),
              actions: assign({}),
            },
            SORT: {
              guard: ({ context }: Asked) => context.list.toSorted((a, b) => a.n - b.n)[0]!.n === 1,
              actions: assign({}),
            },
          },
        },
        {},
      ),
      undefined,
    );
    expect(allowedIn(state)).toEqual({
      PUSH: "depends",
      DEEP: "depends",
      WRITE: "depends",
      SORT: "passes",
    });
    expect(state.snapshot.context).toEqual({ rich: true, list: [{ n: 1 }] });
  });
});
