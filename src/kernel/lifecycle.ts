import type { ChildIds } from "./child-ids.ts";
import type { MachineEvent } from "./effects.ts";
import type { Failures } from "./failures.ts";
import { MAX_DELIVERIES } from "./limits.ts";
import type { Outgoing } from "./outgoing.ts";
import { childrenOf, NOT_STARTED, RUNNING, STOPPED, type Process } from "./process.ts";
import type { Processes } from "./processes.ts";
import type { SystemIds } from "./system-ids.ts";
import type { System } from "./system.ts";
import {
  initialOf,
  keyOf,
  STOP,
  transitionOf,
  type ActorScope,
  type AnySnapshot,
  type Ref,
  type ResolvedAction,
} from "./xstate.ts";

/** What the actors of a run have in common. */
interface Surroundings {
  system: System;
  processes: Processes;
  systemIds: SystemIds;
  childIds: ChildIds;
  outgoing: Outgoing;
  failures: Failures;
}

/**
 * How actors live during a run, step for step as XState's `Actor` has it: they are evaluated and
 * started, work through their mailboxes, and come to their end.
 */
export class Lifecycle {
  readonly #system: System;
  readonly #processes: Processes;
  readonly #systemIds: SystemIds;
  readonly #childIds: ChildIds;
  readonly #outgoing: Outgoing;
  readonly #failures: Failures;
  #deliveries = 0;

  constructor(around: Surroundings) {
    this.#system = around.system;
    this.#processes = around.processes;
    this.#systemIds = around.systemIds;
    this.#childIds = around.childIds;
    this.#outgoing = around.outgoing;
    this.#failures = around.failures;
  }

  /** What a process's logic is given to act with. */
  scopeOf(process: Process): ActorScope {
    const { ref } = process.actor;
    return {
      self: ref,
      id: ref.id,
      sessionId: ref.sessionId,
      system: this.#system,
      logger: (...values) => this.#outgoing.log(values),
      defer: (task) => void process.deferred.push(task),
      stopChild: (child) => this.stop(keyOf(child)),
      emit: (event) => this.#outgoing.emit(event),
      // A property of its own: XState replaces it for the length of a microstep.
      actionExecutor: (action) => {
        if (action.type === "xstate.stopChild" && action.params) {
          this.#childIds.release(keyOf(action.params as Ref));
        }
        if (process.status === RUNNING) this.#carryOut(process, action);
        else process.deferred.push(() => this.#carryOut(process, action));
      },
    };
  }

  /** The initial state. What logic throws here becomes its state, as in XState. */
  evaluate(process: Process, input: unknown): void {
    const { logic, kind } = process.actor;
    try {
      // A promise's input goes out with its run; keeping it in the state as well would be paid twice.
      process.snapshot = initialOf(logic, process.scope, kind === "promise" ? undefined : input);
    } catch (error) {
      process.snapshot = { status: "error", error };
    }
    this.#failures.throwFatal();
    if (process.snapshot.status === "error") {
      const error = this.#failures.noteThrown(process.snapshot.error);
      process.snapshot = { ...process.snapshot, error };
    }
    if (kind === "promise") {
      process.deferred.push(() => this.#outgoing.startActor(process, input));
    }
  }

  start(process: Process): void {
    process.status = RUNNING;
    const { ref, kind } = process.actor;
    if (ref.systemId !== undefined) this.#systemIds.register(ref.systemId, process.actor.key);
    if (process.snapshot.status === "error") {
      this.#fail(process, process.snapshot.error);
      return;
    }
    if (process.snapshot.status === "active" && kind === "machine") {
      for (const child of childrenOf(process.snapshot)) {
        const key = keyOf(child);
        if (this.#processes.snapshotOf(key).status === "active") this.startIfNew(key);
      }
    }
    this.#update(process, process.snapshot);
    if (process.snapshot.status !== "active") return;
    process.isOpen = true;
    this.#drain(process);
  }

  startIfNew(key: number): void {
    const process = this.#processes.find(key);
    if (process?.status === NOT_STARTED) this.start(process);
  }

  stop(key: number): void {
    const process = this.#processes.find(key);
    if (process === undefined || process.status === STOPPED) return;
    process.mailbox.length = 0;
    if (process.status === NOT_STARTED) process.status = STOPPED;
    else this.#enqueue(process, { type: STOP });
  }

  /** What is gone swallows what is sent to it. */
  send(key: number, event: MachineEvent): void {
    const process = this.#processes.find(key);
    if (process !== undefined) this.#enqueue(process, event);
  }

  /** Its end is decided: its names are free for others. */
  unregister(key: number): void {
    this.#childIds.release(key);
    this.#systemIds.unregister(key);
  }

  #enqueue(process: Process, event: MachineEvent): void {
    if (process.status === STOPPED) return;
    process.mailbox.push(event);
    if (process.isOpen && !process.isBusy) this.#drain(process);
  }

  #drain(process: Process): void {
    process.isBusy = true;
    for (;;) {
      const event = process.mailbox.shift();
      if (event === undefined) break;
      if (++this.#deliveries > MAX_DELIVERIES) {
        this.#failures.refuse(
          process,
          `the actors have sent each other over ${MAX_DELIVERIES} events in one step`,
          "Look for actors that answer each other without end.",
        );
      }
      this.#take(process, event);
    }
    process.isBusy = false;
  }

