import type { StandardSchemaV1 } from "@standard-schema/spec";
import { fromPromise, type AnyActorLogic, type AnyStateMachine } from "xstate";
import { descriptorCovers, eventDescriptors } from "./allowed.ts";
import { roleOf } from "./access.ts";
import { checkMachine } from "./check.ts";
import { Unsupported } from "./errors.ts";
import { MAX_DELAY } from "./limits.ts";
import type {
  EventDefinitions,
  InstanceActor,
  Migration,
  ReleasedVersion,
  WorkflowDefinition,
  Workflows,
} from "./workflow.ts";
import { findActorLogic, kindOf } from "./xstate.ts";

/** A workflow that was checked and can run. */
export interface RegisteredWorkflow {
  key: string;
  machine: AnyStateMachine;
  version: string;
  /** All versions that the bundle carries, this one included. */
  versions: ReadonlyMap<string, RegisteredWorkflow>;
  /** Absent: every event type the chart names, from operators only. */
  events?: EventDefinitions;
  input?: StandardSchemaV1;
  attributes?: NonNullable<WorkflowDefinition["attributes"]>;
  access: NonNullable<WorkflowDefinition["access"]>;
  owner?: NonNullable<WorkflowDefinition["owner"]>;
  effects: Effects;
  transitionsPerMinute: number;
  continueAfter: number;
  /** The event that is the chart's own way out. */
  cancel?: string;
  /** Milliseconds from its end until an instance is erased; Infinity for never. */
  retention: number;
  migrations: readonly Migration[];
  /** The event descriptors of the chart: `ADD_PIZZA`, `payment.*`, `*`. */
  descriptors: string[];
  /** What the author should know, though it can run. */
  warnings: string[];
}

type Effects = NonNullable<WorkflowDefinition["effects"]>;

/** First path segments that are routes of their own. */
const RESERVED = new Set([
  "auth",
  "dead-letters",
  "events",
  "healthz",
  "machines",
  "operations",
  "webhooks",
  "hooks",
  "openapi.json",
  "asyncapi.json",
]);
const WORKFLOW_KEY = /^[a-z][a-z0-9-]{0,62}$/;

const TRANSITIONS_PER_MINUTE = 20_000;
const LEAST_CONTINUE_AFTER = 100;

/**
 * Checks all workflows, so that what can't run durably never ships.
 *
 * @throws Unsupported naming the state and the remedy
 */
export function registerWorkflows(workflows: Workflows): ReadonlyMap<string, RegisteredWorkflow> {
  const registered = new Map(
    Object.entries(workflows).map(([key, entry]) => {
      const definition = "machine" in entry ? entry : { machine: entry };
      return [key, registerVersions(key, definition)];
    }),
  );
  const versions = [...registered.values()].flatMap((one) => [...one.versions.values()]);
  for (const { effects, machine } of versions) {
    for (const [src, actor] of Object.entries(effects.actors ?? {})) {
      const instance = actor as Partial<InstanceActor>;
      if (instance.workflow !== undefined) {
        checkInstanceActor(machine, src, instance as InstanceActor, registered);
      }
    }
  }
  return registered;
}

function checkInstanceActor(
  machine: AnyStateMachine,
  src: string,
  { workflow, onStop }: InstanceActor,
  registered: ReadonlyMap<string, RegisteredWorkflow>,
): void {
  const other = registered.get(workflow);
  if (other === undefined) {
    throw new Unsupported(
      { machine: machine.id },
      `the actor "${src}" is an instance of "${workflow}", which is no workflow`,
      `Register it; there are ${[...registered.keys()].join(", ")}.`,
    );
  }
  for (const one of withChildren(machine)) {
    const logic = findActorLogic(one, src);
    if (logic === undefined || kindOf(logic) === "promise") continue;
    throw new Unsupported(
      { machine: one.id },
      `the actor "${src}" has logic of its own, and is an instance of "${workflow}" in the effects`,
      "Make it a promise under setup({ actors }), or remove it from the effects.",
    );
  }
  if (onStop !== undefined && !takes(other, onStop.type)) {
    throw new Unsupported(
      { machine: machine.id },
      `the actor "${src}" is told "${onStop.type}" when it is stopped, which "${workflow}" doesn't take`,
      `It takes ${Object.keys(other.events ?? {}).join(", ") || other.descriptors.join(", ") || "nothing"}.`,
    );
  }
}

function takes({ events, descriptors }: RegisteredWorkflow, type: string): boolean {
  if (events !== undefined) return Object.hasOwn(events, type);
  return !isInternal(type) && descriptors.some((known) => descriptorCovers(known, type));
}

/** The machine and the child machines that it knows by name, theirs too. */
function withChildren(machine: AnyStateMachine): Set<AnyStateMachine> {
  const found = new Set([machine]);
  for (const one of found) {
    for (const logic of Object.values(
      one.implementations.actors as Record<string, AnyActorLogic>,
    )) {
      if (kindOf(logic) === "machine") found.add(logic as AnyStateMachine);
    }
  }
  return found;
}

