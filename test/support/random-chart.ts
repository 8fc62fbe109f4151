import {
  and,
  assign,
  cancel,
  emit,
  enqueueActions,
  forwardTo,
  fromPromise,
  fromTransition,
  log,
  not,
  or,
  raise,
  sendParent,
  sendTo,
  setup,
  spawnChild,
  stateIn,
  stopChild,
  type AnyActorRef,
  type AnyStateMachine,
} from "xstate";
import {
  explode,
  lastRef,
  marking,
  met,
  modulo,
  noted,
  notHistory,
  OUTSIDE,
  ran,
  type Context,
} from "./chart-parts.ts";
import type { Tape } from "./tape.ts";

type Any = Record<string, unknown>;

/**
 * How deep in a chain of reactions something stands. Each may set off only what stands deeper, so that
 * no chart runs in circles: outside → I0 → I1 → I2.
 */
type Depth = 0 | 1 | 2 | 3;

/** A random chart, of everything that XState v5 can express and a restart survives. */
export function randomChart(tape: Tape): AnyStateMachine {
  return new Builder(tape, "root", 0).machine();
}

class Builder {
  readonly #tape: Tape;
  readonly #id: string;
  readonly #level: number;
  readonly #targets: string[] = [];
  readonly #children: string[];
  #invokes = 0;

  constructor(tape: Tape, id: string, level: number) {
    this.#tape = tape;
    this.#id = id;
    this.#level = level;
    this.#children = level < 2 ? ["kid", "reducer", "work"] : ["reducer", "work"];
  }

