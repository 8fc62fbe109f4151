import type { AnyActorLogic, EventObject } from "xstate";
import type { Run } from "./run.ts";
import type { Unsupported } from "./errors.ts";
import {
  keyOf,
  sessionOf,
  type ActorKind,
  type ActorScope,
  type AnySnapshot,
  type Host,
  type InspectionEvent,
  type Ref,
} from "./xstate.ts";

/** An actor between two steps. */
export interface ActorState {
  readonly key: number;
  readonly id: string;
  /** The name of its logic. */
  readonly src: string;
  /** Null for the instance's own machine. */
  readonly parent: number | null;
  readonly systemId?: string;
  /** Whether its parent is told each of its states. */
  readonly sync: boolean;
  readonly kind: ActorKind;
  readonly logic: AnyActorLogic;
  readonly ref: Ref;
  readonly snapshot: AnySnapshot;
}

const inert = (): void => {};

/**
 * The actor system that the references of one instance speak to, for as long as it is in memory. It
 * keeps nothing itself: each call goes to the run under way.
 */
export class System implements Host {
  readonly _clock = { setTimeout: inert, clearTimeout: inert };
  readonly _logger = inert;
  #run: Run | undefined;
  /** The key of the next reference that is made outside of a run. */
  #reserved: number | undefined;

  /** @param act must be synchronous; `run` hears the actors until it returns */
  during<Result>(run: Run, act: () => Result): Result {
    this.#run = run;
    try {
      return act();
    } finally {
      this.#run = undefined;
    }
  }

  /** Makes a reference with a key of the caller's. */
  reserve<Made>(key: number, make: () => Made): Made {
    this.#reserved = key;
    try {
      return make();
    } finally {
      this.#reserved = undefined;
    }
  }

  get #current(): Run {
    if (this.#run === undefined) {
      throw new Error("An actor reference was used outside of a step. It is good only within one.");
    }
    return this.#run;
  }

  spawned(scope: ActorScope, logic: AnyActorLogic, src: string, input: unknown): AnySnapshot {
    return this.#current.spawned(scope, logic, src, input);
  }

  _bookId(): string {
    return sessionOf(this.#reserved ?? this.#current.takeKey());
  }

  _register(sessionId: string): string {
    return sessionId;
  }

  _unregister(ref: Ref): void {
    this.#current.unregister(keyOf(ref));
  }

  _set(systemId: string, ref: Ref): void {
    this.#current.register(systemId, keyOf(ref));
  }

  _relay(source: Ref | undefined, target: Ref | undefined, event: EventObject): void {
    this.#current.relay(target, event, source);
  }

  _sendInspectionEvent({ type, actorRef, _transitions }: InspectionEvent): void {
    if (type === "@xstate.microstep") {
      if ((_transitions?.length ?? 0) > 0) this.#current.noteTaken();
    } else if (type === "@xstate.actor" && typeof actorRef.src !== "string") {
      this.#current.refuseAt(
        keyOf(actorRef._parent!),
        "it spawns logic that has no name, so that it couldn't be found again",
        "Give the logic a name under setup({ actors }) and spawn it by that name.",
      );
    }
  }

  get(systemId: string): Ref | undefined {
    const run = this.#current;
    const key = run.systemIds.get(systemId);
    return key === undefined ? undefined : run.refOf(key);
  }

  getAll(): Record<string, Ref> {
    const run = this.#current;
    return Object.fromEntries([...run.systemIds].map(([id, key]) => [id, run.refOf(key)!]));
  }

  readonly scheduler = {
    schedule: (source: Ref, target: Ref, event: EventObject, delay: number, id?: string) =>
      this.#current.schedule(source, target, event, delay, id),
    cancel: (source: Ref, id: string) => this.#current.cancel(source, id),
    cancelAll: inert,
  };

  snapshotOf(ref: Ref): AnySnapshot {
    return this.#current.snapshotOf(keyOf(ref));
  }

  statusOf(ref: Ref): 0 | 1 | 2 {
    return this.#current.statusOf(keyOf(ref));
  }

  startActor(ref: Ref): void {
    this.#current.start(keyOf(ref));
  }

  stopActor(ref: Ref): void {
    this.#current.stop(keyOf(ref));
  }

  refuse(error: Unsupported): never {
    throw this.#current.fatal(error);
  }
}

/** The same for all machines: the run is found by the actor that spawns. */
export function spawned(scope: ActorScope, logic: AnyActorLogic, src: string, input: unknown) {
  return (scope.system as System).spawned(scope, logic, src, input);
}
