import type { ActorState } from "./system.ts";
import type { MachineEvent } from "./effects.ts";
import { type ActorScope, type AnySnapshot, type Ref, type ResolvedAction } from "./xstate.ts";

/** XState's processing statuses. */
export const NOT_STARTED = 0;
export const RUNNING = 1;
export const STOPPED = 2;

/** An actor while a step runs: XState's `Actor`, but that it starts nothing and sends nothing out. */
export interface Process {
  readonly actor: Omit<ActorState, "snapshot">;
  readonly scope: ActorScope;
  snapshot: AnySnapshot;
  status: 0 | 1 | 2;
  /** What is to be done when the transition is through, in order. */
  readonly deferred: (() => void)[];
  /** Named actions of the transition under way: dropped if it throws. */
  readonly commands: ResolvedAction[];
  readonly mailbox: MachineEvent[];
  /** Events wait until the actor has started, and while it is busy. */
  isOpen: boolean;
  isBusy: boolean;
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

export function asText(value: unknown): string {
  if (typeof value === "string") return value;
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return Object.prototype.toString.call(value);
  }
}
