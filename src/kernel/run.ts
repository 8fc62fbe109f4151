import type { AnyActorLogic, AnyStateMachine } from "xstate";
import { ChildIds } from "./child-ids.ts";
import type { Effect, MachineEvent } from "./effects.ts";
import type { Unsupported } from "./errors.ts";
import { Failures } from "./failures.ts";
import { Lifecycle } from "./lifecycle.ts";
import { Outgoing } from "./outgoing.ts";
import type { ProcessStatus } from "./process.ts";
import { Processes } from "./processes.ts";
import { survivors } from "./survivors.ts";
import { SystemIds } from "./system-ids.ts";
import { spawned, type ActorState, type System } from "./system.ts";
import {
  becomeDurable,
  keyOf,
  kindOf,
  prepare,
  type ActorScope,
  type AnySnapshot,
  type Ref,
} from "./xstate.ts";

/** Where a run begins. */
export interface Before {
  actors: ReadonlyMap<number, ActorState>;
  systemIds: ReadonlyMap<string, number>;
  nextKey: number;
}

/** Where a run ends. */
export interface After {
  actors: ReadonlyMap<number, ActorState>;
  systemIds: ReadonlyMap<string, number>;
  nextKey: number;
  effects: Effect[];
  /** Whether any transition was selected, in any actor: an explicit empty one counts. */
  isTaken: boolean;
  /** What an actor threw that no one above it handled; the run must not count then. */
  thrown?: { error: unknown };
}

/**
 * One event's way through the actors of an instance: each has a mailbox, which is worked through
 * depth first, as XState does in memory. Everything that would leave the instance is gathered.
 */
export class Run {
  readonly #before: Before;
  readonly #processes: Processes;
  readonly #systemIds: SystemIds;
  readonly #childIds: ChildIds;
  readonly #outgoing: Outgoing;
  // The type is written out so that the compiler sees that `refuse` never returns.
  readonly #failures: Failures = new Failures();
  readonly #lifecycle: Lifecycle;
  #nextKey: number;
  #isTaken = false;

  constructor(system: System, before: Before) {
    this.#before = before;
    this.#nextKey = before.nextKey;
    this.#processes = new Processes(before.actors, (process) => this.#lifecycle.scopeOf(process));
    this.#systemIds = new SystemIds(before.systemIds);
    this.#childIds = new ChildIds(this.#processes);
    this.#outgoing = new Outgoing(this.#processes, this.#failures, () => this.takeKey());
    this.#lifecycle = new Lifecycle({
      system,
      processes: this.#processes,
      systemIds: this.#systemIds,
      childIds: this.#childIds,
      outgoing: this.#outgoing,
      failures: this.#failures,
    });
  }

  /** Makes the instance's own machine and starts it. */
  begin(ref: Ref, machine: AnyStateMachine, input: unknown): void {
    const logic = prepare(machine, spawned);
    const root = this.#processes.add({
      ref,
      logic,
      kind: "machine",
      src: machine.id,
      parent: null,
      sync: false,
    });
    this.#lifecycle.evaluate(root, input);
    this.#lifecycle.start(root);
    this.#failures.throwFatal();
  }

  /** Brings an event to one actor, and all that follows from it to the others. */
  deliver(key: number, event: MachineEvent): void {
    this.#lifecycle.send(key, event);
    this.#failures.throwFatal();
  }

  after(): After {
    const before = this.#before.actors;
    const rest = {
      systemIds: this.systemIds,
      nextKey: this.#nextKey,
      effects: this.#outgoing.effects,
    };
    const root = this.#processes.touched.get(0);
    if (root?.snapshot.status === "error") {
      const thrown = this.#failures.thrownFor(root.snapshot.error);
      if (thrown !== undefined) return { ...rest, actors: before, isTaken: true, thrown };
    }
    const actors = survivors(before, this.#processes.touched, this.#outgoing.effects);
    return { ...rest, actors, isTaken: this.#isTaken || actors !== before };
  }

  // What references and logics ask of the system.

  takeKey(): number {
    return this.#nextKey++;
  }

  spawned(scope: ActorScope, logic: AnyActorLogic, src: string, input: unknown): AnySnapshot {
    const ref = scope.self;
    const parent = this.#processes.find(keyOf(ref._parent!))!;
    becomeDurable(ref);
    const kind = kindOf(logic);
    if (kind === null) {
      this.#failures.refuse(
        parent,
        `the actor "${src}" is a callback or an observable, which can't be kept alive over a restart`,
        "Use fromPromise, fromTransition or a machine; what comes from outside comes as events.",
      );
    }
    if (this.#childIds.isTaken(parent, ref.id)) {
      this.#failures.refuse(
        parent,
        `it spawns "${ref.id}" while an actor of that id is alive`,
        "Stop that one first, or give each an id of its own.",
      );
    }
    const process = this.#processes.add({
      ref,
      logic: kind === "machine" ? prepare(logic as AnyStateMachine, spawned) : logic,
      kind,
      src,
      parent: parent.actor.key,
      sync: ref._syncSnapshot === true,
    });
    this.#childIds.take(parent, process);
    this.#lifecycle.evaluate(process, input);
    return process.snapshot;
  }

  snapshotOf(key: number): AnySnapshot {
    return this.#processes.snapshotOf(key);
  }

  statusOf(key: number): ProcessStatus {
    return this.#processes.statusOf(key);
  }

  refOf(key: number): Ref | undefined {
    return this.#processes.find(key)?.actor.ref;
  }

  start(key: number): void {
    this.#lifecycle.startIfNew(key);
  }

  stop(key: number): void {
    this.#lifecycle.stop(key);
  }

  relay(target: Ref | undefined, event: MachineEvent, source?: Ref): void {
    this.#lifecycle.send(keyOf(this.#checkThere(target, event, source)), event);
  }

  schedule(source: Ref, target: Ref | undefined, event: MachineEvent, delay: number, id?: string) {
    const there = this.#checkThere(target, event, source);
    this.#outgoing.setTimer(keyOf(source), keyOf(there), event, delay, id);
  }

  cancel(source: Ref, id: string): void {
    this.#outgoing.cancelTimer(keyOf(source), id);
  }

  get systemIds(): ReadonlyMap<string, number> {
    return this.#systemIds.current;
  }

  register(systemId: string, key: number): void {
    this.#systemIds.register(systemId, key);
  }

  unregister(key: number): void {
    this.#lifecycle.unregister(key);
  }

  noteTaken(): void {
    this.#isTaken = true;
  }

  fatal(error: Unsupported): Unsupported {
    return this.#failures.fatal(error);
  }

  refuseAt(key: number, what: string, remedy: string): never {
    this.#failures.refuse(this.#processes.find(key), what, remedy);
  }

  #checkThere(target: Ref | undefined, event: MachineEvent, source: Ref | undefined): Ref {
    if (target !== undefined) return target;
    this.#failures.refuse(
      source && this.#processes.find(keyOf(source)),
      `"${event.type}" is sent to an actor that is not there`,
      "Check that it was spawned, and not stopped, before sending to it.",
    );
  }
}
