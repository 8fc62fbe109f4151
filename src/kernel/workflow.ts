import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { Payload, PayloadReference } from "../contract/payload.ts";
import type { AnyStateMachine, InputFrom, StateMachine, StateValue } from "xstate";

/**
 * What an author declares about a workflow, and all that `machines/` may import of ours
 * (`durachart/workflow`): types, and the error that ends an actor's tries.
 */
export { TerminalError } from "./terminal-error.ts";
export type { HookDefinition, HookedEvent, Hooks, HookSignature } from "./hook.ts";

export interface WorkflowDefinition {
  machine: AnyStateMachine;
  /** One entry an event type. Without it every type the chart names is taken, from operators only. */
  events?: EventDefinitions;
  /** Schema of the input an instance is started with. */
  input?: StandardSchemaV1;
  /**
   * What of the context instances are searched by in the list: short strings, numbers and booleans.
   * Name the context's type at the parameter.
   */
  attributes?: (context: never) => Record<string, string | number | boolean>;
  /**
   * What each role may do beside the events that `events` lets it send; every role that may send one is to
   * be named. Without it only operators start and read. Operators see and may do everything.
   */
  access?: Readonly<Record<string, Access>>;
  /** Whose an instance is: a subject, or null for nobody's. By default who started it. Pure. */
  owner?: (instance: { context: never; startedBy: string | null }) => string | null;
  /** How the chart's named actors, actions and emitted events reach the world. */
  // oxlint-disable-next-line typescript/no-explicit-any -- each workflow types its own effects
  effects?: EffectsOf<any, any>;
  /**
   * Transitions from inside (timers, actors, other instances) that an instance may take a minute before
   * it counts as caught in a loop and waits for the next; 20,000 by default.
   */
  transitionsPerMinute?: number;
  /**
   * For instances that never end: after so many journal entries the history begins again, in a new
   * epoch, with the state as it is. Never by default; at least 100.
   */
  continueAfter?: number;
  /** The event type that is the chart's own way out: what `POST …/cancel` sends. */
  cancel?: string;
  /** Milliseconds after its end until an instance is erased by itself; never by default. */
  retention?: number;
  /** Earlier versions that may still have instances; each runs as it was released. */
  versions?: readonly ReleasedVersion[];
  /** How instances come from one version to another. */
  migrations?: readonly Migration[];
}

/** A version as it was released; its machine names the `version`. */
export type ReleasedVersion = Omit<WorkflowDefinition, "versions" | "migrations">;

/** From one version of a workflow to another. */
export interface Migration {
  from: string;
  to: string;
  /**
   * State nodes of the old chart that are called otherwise in the new one, by their paths
   * (`bakePizza.waiting` → `bakePizza.queued`): their timers, and what history remembers, go with them.
   */
  renames?: Readonly<Record<string, string>>;
  /**
   * What the state becomes. Pure: it is given plain data, and must neither look at the clock nor call
   * anything. What it throws leaves the instance as it was.
   */
  migrate(state: VersionedState): VersionedState;
}

/** A machine's state as a migration sees it: plain JSON. */
export interface VersionedState {
  value: StateValue;
  context: Record<string, unknown>;
  /** The actors by their ids; those left out are stopped. */
  children: Readonly<Record<string, VersionedChild>>;
}

export interface VersionedChild {
  /** The name of its logic. */
  src: string;
  /** Of a child machine. */
  state?: VersionedState;
  /** Of transition logic. */
  snapshot?: unknown;
}

/** URL segment → a workflow, or a bare machine. */
export type Workflows = Readonly<Record<string, WorkflowDefinition | AnyStateMachine>>;

/** What a role may do, and see, of a workflow's instances. What is left out is not allowed. */
export interface Access {
  /** Whether they may start instances, of what is asked for. */
  start?: boolean | ((wanted: { id: string; input: unknown; caller: Sender }) => boolean);
  /** Which instances they read, simulate and send events to: their own, or all of the tenant. */
  instances?: "own" | "all";
  /** The keys of the context, of the input and of the output that they are shown; the list's attributes, too. */
  sees?: readonly string[] | "everything";
}

/** Who wants something, as a rule is told. */
export interface Sender {
  subject: string;
  roles: readonly Role[];
}

/** An instance as a rule sees it: a copy. */
export interface RuledInstance {
  id: string;
  owner: string | null;
  context: Readonly<Record<string, unknown>>;
}

/** A role that may send an event where a predicate over the instance holds. One that throws says no. */
export interface Rule {
  role: Role;
  when: (instance: RuledInstance, sender: Sender) => boolean;
}

/** The roles of the shop; a workflow may name others. Operators may send every event. */
export type Role = "customer" | "service" | "operator" | (string & {});

export interface EventDefinition {
  /** Schema of the event's `data`, checked at the door, synchronously. */
  schema: StandardSchemaV1;
  /** Who may send it, beside operators, who may send everything; to instances that `access` lets them reach. */
  from?: readonly (Role | Rule)[];
  /**
   * What becomes of it when the current state has no transition for it. `reject`: an error for who
   * sent it; `defer`: kept, and tried again after each transition; `ignore`: journalled, no more. By
   * default what comes over a queue is deferred, and all else rejected.
   */
  otherwise?: Otherwise;
  /** How long it is kept where it is deferred, in milliseconds; 24 hours by default. */
  deferFor?: number;
  /**
   * Fields of `data` that are secret, strings, by their paths (`["card.number"]`): they are taken out at
   * the door, and the chart sees a handle in their place. Effects that name them in their own `secrets`
   * (`["PAY.card.number"]`) are given them by `context.secret(handle)`.
   */
  secrets?: readonly string[];
}

