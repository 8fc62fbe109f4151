import type { AnyStateMachine } from "xstate";
import type { Effect } from "../../src/kernel/effects.ts";
import {
  begin,
  settle,
  step,
  type MachineState,
  type Settlement,
  type Step,
} from "../../src/kernel/step.ts";
import { restore } from "../../src/kernel/restoring.ts";
import type { StoredActor, StoredState } from "../../src/kernel/stored.ts";
import { machineText, store } from "../../src/kernel/storing.ts";
import { changeTimers, detach, isTimerEffect, type Timer } from "../../src/kernel/timers.ts";

/** A state written as it is stored, and read back. */
export function thereAndBack(machine: AnyStateMachine, state: MachineState): MachineState {
  const { root, rows } = stored(state);
  return restore(machine, root, rows);
}

/** A state as it comes back from storage: JSON that was written and read. */
export function stored(state: MachineState): { root: StoredState; rows: StoredActor[] } {
  const { actors, ...parts } = store(state);
  const root = JSON.parse(machineText(parts)) as StoredState;
  const texts_ = [...actors.values()].filter((text) => text !== null);
  const rows = texts_.map((text) => JSON.parse(text) as StoredActor);
  return { root, rows: rows.toSorted((a, b) => a.key - b.key) };
}

interface Running {
  key: number;
  id: string;
}

/** Drives a machine through the pure kernel, with its time and its actors in the test's hand. */
export class Driver {
  readonly machine: AnyStateMachine;
  state: MachineState;
  now = 0;
  timers: readonly Timer[] = [];
  running: Running[] = [];
  /** What left, in order: commands and emitted events by name. */
  sent: string[] = [];
  /** Every transition that was selected, as `state event #index`. */
  readonly selected = new Set<string>();

  constructor(machine: AnyStateMachine, input: unknown = {}) {
    this.machine = machine;
    const first = begin(machine, input);
    this.state = first.state;
    this.#note(first.effects);
  }

  get value(): unknown {
    return this.state.snapshot.value;
  }

  get context(): Record<string, unknown> {
    return this.state.snapshot.context as Record<string, unknown>;
  }

  /** Sends an event as the door would; false where the state doesn't take it. */
  send(type: string, data?: unknown): boolean {
    const event = data === undefined ? { type } : { type, data };
    return this.#take(event, step(this.state, event));
  }

  /** Lets the actor that is running come to its end. */
  settle(result: Settlement): boolean {
    const actor = this.running[0];
    const next = actor && settle(this.state, actor.key, result);
    if (!next) return false;
    this.running = this.running.filter(({ key }) => key !== actor.key);
    const end = "error" in result ? "error" : "done";
    this.#take({ type: `xstate.${end}.actor.${actor.id}`, ...result }, next);
    return true;
  }

  /** Moves on to the next deadline and fires it. */
  fireNextTimer(): boolean {
    const [due] = this.timers.toSorted((a, b) => a.at - b.at || a.key - b.key);
    if (due === undefined) return false;
    this.now = due.at;
    const others = this.timers.filter((timer) => timer !== due);
    this.timers = detach(others, due);
    this.#take(due.event, step(this.state, due.event, due.target));
    return true;
  }

  /** Forgets what isn't stored, as an eviction would. */
  evict(): void {
    this.state = thereAndBack(this.machine, this.state);
    this.timers = JSON.parse(JSON.stringify(this.timers)) as Timer[];
  }

  #take(event: { type: string }, { state, effects, taken }: Step): boolean {
    const { snapshot } = this.state;
    if (!taken) return false;
    const found = this.machine.getTransitionData(snapshot, event as never);
    for (const { source, eventType } of found) this.selected.add(`${source.id} ${eventType}`);
    this.state = state;
    this.#note(effects);
    return true;
  }

  #note(effects: readonly Effect[]): void {
    const isActive = this.state.snapshot.status === "active";
    for (const effect of effects.filter(isTimerEffect)) {
      this.timers = changeTimers(this.timers, effect, this.now);
    }
    if (!isActive) this.timers = [];
    for (const effect of effects) {
      if (effect.type === "actor.start") this.running.push({ key: effect.key, id: effect.id });
      if (effect.type === "actor.stop") {
        this.running = this.running.filter(({ key }) => key !== effect.key);
      }
      if (effect.type === "command") this.sent.push(effect.name);
      if (effect.type === "emit") this.sent.push(effect.event.type);
    }
  }
}