/** A workflow with all its versions, each of which knows the others. */
function registerVersions(key: string, definition: WorkflowDefinition): RegisteredWorkflow {
  const { versions: released = [], migrations = [], ...newest } = definition;
  const versions = new Map<string, RegisteredWorkflow>();
  for (const one of [newest, ...released.map((version) => inheriting(newest, version))]) {
    const registered = registerWorkflow(key, one, versions, migrations);
    const { version, machine } = registered;
    if (versions.has(version)) {
      throw new Unsupported(
        { machine: machine.id },
        `the workflow "${key}" has two versions "${version}"`,
        "Give each machine a version of its own.",
      );
    }
    versions.set(version, registered);
  }
  const workflow = versions.values().next().value!;
  for (const { from, to } of migrations) {
    if (versions.has(to)) continue;
    throw new Unsupported(
      { machine: workflow.machine.id },
      `a migration leads from version "${from}" to "${to}", which is not there`,
      `There are ${[...versions.keys()].join(", ")}.`,
    );
  }
  return workflow;
}

/**
 * An earlier version with what is said of the workflow as a whole, where it doesn't say otherwise: how
 * it is cancelled, found, kept. Its chart, events and effects are its own.
 */
function inheriting(newest: ReleasedVersion, version: ReleasedVersion): ReleasedVersion {
  const { cancel, attributes, access, owner, retention } = newest;
  const { continueAfter, transitionsPerMinute } = newest;
  const takes = eventDescriptors(version.machine.root);
  const isTaken = cancel !== undefined && takes.some((known) => descriptorCovers(known, cancel));
  return {
    ...(isTaken ? { cancel } : {}),
    ...(attributes === undefined ? {} : { attributes }),
    ...(access === undefined ? {} : { access }),
    ...(owner === undefined ? {} : { owner }),
    ...(retention === undefined ? {} : { retention }),
    ...(continueAfter === undefined ? {} : { continueAfter }),
    ...(transitionsPerMinute === undefined ? {} : { transitionsPerMinute }),
    ...version,
  };
}

function registerWorkflow(
  key: string,
  definition: ReleasedVersion,
  versions: ReadonlyMap<string, RegisteredWorkflow>,
  migrations: readonly Migration[],
): RegisteredWorkflow {
  const {
    events,
    input,
    attributes,
    owner,
    access = {},
    effects = {},
    continueAfter = Infinity,
    retention = Infinity,
  } = definition;
  const place = { machine: definition.machine.id };
  if (!WORKFLOW_KEY.test(key) || RESERVED.has(key)) {
    throw new Unsupported(
      place,
      `"${key}" can't be a workflow's URL segment`,
      `Use lower-case letters, digits and hyphens, and none of ${[...RESERVED].join(", ")}.`,
    );
  }
  if (continueAfter < LEAST_CONTINUE_AFTER) {
    throw new Unsupported(
      place,
      `continueAfter is ${continueAfter}`,
      `Let a history have at least ${LEAST_CONTINUE_AFTER} entries.`,
    );
  }
  const isTime = Number.isInteger(retention) && retention >= 0 && retention <= MAX_DELAY;
  if (!isTime && retention !== Infinity) {
    throw new Unsupported(
      place,
      `its retention is ${retention}`,
      "Give a whole number of milliseconds, at most a hundred years, or leave it out to keep instances for ever.",
    );
  }
  const machine = withEffects(definition.machine, effects);
  checkMachine(machine);
  const descriptors = eventDescriptors(machine.root);
  const warnings: string[] = [];
  const { cancel } = definition;
  if (cancel !== undefined && !descriptors.some((known) => descriptorCovers(known, cancel))) {
    throw new Unsupported(
      place,
      `the chart never takes "${cancel}", which is to cancel it`,
      `Name one of ${descriptors.join(", ")}.`,
    );
  }
  if (events !== undefined) checkEvents(machine, events, descriptors);
  else if (descriptors.length > 0) {
    warnings.push(
      `Workflow "${key}" has no events table: it takes ${descriptors.join(", ")} with any data, from operators only.`,
    );
  }
  checkSenders(place, events, access);
  checkRevealed(machine, events ?? {}, effects);
  return {
    key,
    machine,
    version: machine.version ?? "1",
    versions,
    migrations,
    retention,
    descriptors,
    effects,
    access,
    warnings,
    continueAfter,
    transitionsPerMinute: definition.transitionsPerMinute ?? TRANSITIONS_PER_MINUTE,
    ...(events === undefined ? {} : { events }),
    ...(input === undefined ? {} : { input }),
    ...(attributes === undefined ? {} : { attributes }),
    ...(owner === undefined ? {} : { owner }),
    ...(definition.cancel === undefined ? {} : { cancel: definition.cancel }),
  };
}

