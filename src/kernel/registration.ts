import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { AnyStateMachine, AnyStateNode } from "xstate";
import { allNodes, eventDescriptors } from "./allowed.ts";
import { Unsupported } from "./errors.ts";
import { findActorLogic, isPromiseLogic } from "./xstate.ts";
import type { EventDefinitions, WorkflowDefinition, Workflows } from "./workflow.ts";

/** A workflow that was checked and can run. */
export interface RegisteredWorkflow {
  key: string;
  machine: AnyStateMachine;
  version: string;
  /** Absent: every event type the chart names, from operators only. */
  events?: EventDefinitions;
  input?: StandardSchemaV1;
  // oxlint-disable-next-line typescript/no-explicit-any -- the workflow typed its own effects
  effects: NonNullable<WorkflowDefinition["effects"]>;
  /** The event descriptors of the chart: `ADD_PIZZA`, `payment.*`, `*`. */
  descriptors: string[];
}

/** First path segments that are routes of their own. */
const RESERVED = new Set(["events", "healthz", "machines", "openapi.json", "asyncapi.json"]);
const WORKFLOW_KEY = /^[a-z][a-z0-9-]{0,62}$/;

/** XState's action creators that a step here can carry out. */
const SUPPORTED_BUILT_INS = new Set([
  "xstate.assign",
  "xstate.raise",
  "xstate.cancel",
  "xstate.emit",
  "xstate.log",
  "xstate.enqueueActions",
  "xstate.spawnChild",
  "xstate.stopChild",
]);

/**
 * Checks all workflows, so that what can't run durably never ships.
 *
 * @throws Unsupported naming the state and the remedy
 */
export function registerWorkflows(workflows: Workflows): ReadonlyMap<string, RegisteredWorkflow> {
  return new Map(
    Object.entries(workflows).map(([key, entry]) => {
      const definition = "machine" in entry ? entry : { machine: entry };
      return [key, registerWorkflow(key, definition)];
    }),
  );
}

function registerWorkflow(key: string, definition: WorkflowDefinition): RegisteredWorkflow {
  const { events, input, effects = {} } = definition;
  const machine = withActionsOf(definition.machine, effects);
  const place = { machine: machine.id };
  if (!WORKFLOW_KEY.test(key) || RESERVED.has(key)) {
    throw new Unsupported(
      place,
      `"${key}" can't be a workflow's URL segment`,
      `Use lower-case letters, digits and hyphens, and none of ${[...RESERVED].join(", ")}.`,
    );
  }
  for (const node of allNodes(machine.root)) checkNode(machine, node, effects);
  const descriptors = eventDescriptors(machine.root);
  if (events !== undefined) checkEvents(machine, events, descriptors);
  return {
    key,
    machine,
    version: machine.version ?? "1",
    descriptors,
    effects,
    ...(events === undefined ? {} : { events }),
    ...(input === undefined ? {} : { input }),
  };
}

/** The machine, knowing by name the actions that only the workflow's effects implement. */
function withActionsOf(machine: AnyStateMachine, effects: Effects): AnyStateMachine {
  const names = Object.keys(effects.actions ?? {});
  const missing = names.filter((name) => !(name in machine.implementations.actions));
  if (missing.length === 0) return machine;
  return machine.provide({ actions: Object.fromEntries(missing.map((name) => [name, () => {}])) });
}

function checkEvents(machine: AnyStateMachine, events: EventDefinitions, descriptors: string[]) {
  const place = { machine: machine.id };
  for (const type of Object.keys(events)) {
    if (type.startsWith("xstate.") || type === "" || type === "*") {
      throw new Unsupported(place, `"${type}" is no event of yours`, "Remove it from events.");
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

type Effects = RegisteredWorkflow["effects"];

function checkNode(machine: AnyStateMachine, node: AnyStateNode, effects: Effects): void {
  const place = { machine: machine.id, state: node.id };
  const transitions = [...[...node.transitions.values()].flat(), ...(node.always ?? [])];
  for (const action of node.entry) checkAction(machine, place, "entry", action, effects);
  for (const action of node.exit) checkAction(machine, place, "exit", action, effects);
  for (const { eventType, actions } of transitions) {
    const when = `on ${eventType || "always"}`;
    for (const action of actions) checkAction(machine, place, when, action, effects);
  }
  for (const { guard } of transitions) checkGuard(machine, place, guard);
  for (const delay of Object.keys((node.config as { after?: object }).after ?? {})) {
    if (Number.isNaN(Number(delay)) && !(delay in machine.implementations.delays)) {
      throw new Unsupported(
        place,
        `the delay "${delay}" is unknown`,
        "Add it to setup({ delays }).",
      );
    }
  }
  for (const { src, systemId } of node.invoke) {
    if (systemId !== undefined) {
      throw new Unsupported(
        place,
        `the systemId "${systemId}" is not supported yet`,
        "Give the invoke an id instead.",
      );
    }
    checkActor(machine, place, src as string, effects);
  }
}

type Place = { machine: string; state: string };

function checkActor(machine: AnyStateMachine, place: Place, src: string, effects: Effects): void {
  if (src.startsWith("xstate.invoke.")) {
    throw new Unsupported(
      place,
      "it invokes logic that has no name, so that it couldn't be found again",
      "Give the logic a name under setup({ actors }) and invoke it by that name.",
    );
  }
  if (effects.actors?.[src] !== undefined) return;
  const logic = findActorLogic(machine, src);
  if (logic === undefined) {
    throw new Unsupported(
      place,
      `the actor "${src}" is unknown`,
      "Add it to setup({ actors }) or to the workflow's effects.",
    );
  }
  if (!isPromiseLogic(logic)) {
    throw new Unsupported(
      place,
      `the actor "${src}" is not a promise; other kinds can't be kept alive over a restart yet`,
      "Use fromPromise.",
    );
  }
}

function checkAction(
  machine: AnyStateMachine,
  place: Place,
  when: string,
  action: unknown,
  effects: Effects,
): void {
  if (typeof action === "function") {
    if (!isBuiltIn(action)) {
      throw new Unsupported(
        place,
        `an action of "${when}" is an inline function, which can't be run after the commit`,
        "Give it a name under setup({ actions }) and implement it in the workflow's effects.",
      );
    }
    checkBuiltIn(place, action);
    return;
  }
  const name = typeof action === "string" ? action : (action as { type: string }).type;
  const implementation = machine.implementations.actions[name] as unknown;
  if (typeof implementation === "function" && isBuiltIn(implementation)) {
    checkBuiltIn(place, implementation);
  } else if (implementation === undefined && effects.actions?.[name] === undefined) {
    throw new Unsupported(
      place,
      `the action "${name}" of "${when}" is unknown`,
      "Add it to setup({ actions }) or to the workflow's effects.",
    );
  }
}

function checkBuiltIn(place: Place, action: { type: string }): void {
  if (SUPPORTED_BUILT_INS.has(action.type)) return;
  throw new Unsupported(
    place,
    `the action ${action.type.replace("xstate.", "")} is not supported yet`,
    "Use raise for events to the machine itself, and emit or a named action for messages.",
  );
}

function isBuiltIn(action: unknown): action is { type: string } {
  return typeof action === "function" && "resolve" in action;
}

function checkGuard(machine: AnyStateMachine, place: Place, guard: unknown): void {
  if (guard === undefined || typeof guard === "function") return;
  const name = typeof guard === "string" ? guard : (guard as { type: string }).type;
  if (name in machine.implementations.guards) return;
  throw new Unsupported(place, `the guard "${name}" is unknown`, "Add it to setup({ guards }).");
}
