import type { Origin } from "../contract/attributes.ts";
import type { Ending, ParentLink } from "../contract/requests.ts";
import type { Effect, MachineEvent } from "../kernel/effects.ts";
import type { MachineState, Step } from "../kernel/step.ts";
import type { InstanceActor, Route } from "../kernel/workflow.ts";
import type { EffectChanges } from "./effect-book.ts";
import type { Live } from "./live.ts";
import type { Happening } from "./recorder.ts";
import type { EffectRow } from "./effect-table.ts";
import { parentLink } from "./store.ts";

/** An actor that is another instance, as its row's payload has it. */
export interface InstancePayload {
  /** The actor's id. */
  id: string;
  workflow: string;
  instance: string;
  input: unknown;
  event?: { type: string; data?: unknown };
}

/** An actor's run, as its row's payload has it. */
export interface ActorPayload {
  id: string;
  input: unknown;
  path: string[];
}

export interface SendPayload {
  id: string;
  event: { type: string; data?: unknown };
  /** The actor that it is about: an instance of the same id may be another's. */
  of?: ParentLink;
}

/** What an instance's id may have at most. */
const MAX_ID = 200;

/** The work that a step asks for, and the work that it ends. What is added here takes keys of its own. */
export function effectChanges(
  live: Live,
  step: Step,
  { hops, trace }: Pick<Happening, "hops" | "trace">,
  now: number,
): { state: MachineState; changes: EffectChanges } {
  const wasActive = live.seq === 0 || live.machine.snapshot.status === "active";
  const hasEnded = wasActive && step.state.snapshot.status !== "active";
  const parent = hasEnded ? parentLink(live.identity) : null;
  if (step.effects.length === 0 && parent === null) return { state: step.state, changes: {} };

  const keys = { next: step.state.nextKey };
  const add: EffectRow[] = [];
  const remove: number[] = [];
  const row = (kind: EffectRow["kind"], key: number, name: string, payload: unknown): void => {
    add.push(newEffect(live, now, { kind, key, name, payload, hops, trace }));
  };
  for (const effect of step.effects) {
    switch (effect.type) {
      case "actor.start":
        startActor(live, effect, row);
        break;
      case "actor.stop": {
        const running = live.effects.get(effect.key);
        if (running === undefined) break;
        remove.push(effect.key);
        const told = stopLetter(live, running);
        if (told !== null) row("send", keys.next++, told.workflow, told.payload);
        break;
      }
      case "command":
        row("command", effect.key, effect.name, { params: effect.params, path: effect.path });
        break;
      case "emit":
        // Without a route nobody listens, as in XState. Each route's order is that of the keys: once one
        // was added here, those that follow must be larger.
        for (const [index, name] of routesFor(live, effect.event).entries()) {
          const isFirst = index === 0 && keys.next === step.state.nextKey;
          row("emit", isFirst ? effect.key : keys.next++, name, effect.event);
        }
        break;
      default:
    }
  }
  if (parent !== null) {
    const { status, output, error } = step.state.snapshot;
    const ending: Ending =
      status === "done"
        ? { output: (output as unknown) ?? null }
        : { error: asErrorData(status === "error" ? error : "The instance was stopped") };
    row("outcome", keys.next++, parent.workflow, { of: parent, ending });
  }
  const state =
    keys.next === step.state.nextKey ? step.state : { ...step.state, nextKey: keys.next };
  return { state, changes: { add, remove } };
}

/** Work that is to be done as soon as it is written. */
export function newEffect(
  { identity }: Live,
  now: number,
  {
    payload,
    trace,
    ...what
  }: Pick<EffectRow, "kind" | "key" | "name" | "hops"> &
    Pick<Origin, "trace"> & { payload: unknown },
): EffectRow {
  return {
    ...what,
    trace: trace ?? null,
    payload: JSON.stringify(payload ?? null),
    status: "waiting",
    attempt: 0,
    due: now,
    createdAt: now,
    epoch: identity.epoch,
    error: null,
    result: null,
  };
}

/** Whether it is an actor's run, here or as another instance. */
export function isRun({ kind }: Pick<EffectRow, "kind">): boolean {
  return kind === "actor" || kind === "instance";
}

