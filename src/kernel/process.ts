import type { AnyStateMachine } from "xstate";
import type { MachineEvent } from "./effects.ts";
import type { Place } from "./errors.ts";
import type { ActorState } from "./system.ts";
import type { ActorScope, AnySnapshot, Ref, ResolvedAction } from "./xstate.ts";

/** XState's processing statuses. */
export const NOT_STARTED = 0;
export const RUNNING = 1;
export const STOPPED = 2;

export type ProcessStatus = 0 | 1 | 2;

/** An actor while a step runs: XState's `Actor`, but that it starts nothing and sends nothing out. */
export class Process {
  readonly actor: Omit<ActorState, "snapshot">;
  readonly scope: ActorScope;
  snapshot: AnySnapshot;
  status: ProcessStatus;
  /** What is to be done when the transition is through, in order. */
  readonly deferred: (() => void)[] = [];
  /** Named actions of the transition under way: dropped if it throws. */
  readonly commands: ResolvedAction[] = [];
  readonly mailbox: MachineEvent[] = [];
  /** Events wait until the actor has started, and while it is busy. */
  isOpen = false;
  isBusy = false;

  /** @param scopeOf is called last, so that the scope may speak of this process */
  constructor(
    actor: Process["actor"],
    snapshot: AnySnapshot,
    status: ProcessStatus,
    scopeOf: (process: Process) => ActorScope,
  ) {
    this.actor = actor;
    this.snapshot = snapshot;
    this.status = status;
    this.scope = scopeOf(this);
  }
}

/** An actor that is gone, for references that are left of it. */
export const GONE: AnySnapshot = Object.freeze({ status: "stopped", children: Object.freeze({}) });

/** The children a state holds; what has come to its end holds none. */
export function childrenOf(snapshot: AnySnapshot): Ref[] {
  const children = snapshot["children"] as Record<string, Ref | undefined> | undefined;
  if (children === undefined) return [];
  return Object.values(children).filter((child) => child !== undefined);
}

/** Whether an actor stands among the children, be it under its own id: XState has none for some. */
export function holds(snapshot: AnySnapshot, { sessionId }: Ref): boolean {
  return childrenOf(snapshot).some((child) => child.sessionId === sessionId);
}

/** Where in the charts a process is, for messages. */
export function placeOf(process: Process | undefined): Place {
  if (process === undefined) return { machine: "(unknown)" };
  const { actor, snapshot } = process;
  const value = snapshot["value"];
  const machine = actor.kind === "machine" ? (actor.logic as AnyStateMachine).id : actor.src;
  return {
    machine,
    ...(value === undefined
      ? {}
      : { state: typeof value === "string" ? value : JSON.stringify(value) }),
  };
}
