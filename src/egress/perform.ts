import type { AnyStateMachine } from "xstate";
import type { Address } from "../contract/address.ts";
import type { Letter, ParentLink } from "../contract/requests.ts";
import type { Live } from "../instance/live.ts";
import type { ActorPayload, InstancePayload, SendPayload } from "../instance/effect-rows.ts";
import type { EffectRow } from "../instance/effect-table.ts";
import type { MachineEvent } from "../kernel/effects.ts";
import { Unsupported } from "../kernel/errors.ts";
import { findUnserialisable } from "../kernel/json.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import type { Action, ActorDefinition, EffectContext, Route } from "../kernel/workflow.ts";
import { findActorLogic, promiseCreator } from "../kernel/xstate.ts";
import { TerminalError } from "../kernel/terminal-error.ts";

/** Characters of JSON that an actor may answer: it goes into the journal, whose rows have a limit of 2 MB. */
const MAX_OUTPUT = 500_000;

/** What an author may say of who is called, whatever calls it. */
type Policy = Partial<ActorDefinition<unknown, unknown, unknown>>;

type Table<Entry> = Record<string, Entry> | undefined;

/** How a row is to be run: its actor's, action's or route's own policy. */
export function policyOf({ effects }: RegisteredWorkflow, { kind, name }: EffectRow): Policy {
  const definition = {
    actor: () => (effects.actors as Table<unknown>)?.[name],
    command: () => (effects.actions as Table<unknown>)?.[name],
    emit: () => (effects.routes as Table<unknown>)?.[name],
    instance: () => undefined,
    send: () => undefined,
    outcome: () => undefined,
  }[kind]();
  return typeof definition === "object" && definition !== null ? (definition as Policy) : {};
}

/** Runs an actor, an action or a route once. @returns the actor's output, as it will be stored */
export async function perform(
  live: Live,
  row: EffectRow,
  context: EffectContext<unknown>,
): Promise<unknown> {
  const payload: unknown = JSON.parse(row.payload);
  switch (row.kind) {
    case "actor":
      return storable(
        row,
        await runActor(live.workflow, row.name, payload as ActorPayload, context),
      );
    case "command":
      return runAction(live.workflow, row.name, payload as CommandPayload, context);
    case "emit":
      return deliver(live.workflow, row.name, payload as MachineEvent, context);
    default:
      throw new TypeError(`${row.kind} goes by letter`);
  }
}

/** What is said to another instance by a row that is one. */
export function letterOf(live: Live, row: EffectRow): Letter | null {
  const { tenant, workflow, id, jurisdiction } = live.identity;
  const from = (to: Omit<Address, "tenant">) => ({
    address: { tenant, workflow: to.workflow, id: to.id },
    caller: {
      tenant,
      subject: `instance:${workflow}/${id}`,
      // The deployment's own charts speak: they may do what their author wrote.
      roles: ["operator"],
      credential: `instance:${workflow}/${id}`,
      ...(jurisdiction === null ? {} : { jurisdiction }),
    },
    hops: row.hops + 1,
    ...(row.trace === null ? {} : { trace: row.trace }),
  });
  const name = `${workflow}/${id}/${row.epoch}-${row.key}`;
  const payload: unknown = JSON.parse(row.payload);
  switch (row.kind) {
    case "instance": {
      const { workflow: to, instance, input, event } = payload as InstancePayload;
      return {
        ...from({ workflow: to, id: instance }),
        kind: "start",
        input,
        fingerprint: `instance:${name}`,
        parent: { workflow, id, key: row.key, epoch: row.epoch },
        ...(event === undefined ? {} : { event }),
      };
    }
    case "send": {
      const { id: to, event, of } = payload as SendPayload;
      return {
        ...from({ workflow: row.name, id: to }),
        kind: "send",
        event,
        dedupe: `instance:${name}`,
        ...(of === undefined ? {} : { of }),
      };
    }
    case "outcome": {
      const { of, ending } = payload as { of: ParentLink; ending: never };
      return { ...from(of), kind: "outcome", of, ending };
    }
    default:
      return null;
  }
}

interface CommandPayload {
  params?: unknown;
  path: string[];
}

async function runActor(
  { effects, machine }: RegisteredWorkflow,
  name: string,
  { input, path }: ActorPayload,
  context: EffectContext<unknown>,
): Promise<unknown> {
  const provided = (effects.actors as Table<ActorDefinition<unknown, unknown, unknown>>)?.[name];
  if (provided !== undefined) return provided.run({ ...context, input });
  const logic = findActorLogic(machineAt(machine, path), name);
  if (logic === undefined) throw new TerminalError(`The actor "${name}" is unknown`);
  return promiseCreator(logic)({ ...context, input });
}

async function runAction(
  { effects, machine }: RegisteredWorkflow,
  name: string,
  { params, path }: CommandPayload,
  context: EffectContext<unknown>,
): Promise<void> {
  const provided = (effects.actions as Table<Action<unknown, unknown>>)?.[name];
  if (provided !== undefined) {
    return typeof provided === "function"
      ? provided(params, context)
      : provided.run(params, context);
  }
  const asking = machineAt(machine, path);
  const own: unknown = asking.implementations.actions[name];
  if (typeof own !== "function") throw new TerminalError(`The action "${name}" is unknown`);
  const run = own as (context: object, params: unknown) => unknown;
  await run(withoutLiveContext(asking.id, name, context), params);
}

async function deliver(
  { effects }: RegisteredWorkflow,
  name: string,
  event: MachineEvent,
  context: EffectContext<unknown>,
): Promise<void> {
  const route = (effects.routes as Table<Route<unknown, MachineEvent>>)?.[name];
  if (route === undefined) throw new TerminalError(`There is no route "${name}" any more`);
  return typeof route === "function" ? route(event, context) : route.deliver(event, context);
}

/** The child machine that a path of logics leads to. */
function machineAt(machine: AnyStateMachine, path: readonly string[]): AnyStateMachine {
  let found = machine;
  for (const src of path) {
    const logic = findActorLogic(found, src);
    if (logic === undefined) throw new TerminalError(`The child machine "${src}" is gone`);
    found = logic as AnyStateMachine;
  }
  return found;
}

/** An output as it comes back from storage. @throws TerminalError where it can't be stored: trying again wouldn't help */
function storable({ name }: EffectRow, output: unknown): unknown {
  const found = findUnserialisable(output ?? null, "output");
  if (found !== null) throw new TerminalError(`${name}'s ${found} can't be stored as JSON`);
  const text = JSON.stringify(output ?? null);
  if (text.length <= MAX_OUTPUT) return JSON.parse(text) as unknown;
  throw new TerminalError(`${name}'s output has ${text.length} characters; at most ${MAX_OUTPUT}`);
}

/** A named action runs after the commit, perhaps twice: by then the context may be another. */
function withoutLiveContext(machine: string, action: string, context: object): object {
  const refuse = (what: string) => () => {
    throw new Unsupported(
      { machine },
      `the action "${action}" reads ${what}, which is not there after the commit`,
      "Hand it what it needs as params.",
    );
  };
  return Object.defineProperties(
    { ...context },
    {
      context: { get: refuse("context") },
      event: { get: refuse("event") },
      self: { get: refuse("self") },
      system: { get: refuse("system") },
    },
  );
}
