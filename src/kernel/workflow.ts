import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { AnyStateMachine, InputFrom, StateMachine } from "xstate";

/**
 * What an author declares about a workflow. This file holds types only: `machines/` may import
 * nothing else of ours.
 */
export interface WorkflowDefinition {
  machine: AnyStateMachine;
  /** One entry an event type. Without it every type the chart names is taken, from operators only. */
  events?: EventDefinitions;
  /** Schema of the input an instance is started with. */
  input?: StandardSchemaV1;
  /** How the chart's named actors, actions and emitted events reach the world. */
  // oxlint-disable-next-line typescript/no-explicit-any -- each workflow types its own effects
  effects?: EffectsOf<any, any>;
}

/** URL segment → a workflow, or a bare machine. */
export type Workflows = Readonly<Record<string, WorkflowDefinition | AnyStateMachine>>;

/** The roles of the shop; a workflow may name others. Operators may send every event. */
export type Role = "customer" | "service" | "operator" | (string & {});

export interface EventDefinition {
  /** Schema of the event's `data`, checked at the door, synchronously. */
  schema: StandardSchemaV1;
  /** Who may send it, beside operators, who may send everything. */
  from?: readonly Role[];
  /** What becomes of it when the current state has no transition for it; `reject` by default. */
  otherwise?: "reject" | "ignore";
}

export type EventDefinitions = Readonly<Record<string, EventDefinition>>;

/** The union of `{ type, data }` that a table of event definitions describes. */
export type EventsOf<Definitions extends EventDefinitions> = {
  [Type in keyof Definitions & string]: {
    type: Type;
    data: StandardSchemaV1.InferOutput<Definitions[Type]["schema"]>;
  };
}[keyof Definitions & string];

/** Sends `{ type, data }` to a queue as a CloudEvent about this instance, with an id that repeats are known by. */
export type Publish = (queue: Queue, message: { type: string; data?: unknown }) => Promise<void>;

/**
 * What code that runs after the commit is given. It runs at least once: `id` is the same on every
 * repeat of the same effect, and is the idempotency key to hand on.
 */
export interface EffectContext<Env> {
  id: string;
  instance: { tenant: string; workflow: string; id: string };
  env: Env;
  /** 1 on the first try. */
  attempt: number;
  /** Aborted when the time is up or the result is no longer wanted. */
  signal: AbortSignal;
  publish: Publish;
}

export interface RetryPolicy {
  /** Tries before the actor fails for the chart; 5 by default. */
  attempts?: number;
  /** Milliseconds one try may take; 60,000 by default, 600,000 at most. */
  timeout?: number;
}

export interface ActorDefinition<Env, Input, Output> extends RetryPolicy {
  run(context: EffectContext<Env> & { input: Input }): Promise<Output>;
}

/**
 * The implementations a machine's chart asks for by name. Actors left out run the machine's own
 * `fromPromise`; actions left out are refused at registration.
 */
export interface EffectsOf<Machine extends AnyStateMachine, Env> {
  actors?: {
    [Actor in ActorsOf<Machine> as Actor["src"]]?: ActorDefinition<
      Env,
      InputFrom<Actor["logic"]>,
      unknown
    >;
  };
  actions?: {
    [Action in ActionsOf<Machine> as Action["type"]]?: (
      params: Action["params"],
      context: EffectContext<Env>,
    ) => Promise<void>;
  };
  /** Delivers what the chart `emit`s. */
  emitted?(event: EmittedOf<Machine>, context: EffectContext<Env>): Promise<void>;
}

/* oxlint-disable typescript/no-explicit-any -- positions of StateMachine's parameters that don't matter here */
type ActorsOf<Machine> =
  Machine extends StateMachine<
    any,
    any,
    any,
    infer Actor,
    any,
    any,
    any,
    any,
    any,
    any,
    any,
    any,
    any,
    any
  >
    ? Actor
    : never;
type ActionsOf<Machine> =
  Machine extends StateMachine<
    any,
    any,
    any,
    any,
    infer Action,
    any,
    any,
    any,
    any,
    any,
    any,
    any,
    any,
    any
  >
    ? Action
    : never;
type EmittedOf<Machine> =
  Machine extends StateMachine<
    any,
    any,
    any,
    any,
    any,
    any,
    any,
    any,
    any,
    any,
    any,
    infer Emitted,
    any,
    any
  >
    ? Emitted
    : never;
/* oxlint-enable typescript/no-explicit-any */
