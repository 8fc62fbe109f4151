import type { AnyStateMachine } from "xstate";
import type { Effect, MachineEvent } from "./effects.ts";
import type { Failures } from "./failures.ts";
import { MAX_DELAY } from "./limits.ts";
import type { Process } from "./process.ts";
import type { Processes } from "./processes.ts";
import type { ResolvedAction } from "./xstate.ts";

/** What a run asks of the world outside, gathered as effects in the order in which it is asked. */
export class Outgoing {
  readonly effects: Effect[] = [];
  readonly #processes: Processes;
  readonly #failures: Failures;
  readonly #takeKey: () => number;

  constructor(processes: Processes, failures: Failures, takeKey: () => number) {
    this.#processes = processes;
    this.#failures = failures;
    this.#takeKey = takeKey;
  }

  /** @param id the chart's own name for it, to cancel it by */
  setTimer(owner: number, target: number, event: MachineEvent, delay: number, id?: string): void {
    if (!Number.isFinite(delay) || delay > MAX_DELAY) {
      this.#failures.refuse(
        this.#processes.find(owner),
        `a delay of ${delay} is no time to wait`,
        "Give a finite number of milliseconds, at most a hundred years.",
      );
    }
    const key = this.#takeKey();
    this.effects.push({
      type: "timer.set",
      key,
      owner,
      target,
      id: id ?? `send.${key}`,
      delay: Math.max(0, Math.ceil(delay)),
      event,
    });
  }

  cancelTimer(owner: number, id: string): void {
    this.effects.push({ type: "timer.cancel", owner, id });
  }

  cancelAllTimers(owner: number): void {
    this.effects.push({ type: "timer.cancelAll", owner });
  }

  /** Has a promise actor's work done. */
  startActor(process: Process, input: unknown): void {
    const { key, id, src } = process.actor;
    const path = this.#processes.pathOf(process);
    this.effects.push({ type: "actor.start", key, id, src, input, path });
  }

  stopActor(key: number): void {
    this.effects.push({ type: "actor.stop", key });
  }

  /** Has a named action of the chart performed. */
  command(process: Process, { type, params, exec }: ResolvedAction): void {
    const { implementations } = process.actor.logic as AnyStateMachine;
    // enqueueActions can name what registration couldn't see.
    if (implementations.actions[type] === undefined || implementations.actions[type] !== exec) {
      this.#failures.refuse(
        process,
        `the action "${type}" is unknown, or an inline function`,
        "Give it a name under setup({ actions }), and enqueue it by that name.",
      );
    }
    const path = this.#processes.pathOf(process);
    this.effects.push({ type: "command", key: this.#takeKey(), name: type, params, path });
  }

  emit(event: MachineEvent): void {
    this.effects.push({ type: "emit", key: this.#takeKey(), event });
  }

  log(values: readonly unknown[]): void {
    this.effects.push({ type: "log", message: values.map(asText).join(" ") });
  }
}

function asText(value: unknown): string {
  if (typeof value === "string") return value;
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return Object.prototype.toString.call(value);
  }
}