  #take(process: Process, event: MachineEvent): void {
    let next: AnySnapshot;
    try {
      next = transitionOf(process.actor.logic, process.snapshot, event, process.scope);
    } catch (error) {
      this.#failures.throwFatal();
      process.commands.length = 0;
      process.deferred.length = 0;
      const data = this.#failures.noteThrown(error);
      process.snapshot = { ...process.snapshot, status: "error", error: data };
      this.#fail(process, data);
      return;
    }
    this.#failures.throwFatal();
    this.#update(process, next);
    if (event.type === STOP) {
      const { key, kind } = process.actor;
      if (kind === "promise") this.#outgoing.stopActor(key);
      this.#stopProcedure(process);
    }
  }

  #update(process: Process, snapshot: AnySnapshot): void {
    process.snapshot = snapshot;
    for (const command of process.commands.splice(0)) this.#outgoing.command(process, command);
    for (;;) {
      const task = process.deferred.shift();
      if (task === undefined) break;
      task();
    }
    const { actor } = process;
    switch (snapshot.status) {
      case "active":
        if (actor.sync)
          this.#tellParent(process, { type: `xstate.snapshot.${actor.id}`, snapshot });
        break;
      case "done":
        this.#stopProcedure(process);
        this.#tellParent(process, {
          type: `xstate.done.actor.${actor.id}`,
          output: snapshot.output,
          actorId: actor.id,
        });
        break;
      case "error":
        this.#fail(process, snapshot.error);
        break;
      case "stopped":
    }
  }

  #fail(process: Process, error: unknown): void {
    this.#stopProcedure(process);
    // XState leaves the children of an actor that failed alive for ever.
    for (const child of childrenOf(process.snapshot)) this.stop(keyOf(child));
    const { id } = process.actor;
    this.#tellParent(process, { type: `xstate.error.actor.${id}`, error, actorId: id });
  }

  #stopProcedure(process: Process): void {
    if (process.status !== RUNNING) return;
    const { key, kind } = process.actor;
    if (kind !== "promise") this.#outgoing.cancelAllTimers(key);
    process.mailbox.length = 0;
    process.status = STOPPED;
    this.unregister(key);
  }

  #tellParent(process: Process, event: MachineEvent): void {
    const { parent } = process.actor;
    if (parent !== null) this.send(parent, event);
  }

  #carryOut(process: Process, action: ResolvedAction): void {
    if (action.type === "xstate.spawnChild") {
      const { actorRef, src } = action.params as { actorRef?: Ref; src: unknown };
      if (actorRef === undefined) {
        this.#failures.refuse(
          process,
          `the actor ${JSON.stringify(src)} is unknown`,
          "Give its logic a name under setup({ actors }).",
        );
      }
    }
    if (action.type.startsWith("xstate.")) action.exec?.(action.info, action.params);
    else if (process.status === RUNNING && process.isBusy) process.commands.push(action);
    else this.#outgoing.command(process, action);
  }
}