  machine(): AnyStateMachine {
    const kid =
      this.#level < 2
        ? new Builder(this.#tape, `${this.#id}-kid`, this.#level + 1).machine()
        : undefined;
    const kind = this.#tape.chance(20) ? "parallel" : "compound";
    const top = this.#skeleton([], this.#level === 0 ? 2 : 1, kind);
    this.#fill(top, []);
    const spawnsFirst = this.#tape.chance(20);
    const first = this.#tape.pick(this.#children);
    return (
      setup({
        actors: {
          ...(kid === undefined ? {} : { kid }),
          reducer: fromTransition(
            (state: { count: number; last: string }, event: { type: string }) => {
              met("transition logic");
              return { count: state.count + 1, last: event.type };
            },
            ({ input }: { input: { start?: number } | undefined }) => ({
              count: input?.start ?? 0,
              last: "",
            }),
          ),
          work: fromPromise(() => new Promise(() => {})),
        } as never,
        guards: { modulo: modulo as never },
        actions: {
          tell: ({ self }: { self: AnyActorRef }, params: unknown) =>
            void ran.push({ by: self.sessionId, params }),
          spawnOne: this.#spawnOne() as never,
        } as never,
        delays: {
          short: 20,
          computed: ({ context }: { context: Context }) => 10 + context.n,
        } as never,
      }) as unknown as { createMachine(config: object): AnyStateMachine }
    ).createMachine({
      ...top,
      id: this.#id,
      options: { maxIterations: 60 },
      context: ({ input, spawn }: { input: { start?: number } | undefined; spawn: never }) => ({
        n: input?.start ?? 0,
        log: [],
        spawned: 0,
        refs: spawnsFirst
          ? [(spawn as unknown as (src: string, o: object) => AnyActorRef)(first, { id: "first" })]
          : [],
        got: null,
      }),
      output: ({ context }: { context: Context }) => ({ n: context.n }),
    });
  }

  /** A state without what it does; all targets are known before any transition is drawn. */
  #skeleton(path: string[], depth: number, kind: "compound" | "parallel" | "atomic"): Any {
    const id = [this.#id, ...path].join(".");
    if (path.length > 0) this.#targets.push(id);
    const state: Any = path.length > 0 ? { id } : {};
    if (kind === "atomic") return state;
    const states: Record<string, Any> = {};
    if (kind === "parallel") {
      state["type"] = "parallel";
      for (const name of ["p", "q"]) {
        states[name] = this.#skeleton([...path, name], depth - 1, "compound");
      }
      return { ...state, states };
    }
    const names = ["a", "b", "c"].slice(0, 2 + this.#tape.below(2));
    for (const name of names) {
      const kinds = ["atomic", "atomic", "compound", "parallel"] as const;
      const inner = depth <= 0 ? "atomic" : this.#tape.pick(kinds);
      states[name] = this.#skeleton([...path, name], depth - 1, inner);
    }
    const mayEnd = path.length > 0 || this.#level > 0 || this.#tape.chance(30);
    if (mayEnd && this.#tape.chance(50)) {
      states["end"] = this.#skeleton([...path, "end"], 0, "atomic");
      states["end"]["type"] = "final";
      if (this.#tape.chance(50)) {
        states["end"]["output"] = ({ context }: { context: Context }) => ({ of: id, n: context.n });
      }
    }
    if (this.#tape.chance(25)) {
      const hist = [...path, "hist"];
      this.#targets.push([this.#id, ...hist].join("."));
      states["hist"] = {
        id: [this.#id, ...hist].join("."),
        type: "history",
        history: this.#tape.chance(50) ? "deep" : "shallow",
        ...(this.#tape.chance(50) ? { target: this.#tape.pick(names) } : {}),
      };
    }
    return { ...state, initial: this.#tape.pick(names), states };
  }

  #fill(state: Any, path: string[]): void {
    if (state["type"] === "history") return;
    const states = (state["states"] ?? {}) as Record<string, Any>;
    for (const [name, inner] of Object.entries(states)) this.#fill(inner, [...path, name]);
    state["entry"] = this.#actions(2, 2);
    state["exit"] = this.#actions(2, 2);
    if (this.#tape.chance(20)) state["tags"] = [`tag-${path.join("-")}`];
    if (state["type"] === "final") return;
    const invoked = this.#invoke(state, path);
    const on: Any = {};
    for (const type of OUTSIDE) {
      if (!this.#tape.chance(40)) continue;
      on[type] = this.#transitions(0, invoked);
    }
    // It takes what stands deepest, too: it must set nothing off.
    if (this.#tape.chance(15)) on["*"] = { actions: [noted("any"), "spawnOne"] };
    if (this.#tape.chance(15)) {
      on["x.*"] = this.#transitions(0, invoked);
    }
    if (this.#tape.chance(5)) on["E3"] = {};
    if (this.#tape.chance(50)) on["I0"] = this.#transitions(1, invoked);
    if (this.#tape.chance(50)) on["I1"] = this.#transitions(2, invoked);
    if (this.#tape.chance(60)) on["I2"] = { actions: [noted("I2")] };
    state["on"] = on;
    if (this.#tape.chance(20)) this.#after(state);
    if (this.#tape.chance(8)) {
      const when = 2 + this.#tape.below(9);
      state["always"] = {
        // Once only: what it notes makes it false for good.
        guard: ({ context }: { context: Context }) => context.n === when,
        actions: [noted("always")],
        // A child that came to its end at its start would be started again and again.
        ...(this.#level === 0 && this.#tape.chance(50)
          ? { target: `#${this.#tape.pick(this.#targets)}` }
          : {}),
      };
    }
    if (Object.keys(states).length > 0 && this.#tape.chance(50)) {
      state["onDone"] = this.#reaction(path.length > 0);
    }
  }

  #after(state: Any): void {
    const after: Any = {};
    if (this.#tape.chance(60)) {
      after[10 * (1 + this.#tape.below(4))] = this.#transitions(0, undefined);
    }
    if (this.#tape.chance(30)) {
      after["short"] = this.#transitions(0, undefined);
    }
    if (this.#tape.chance(30)) {
      after["computed"] = this.#transitions(0, undefined);
    }
    state["after"] = after;
  }

  #invoke(state: Any, path: string[]): string | undefined {
    if (!this.#tape.chance(25)) return undefined;
    const src = this.#tape.pick(this.#children);
    const id = `inv${this.#invokes++}-${path.join("-")}`;
    const invoke: Any = {
      src,
      id,
      input: ({ context }: { context: Context }) => ({ start: context.n }),
    };
    if (this.#level === 0 && this.#tape.chance(40)) invoke["systemId"] = id;
    if (this.#tape.chance(70)) {
      invoke["onDone"] = this.#reaction(true);
    }
    if (this.#tape.chance(80)) invoke["onError"] = this.#reaction(true);
    if (this.#tape.chance(30)) {
      invoke["onSnapshot"] = { actions: [noted("snapshot")] };
    }
    state["invoke"] = invoke;
    return id;
  }

  /** What follows an end: keeps what it brought. */
  #reaction(mayLead: boolean): Any {
    return {
      ...(mayLead && this.#tape.chance(40) ? { target: `#${this.#tape.pick(this.#targets)}` } : {}),
      actions: [
        assign({
          got: ({ event }: { event: { output?: unknown; error?: { message?: string } } }) =>
            event.output ?? event.error?.message ?? null,
        }),
        ...this.#actions(2, 1),
      ],
    };
  }

  #transitions(depth: Depth, invoked: string | undefined): Any[] {
    const count = 1 + this.#tape.below(2);
    return Array.from({ length: count }, () => ({
      ...this.#guard(),
      ...(this.#tape.chance(depth === 0 ? 65 : 25)
        ? { target: `#${this.#tape.pick(this.#targets)}` }
        : {}),
      ...(this.#tape.chance(15) ? { reenter: true } : {}),
      actions: this.#actions(depth, 3, invoked),
    }));
  }

  #guard(): Any {
    if (!this.#tape.chance(40)) return {};
    const by = 2 + this.#tape.below(2);
    const named = { type: "modulo", params: { by, is: this.#tape.below(by) } } as never;
    switch (this.#tape.below(6)) {
      case 0:
        return { guard: marking(not(named), "guard not") };
      case 1:
        return { guard: marking(or([and([named, not(named)]), named]), "guard and/or") };
      case 2:
        return {
          guard: marking(
            stateIn(`#${this.#tape.pick(this.#targets.filter(notHistory))}`),
            "guard stateIn",
          ),
        };
      case 3:
        return {
          guard: ({ context }: { context: Context }) => {
            met("guard inline");
            return context.n % by === 0;
          },
        };
      default:
        return { guard: named };
    }
  }

  #actions(depth: Depth, most: number, invoked?: string): unknown[] {
    return Array.from({ length: this.#tape.below(most + 1) }, () => this.#action(depth, invoked));
  }

  /** An event that stands deeper than what sets it off. */
  #inner(depth: Depth): { type: string } {
    const deeper = ["I0", "I1", "I2"].slice(Math.min(depth, 2));
    return { type: this.#tape.pick(deeper) };
  }

  #action(depth: Depth, invoked: string | undefined): unknown {
    const choices = [...this.#anywhere(depth)];
    if (this.#level === 0) choices.push(() => emit({ type: "said", depth }));
    else choices.push(() => sendParent(this.#inner(depth)));
    if (this.#level > 0 && depth === 0) {
      choices.push(...Array.from({ length: 4 }, () => () => assign(explode)));
    }
    if (depth < 2) choices.push(() => "spawnOne");
    // Without an id, XState loses sight of all but the last: when their parent is stopped, they live on
    // in memory. Here they end with it, so only the root, which nobody stops, has such children.
    if (depth < 2 && this.#level === 0) choices.push(() => this.#spawnChild());
    if (invoked !== undefined) choices.push(...this.#toInvoked(depth, invoked));
    return this.#tape.pick(choices)();
  }

  #anywhere(depth: Depth): (() => unknown)[] {
    const event = this.#inner(depth);
    return [
      () => noted("did"),
      () => ({ type: "tell", params: { depth, at: this.#id } }),
      () => ({ type: "tell", params: ({ context }: { context: Context }) => ({ n: context.n }) }),
      () => raise(event),
      () =>
        raise(event, {
          delay: this.#tape.pick([5, 20, 20, 35]),
          ...(this.#tape.chance(60) ? { id: this.#tape.pick(["t1", "t2"]) } : {}),
        }),
      () => cancel(this.#tape.pick(["t1", "t2"])),
      () =>
        enqueueActions(({ enqueue, check }) => {
          met("enqueueActions");
          enqueue(noted("queued") as never);
          if (!check({ type: "modulo", params: { by: 2, is: 0 } } as never)) return;
          enqueue({ type: "tell", params: { queued: true } } as never);
          enqueue.raise(event as never);
        }),
      () => log("hello"),
      () => stopChild(({ context }: { context: Context }) => context.refs[0]!),
      () => sendTo(lastRef, event),
      () => sendTo(lastRef, event, { delay: this.#tape.pick([5, 15]) }),
    ];
  }

  #toInvoked(depth: Depth, invoked: string): (() => unknown)[] {
    const event = this.#inner(depth);
    return [
      () => sendTo(invoked, event),
      () => sendTo(invoked, event, { delay: this.#tape.pick([5, 15, 30]), id: "t1" }),
      () => sendTo(({ system, self }) => system.get(invoked) ?? self, event),
      ...(depth === 0 ? Array.from({ length: 8 }, () => () => forwardTo(invoked)) : []),
    ];
  }

  #spawnChild(): unknown {
    const options = { syncSnapshot: this.#tape.chance(20) };
    return spawnChild(this.#tape.pick(this.#children) as never, options as never);
  }

  #spawnOne(): unknown {
    const src = this.#tape.pick(this.#children);
    return assign(({ context, spawn }: { context: Context; spawn: unknown }) => {
      if (context.spawned >= 3) return {};
      met("spawn in assign");
      const make = spawn as (src: string, options: object) => AnyActorRef;
      const ref = make(src, { id: `s${context.spawned}`, input: { start: context.n } });
      return { spawned: context.spawned + 1, refs: [...context.refs, ref] };
    });
  }
}
