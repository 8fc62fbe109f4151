import type { StateValue } from "xstate";
import type { Problem } from "./problem.ts";
import type { InstanceRequest, Reply } from "./requests.ts";
import type { Changes, MachineStatus, Outcome } from "./view.ts";

/** Something that could happen: an event, time passing, an actor coming to its end. */
export type Supposition =
  | { type: string; data?: unknown }
  /** Milliseconds that pass; timers fire in them. */
  | { advance: number }
  /** @property actor its id, after those of the actors above it */
  | { actor: string; output?: unknown }
  | { actor: string; error: { name: string; message: string } };

export interface SimulationRequest extends InstanceRequest {
  suppose: readonly Supposition[];
  /** From what it was after this entry; from now where it is left out. */
  from?: number;
}

/** One transition that would be taken, or an event that would not. */
export interface SimulatedStep {
  event: { type: string; data?: unknown };
  by: "caller" | "timer" | "actor" | "deferred";
  /** Milliseconds after the beginning of the simulation. */
  after: number;
  outcome: Outcome | "rejected";
  /** Why it would be rejected. */
  problem?: Problem;
  status: MachineStatus;
  state: StateValue;
  changes: Changes;
  /** What would be asked for; with what, only operators see. */
  effects: { kind: string; name: string; payload?: unknown }[];
  /** Actors that would be stopped. */
  stopped: string[];
}

export interface Simulation {
  from: { epoch: number; seq: number };
  steps: SimulatedStep[];
  /** What it would be in the end. */
  status: MachineStatus;
  state: StateValue;
  context: Record<string, unknown>;
  /** `after`: milliseconds after the beginning of the simulation. */
  timers: { event: string; after: number }[];
}

export type SimulationReply = Reply<Simulation>;