/**
 * The machine and its child machines, knowing by name what only the workflow's effects implement: the
 * chart need not repeat it.
 */
function withEffects(machine: AnyStateMachine, effects: Effects): AnyStateMachine {
  const provided = new Map<AnyStateMachine, AnyStateMachine>();
  const provide = (one: AnyStateMachine): AnyStateMachine => {
    const known = provided.get(one);
    if (known !== undefined) return known;
    // A machine that names itself meets the one it was.
    provided.set(one, one);
    const { actions, actors } = one.implementations as {
      actions: Record<string, unknown>;
      actors: Record<string, AnyActorLogic>;
    };
    const newActions = Object.keys(effects.actions ?? {}).filter((name) => !(name in actions));
    const newActors = Object.keys(effects.actors ?? {}).filter((src) => !(src in actors));
    const children = Object.entries(actors).flatMap(([src, logic]) => {
      if (kindOf(logic) !== "machine") return [];
      const child = provide(logic as AnyStateMachine);
      return child === logic ? [] : [[src, child] as const];
    });
    if (newActions.length + newActors.length + children.length === 0) return one;
    const elsewhere = (): Promise<never> => Promise.reject(new Error("Provided by the effects"));
    const whole = one.provide({
      actions: Object.fromEntries(newActions.map((name) => [name, () => {}])),
      actors: Object.fromEntries([
        ...newActors.map((src) => [src, fromPromise(elsewhere)] as const),
        ...children,
      ]) as never,
    });
    provided.set(one, whole);
    return whole;
  };
  return provide(machine);
}

/** A role that may send events and is told by nothing which instances it reaches: rarely what is meant. */
function checkSenders(
  place: { machine: string },
  events: EventDefinitions = {},
  access: RegisteredWorkflow["access"],
): void {
  for (const [type, { from = [] }] of Object.entries(events)) {
    for (const role of from.map(roleOf)) {
      if (role === "operator" || Object.hasOwn(access, role)) continue;
      throw new Unsupported(
        place,
        `the event "${type}" is from "${role}", which the workflow's access doesn't name`,
        `Say which instances that role reaches: access: { ${JSON.stringify(role)}: { instances: "all" } }, or "own".`,
      );
    }
  }
}

/** No type that anybody may send. */
function isInternal(type: string): boolean {
  return type.startsWith("xstate.") || type === "" || type === "*";
}

/** Names of members, joined by dots. */
const SECRET_PATH = /^[A-Za-z_$][\w$-]*(\.[A-Za-z_$][\w$-]*)*$/;

/** @throws Unsupported where an effect is to be told what is no secret */
function checkRevealed(machine: AnyStateMachine, events: EventDefinitions, effects: Effects): void {
  const known = new Set(
    Object.entries(events).flatMap(([type, { secrets = [] }]) =>
      secrets.map((path) => `${type}.${path}`),
    ),
  );
  for (const table of [effects.actors, effects.actions, effects.routes]) {
    for (const [name, effect] of Object.entries((table ?? {}) as Record<string, unknown>)) {
      const { secrets = [] } = effect as { secrets?: readonly string[] };
      const unknown = secrets.find((secret) => !known.has(secret));
      if (unknown === undefined) continue;
      throw new Unsupported(
        { machine: machine.id },
        `"${name}" is to be told the secret "${unknown}", which no event has`,
        `There are ${[...known].join(", ") || "none"}: name them in the event's secrets.`,
      );
    }
  }
}

function checkEvents(machine: AnyStateMachine, events: EventDefinitions, descriptors: string[]) {
  const place = { machine: machine.id };
  for (const [type, { deferFor = 1, secrets = [] }] of Object.entries(events)) {
    for (const path of secrets) {
      if (SECRET_PATH.test(path)) continue;
      throw new Unsupported(
        place,
        `the event "${type}" has no secret field "${path}"`,
        "Name a field of its data by its path, such as card.number.",
      );
    }
    if (!(deferFor > 0 && deferFor <= MAX_DELAY)) {
      throw new Unsupported(
        place,
        `the event "${type}" is to be deferred for ${deferFor}`,
        "Give a number of milliseconds above 0, at most a hundred years.",
      );
    }
    if (isInternal(type)) {
      throw new Unsupported(place, `"${type}" is no event of yours`, "Remove it from events.");
    }
    if (!descriptors.some((descriptor) => descriptorCovers(descriptor, type))) {
      throw new Unsupported(
        place,
        `the chart never takes the event "${type}"`,
        "Remove it from events, or give the chart a transition for it.",
      );
    }
  }
  for (const type of descriptors) {
    if (type.endsWith("*") || type in events) continue;
    throw new Unsupported(
      place,
      `the event "${type}" has no schema`,
      "Add it to the workflow's events.",
    );
  }
}
