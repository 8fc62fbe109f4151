import type { AnyStateMachine } from "xstate";
import { joinContext } from "../../src/kernel/changes.ts";
import { nextTimers, type Effect, type Timer } from "../../src/kernel/effects.ts";
import {
  begin,
  restore,
  settlementEvent,
  step,
  store,
  type MachineState,
  type Settlement,
  type StoredState,
} from "../../src/kernel/step.ts";

/** A state as it comes back from storage: JSON that was written and read. */
export function stored(machine: AnyStateMachine, state: MachineState): StoredState {
  const { head, texts } = store(machine, state);
  const context: unknown = JSON.parse(joinContext(texts));
  return JSON.parse(JSON.stringify({ ...head, context })) as StoredState;
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
    return this.#step(event);
  }

  /** Lets the actor that is running come to its end. */
  settle(result: Settlement): boolean {
    const actor = this.running[0];
    const event = actor && settlementEvent(this.state, actor, result);
    if (!event) return false;
    this.running = this.running.filter(({ key }) => key !== actor.key);
    this.#step(event);
    return true;
  }

  /** Moves on to the next deadline and fires it. */
  fireNextTimer(): boolean {
    const [due] = this.timers.toSorted((a, b) => a.at - b.at);
    if (due === undefined) return false;
    this.now = due.at;
    this.timers = this.timers.filter((timer) => timer !== due);
    this.#step(due.event);
    return true;
  }

  /** Forgets what isn't stored, as an eviction would. */
  evict(): void {
    this.state = restore(this.machine, stored(this.machine, this.state));
    this.timers = JSON.parse(JSON.stringify(this.timers)) as Timer[];
  }

  #step(event: { type: string }): boolean {
    const { snapshot } = this.state;
    const { state, effects, taken } = step(this.machine, this.state, event);
    if (!taken) return false;
    const found = this.machine.getTransitionData(snapshot, event as never);
    for (const { source, eventType } of found) this.selected.add(`${source.id} ${eventType}`);
    this.state = state;
    this.#note(effects);
    return true;
  }

  #note(effects: readonly Effect[]): void {
    const isActive = this.state.snapshot.status === "active";
    this.timers = nextTimers(this.timers, effects, this.now, isActive);
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
