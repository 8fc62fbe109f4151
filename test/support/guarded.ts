import { and, assign, not, or, setup, stateIn, type AnyStateMachine } from "xstate";
import { outlook, prospectsOf } from "../../src/kernel/allowed.ts";
import { begin, type MachineState } from "../../src/kernel/step.ts";
import type { Tape } from "./tape.ts";

/** The context of a chart that has guards of all kinds. */
export interface Facts {
  rich: boolean;
  list: { n: number }[];
}

interface Sent {
  type: string;
  data?: { ok?: boolean };
}

export interface Asked {
  context: Facts;
  event: Sent;
}

const rich = ({ context }: Asked): boolean => context.rich;
export const ok = ({ event }: Asked): boolean => event.data?.ok === true;

/** What is allowed in the first state of a chart, by type. */
export function allowed(config: object, facts: Partial<Facts> = {}, known?: string[]) {
  return allowedIn(begin(chart(config, facts), undefined).state, known);
}

export function allowedIn(state: MachineState, known?: string[]): Record<string, string> {
  const prospects = prospectsOf(state.snapshot._nodes, known);
  const guards = outlook(prospects, state);
  return Object.fromEntries(prospects.map(({ type }, index) => [type, guards[index]!]));
}

export function chart(config: object, facts: Partial<Facts>): AnyStateMachine {
  const made = setup({
    types: {} as { context: Facts; events: Sent },
    guards: {
      rich,
      ok,
      atLeast: ({ context }: Asked, { n }: { n: number }) => context.list.length >= n,
      either: or([ok as never, rich as never]),
      throws: () => {
        throw new Error("the guard broke");
      },
    },
  }) as unknown as { createMachine(config: object): AnyStateMachine };
  return made.createMachine({
    id: "chart",
    ...config,
    context: { rich: true, list: [{ n: 1 }], ...facts },
  });
}

/** Guards of all kinds, of the context and of the payload. */
function randomGuard(tape: Tape, depth = 2): unknown {
  const kinds = depth === 0 ? 6 : 9;
  switch (tape.below(kinds)) {
    case 0:
      return "rich";
    case 1:
      return "ok";
    case 2:
      return { type: "atLeast", params: { n: tape.below(4) } };
    case 3: {
      const most = tape.below(4);
      return ({ context }: Asked) => context.list.length <= most;
    }
    case 4:
      return {
        type: "atLeast",
        params: ({ event }: Asked) => ({ n: event.data?.ok === true ? 0 : 3 }),
      };
    case 5:
      return stateIn(tape.pick(["#chart.p.a", "#chart.p.b", "#chart.q.a"]));
    case 6:
      return not(randomGuard(tape, depth - 1) as never);
    case 7:
      return and([randomGuard(tape, depth - 1), randomGuard(tape, depth - 1)] as never);
    default:
      return or([randomGuard(tape, depth - 1), randomGuard(tape, depth - 1)] as never);
  }
}

export const TYPES = ["E0", "E1", "x.y", "x.z"];

/** A random chart whose transitions look at the context and at what comes. */
export function guardedChart(tape: Tape): AnyStateMachine {
  const transition = (): object | undefined => {
    if (tape.chance(12)) return undefined;
    return {
      ...(tape.chance(75) ? { guard: randomGuard(tape) } : {}),
      ...(tape.chance(60) ? { target: tape.pick(["#chart.p.a", "#chart.p.b", "#chart.q.a"]) } : {}),
      ...(tape.chance(50)
        ? { actions: assign({ list: ({ context }) => [...context.list.slice(-2), { n: 0 }] }) }
        : {}),
    };
  };
  const events = () => {
    const types = [...TYPES, "*", "x.*"].filter(() => tape.chance(45));
    return Object.fromEntries(
      types.map((type) => [
        type,
        tape.chance(50) ? transition() : [transition() ?? {}, transition() ?? {}],
      ]),
    );
  };
  const region = () => ({
    initial: "a",
    states: { a: { on: events() }, b: { on: events() } },
    on: events(),
  });
  const facts = {
    rich: tape.chance(50),
    list: Array.from({ length: tape.below(4) }, () => ({ n: 0 })),
  };
  const config = { type: "parallel", states: { p: region(), q: region() }, on: events() };
  return chart(config, facts);
}