export type Otherwise = "reject" | "defer" | "ignore";

export type EventDefinitions = Readonly<Record<string, EventDefinition>>;

/** The union of `{ type, data }` that a table of event definitions describes. */
export type EventsOf<Definitions extends EventDefinitions> = {
  [Type in keyof Definitions & string]: {
    type: Type;
    data: StandardSchemaV1.InferOutput<Definitions[Type]["schema"]>;
  };
}[keyof Definitions & string];

/**
 * Sends `{ type, data }` as a CloudEvent about this instance, with an id that repeats are known by: to a
 * queue, or to what the deployment's `transports` call by that name.
 */
export type Publish = (
  to: string | Queue,
  message: { type: string; data?: unknown },
) => Promise<void>;

/**
 * What code that runs after the commit is given. It runs at least once: `id` is the same on every
 * repeat of the same effect, and is the idempotency key to hand on.
 */
export interface EffectContext<Env> {
  id: string;
  instance: {
    tenant: string;
    workflow: string;
    id: string;
    /** Where its data must stay, and what is kept elsewhere because of it; absent for anywhere. */
    jurisdiction?: DurableObjectJurisdiction;
    /** The subject of who started it; null where nobody is known. */
    startedBy: string | null;
  };
  env: Env;
  /** 1 on the first try. */
  attempt: number;
  /** W3C `traceparent` of what led here, to hand on; absent where a timer did. */
  trace?: string | undefined;
  /** Aborted when the time is up or the result is no longer wanted. */
  signal: AbortSignal;
  publish: Publish;
  /** Starts another instance of this tenant; where it is there already, that is fine, and nothing is sent to it: use `send`. */
  start(workflow: string, request: StartInstance): Promise<void>;
  /** Sends an event to another instance of this tenant. Repeats are applied once. */
  send(workflow: string, id: string, event: { type: string; data?: unknown }): Promise<void>;
  /**
   * Fetches what was uploaded to this instance and stands for itself in an event's data as a reference.
   * Throws `TerminalError` where it is no reference or nothing is there; a bucket that fails is tried again.
   */
  payload: (reference: PayloadReference) => Promise<Payload>;
  /**
   * The value that a handle stands for. What is answered or thrown must not hold it: an output that does
   * is refused, and an error is told without it.
   *
   * @throws TerminalError where this effect doesn't declare that secret, or there is none
   */
  secret: (handle: string) => string;
}

export interface StartInstance {
  id: string;
  input?: unknown;
  event?: { type: string; data?: unknown };
}

/** What protects who is called: `destination` names one that the deployment sets limits for. */
export interface Called {
  destination?: string;
  /** Milliseconds one try may take; 60,000 by default, 600,000 at most. */
  timeout?: number;
  /** The secret fields that it may be told, as `{event type}.{path}`. */
  secrets?: readonly string[];
}

export interface ActorDefinition<Env, Input, Output> extends Called {
  /** Tries before the actor fails for the chart; 5 by default. */
  attempts?: number;
  /** The ceiling of the first wait between tries, and of any, in milliseconds; 1,000 and 3,600,000 by default. */
  backoff?: { first?: number; longest?: number };
  run(context: EffectContext<Env> & { input: Input }): Promise<Output>;
}

/**
 * An actor that is another instance: its input is a `StartInstance`, without an id one is made; the
 * instance's output is the actor's, and its failure too.
 */
export interface InstanceActor {
  workflow: string;
  /** Sent to the instance when the actor is stopped before that one has come to its end. */
  onStop?: { type: string; data?: unknown };
}

/** A side effect of a chart's named action. Those of one destination keep their order, action by action. */
export type Action<Env, Params> =
  | ((params: Params, context: EffectContext<Env>) => Promise<void>)
  | (Called & { run(params: Params, context: EffectContext<Env>): Promise<void> });

/** Where emitted events go. */
export type Route<Env, Emitted> =
  | ((event: Emitted, context: EffectContext<Env>) => Promise<void>)
  | (Called & {
      /** The event types it takes, `order.*` for all that begin so; all by default. */
      types?: readonly string[];
      deliver(event: Emitted, context: EffectContext<Env>): Promise<void>;
    });

/**
 * The implementations a chart asks for by name, its child machines' too. Actors left out run the
 * machine's own `fromPromise`; actions left out, what stands under `setup({ actions })`.
 */
export interface EffectsOf<Machine extends AnyStateMachine, Env> {
  actors?: {
    [Actor in ActorsOf<Machine> as Actor["src"]]?:
      ActorDefinition<Env, InputFrom<Actor["logic"]>, unknown> | InstanceActor;
  };
  actions?: {
    [Named in ActionsOf<Machine> as Named["type"]]?: Action<Env, Named["params"]>;
  };
  /** Deliver what the chart `emit`s, each route by itself and in its own order. */
  routes?: Record<string, Route<Env, EmittedOf<Machine>>>;
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