/**
 * Calls runs off; those that are instances are told.
 *
 * @param keys hands out those of the letters
 */
export function callOff(
  live: Live,
  runs: readonly EffectRow[],
  keys: { next: number },
  now: number,
): { add: EffectRow[]; remove: number[] } {
  const add = runs.flatMap((row) => {
    const letter = stopLetter(live, row);
    if (letter === null) return [];
    const { workflow: name, payload } = letter;
    const { hops, trace } = row;
    const what = { kind: "send" as const, key: keys.next++, name, payload, hops };
    return newEffect(live, now, { ...what, trace: trace ?? undefined });
  });
  return { add, remove: runs.map(({ key }) => key) };
}

/** An actor's run once more, under another key: an instance whose id was made gets another. */
export function runAgain(
  { identity }: Live,
  payload: unknown,
  key: { before: number; now: number },
): unknown {
  const { instance } = payload as Partial<InstancePayload>;
  if (instance === undefined) return payload;
  const made = (epoch: number, one: number): string => childId(identity.id, `${epoch}-${one}`);
  // It may run since an earlier epoch.
  for (let { epoch } = identity; epoch > 0; epoch--) {
    if (instance !== made(epoch, key.before)) continue;
    return { ...(payload as InstancePayload), instance: made(identity.epoch, key.now) };
  }
  return payload;
}

function startActor(
  live: Live,
  { key, id, src, input, path }: Extract<Effect, { type: "actor.start" }>,
  row: (kind: EffectRow["kind"], key: number, name: string, payload: unknown) => void,
): void {
  const { identity, workflow } = live;
  const definition = workflow.effects.actors?.[src] as Partial<InstanceActor> | undefined;
  if (definition?.workflow === undefined) {
    row("actor", key, src, { id, input, path } satisfies ActorPayload);
    return;
  }
  const wanted = (input ?? {}) as { id?: string; input?: unknown; event?: MachineEvent };
  row("instance", key, src, {
    id,
    workflow: definition.workflow,
    instance: wanted.id ?? childId(identity.id, `${identity.epoch}-${key}`),
    input: wanted.input,
    ...(wanted.event === undefined ? {} : { event: wanted.event }),
  } satisfies InstancePayload);
}

/** The same for the same actor, and no other's. */
function childId(parent: string, actor: string): string {
  const whole = `${parent}~${actor}`;
  if (whole.length <= MAX_ID) return whole;
  // FNV-1a, in 64 bits.
  let hash = 0xcbf29ce484222325n;
  for (const character of whole) {
    hash ^= BigInt(character.charCodeAt(0));
    hash = BigInt.asUintN(64, hash * 0x100000001b3n);
  }
  return `${parent.slice(0, 150)}~${hash.toString(36)}-${actor}`;
}

/** What the instance that is no longer wanted is told. */
function stopLetter({ identity, workflow }: Live, row: EffectRow) {
  // What was never asked for isn't there.
  if (row.kind !== "instance" || row.attempt === 0) return null;
  const definition = workflow.effects.actors?.[row.name] as Partial<InstanceActor> | undefined;
  const event = definition?.onStop;
  if (event === undefined) return null;
  const { workflow: key, instance } = JSON.parse(row.payload) as InstancePayload;
  const of = { workflow: identity.workflow, id: identity.id, key: row.key, epoch: row.epoch };
  return { workflow: key, payload: { id: instance, event, of } satisfies SendPayload };
}

function routesFor({ workflow }: Live, { type }: MachineEvent): string[] {
  const routes = (workflow.effects.routes ?? {}) as Record<string, Route<unknown, MachineEvent>>;
  return Object.entries(routes).flatMap(([name, route]) => {
    const types = typeof route === "function" ? undefined : route.types;
    const isWanted = types?.some((one) =>
      one.endsWith("*") ? type.startsWith(one.slice(0, -1)) : type === one,
    );
    return isWanted === false ? [] : [name];
  });
}

function asErrorData(error: unknown): { name: string; message: string } {
  const { name = "Error", message = String(error) } = (error ?? {}) as Partial<Error>;
  return { name, message };
}
