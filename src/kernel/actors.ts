import type { AnyActorLogic, AnyStateMachine } from "xstate";
import type { Effect, MachineEvent } from "./effects.ts";
import { toErrorData, Unsupported } from "./errors.ts";
import { MAX_DELAY, MAX_DELIVERIES } from "./limits.ts";
import {
  asText,
  childrenOf,
  GONE,
  NOT_STARTED,
  RUNNING,
  STOPPED,
  type Process,
} from "./process.ts";
import { survivors } from "./survivors.ts";
import type { ActorState, System } from "./system.ts";
import {
  becomeDurable,
  initialOf,
  keyOf,
  kindOf,
  prepare,
  STOP,
  transitionOf,
  type ActorScope,
  type AnySnapshot,
  type Ref,
  type ResolvedAction,
} from "./xstate.ts";

/** Where a run begins. */
export interface Before {
  actors: ReadonlyMap<number, ActorState>;
  systemIds: ReadonlyMap<string, number>;
  nextKey: number;
}

/** A mailbox that a run has started to work through. */
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
  readonly #system: System;
  readonly #before: Before;
  readonly #processes = new Map<number, Process>();
  readonly #effects: Effect[] = [];
  /** Actors whose end is decided: another may take their id. */
  readonly #doomed = new Set<number>();
  /** Alive children that this run has made, by parent and id. */
  readonly #born = new Map<string, Process>();
  readonly #thrown = new Map<object, unknown>();
  #systemIds: Map<string, number> | undefined;
  #fatal: Unsupported | undefined;
  #deliveries = 0;
  #isTaken = false;
  nextKey: number;

  constructor(system: System, before: Before) {
    this.#system = system;
    this.#before = before;
    this.nextKey = before.nextKey;
  }

  /** Makes the instance's own machine and starts it. */
  begin(ref: Ref, machine: AnyStateMachine, input: unknown): void {
    const logic = prepare(machine, spawned);
    const root = this.#add({
      ref,
      logic,
      kind: "machine",
      src: machine.id,
      parent: null,
      sync: false,
    });
    this.#evaluate(root, input);
    this.#start(root);
    this.#throwFatal();
  }

  /** Brings an event to one actor, and all that follows from it to the others. */
  deliver(key: number, event: MachineEvent): void {
    const process = this.#process(key);
    if (process !== undefined) this.#enqueue(process, event);
    this.#throwFatal();
  }

  // What references and logics ask of the system.

  spawned(scope: ActorScope, logic: AnyActorLogic, src: string, input: unknown): AnySnapshot {
    const ref = scope.self;
    const parent = this.#process(keyOf(ref._parent!))!;
    becomeDurable(ref);
    const kind = kindOf(logic);
    if (kind === null) {
      this.refuse(
        parent,
        `the actor "${src}" is a callback or an observable, which can't be kept alive over a restart`,
        "Use fromPromise, fromTransition or a machine; what comes from outside comes as events.",
      );
    }
    this.#checkFree(parent, ref);
    const process = this.#add({
      ref,
      logic: kind === "machine" ? prepare(logic as AnyStateMachine, spawned) : logic,
      kind,
      src,
      parent: parent.actor.key,
      sync: ref._syncSnapshot === true,
    });
    this.#born.set(`${parent.actor.key}/${ref.id}`, process);
    this.#evaluate(process, input);
    return process.snapshot;
  }

  snapshotOf(key: number): AnySnapshot {
    return (this.#processes.get(key) ?? this.#before.actors.get(key))?.snapshot ?? GONE;
  }

  statusOf(key: number): 0 | 1 | 2 {
    return this.#process(key)?.status ?? STOPPED;
  }

  start(key: number): void {
    const process = this.#process(key);
    if (process?.status === NOT_STARTED) this.#start(process);
  }

  stop(key: number): void {
    const process = this.#process(key);
    if (process === undefined || process.status === STOPPED) return;
    process.mailbox.length = 0;
    if (process.status === NOT_STARTED) process.status = STOPPED;
    else this.#enqueue(process, { type: STOP });
  }

  relay(target: Ref | undefined, event: MachineEvent, source?: Ref): void {
    if (target === undefined) {
      const from = source && this.#process(keyOf(source));
      this.refuse(
        from,
        `"${event.type}" is sent to an actor that is not there`,
        "Check that it was spawned, and not stopped, before sending to it.",
      );
    }
    const process = this.#process(keyOf(target));
    if (process !== undefined) this.#enqueue(process, event);
  }

  register(systemId: string, key: number): void {
    const existing = this.systemIds.get(systemId);
    if (existing !== undefined && existing !== key) {
      throw new Error(`Actor with system ID '${systemId}' already exists.`);
    }
    if (existing === key) return;
    this.#systemIds ??= new Map(this.#before.systemIds);
    this.#systemIds.set(systemId, key);
  }

  unregister(key: number): void {
    this.#doomed.add(key);
    for (const [systemId, registered] of this.systemIds) {
      if (registered !== key) continue;
      this.#systemIds ??= new Map(this.#before.systemIds);
      this.#systemIds.delete(systemId);
      return;
    }
  }

  get systemIds(): ReadonlyMap<string, number> {
    return this.#systemIds ?? this.#before.systemIds;
  }

  refOf(key: number): Ref | undefined {
    return this.#process(key)?.actor.ref;
  }

  schedule(source: Ref, target: Ref | undefined, event: MachineEvent, delay: number, id?: string) {
    const owner = this.#process(keyOf(source));
    if (target === undefined) this.relay(target, event, source);
    if (!Number.isFinite(delay) || delay > MAX_DELAY) {
      this.refuse(
        owner,
        `a delay of ${delay} is no time to wait`,
        "Give a finite number of milliseconds, at most a hundred years.",
      );
    }
    const key = this.nextKey++;
    this.#effects.push({
      type: "timer.set",
      key,
      owner: keyOf(source),
      target: keyOf(target!),
      id: id ?? `send.${key}`,
      delay: Math.max(0, Math.ceil(delay)),
      event,
    });
  }

  cancel(source: Ref, id: string): void {
    this.#effects.push({ type: "timer.cancel", owner: keyOf(source), id: String(id) });
  }

  noteTaken(): void {
    this.#isTaken = true;
  }

  /** Ends the run: XState catches what is thrown in many places, so it is remembered too. */
  refuse(process: Process | undefined, what: string, remedy: string): never {
    throw this.fatal(new Unsupported(this.#placeOf(process), what, remedy));
  }

  fatal(error: Unsupported): Unsupported {
    return (this.#fatal ??= error);
  }

  refuseAt(key: number, what: string, remedy: string): never {
    this.refuse(this.#process(key), what, remedy);
  }

  // The actors, as XState's `Actor` runs them.

  #process(key: number): Process | undefined {
    const known = this.#processes.get(key);
    if (known !== undefined) return known;
    const actor = this.#before.actors.get(key);
    if (actor === undefined) return undefined;
    const { snapshot } = actor;
    const process = this.#make(actor, snapshot, snapshot.status === "active" ? RUNNING : STOPPED);
    process.isOpen = true;
    this.#processes.set(key, process);
    return process;
  }

  #add(actor: Omit<ActorState, "snapshot" | "key" | "id" | "systemId">): Process {
    const { ref } = actor;
    const { id, systemId } = ref;
    const whole = {
      ...actor,
      key: keyOf(ref),
      id,
      ...(systemId === undefined ? {} : { systemId }),
    };
    const process = this.#make(whole, { status: "active" }, NOT_STARTED);
    this.#processes.set(whole.key, process);
    return process;
  }

  #make(actor: Process["actor"], snapshot: AnySnapshot, status: 0 | 1 | 2): Process {
    const deferred: (() => void)[] = [];
    const { ref } = actor;
    const process: Process = {
      actor,
      snapshot,
      status,
      deferred,
      commands: [],
      mailbox: [],
      isOpen: false,
      isBusy: false,
      scope: {
        self: ref,
        id: ref.id,
        sessionId: ref.sessionId,
        system: this.#system,
        logger: (...values) => {
          this.#effects.push({ type: "log", message: values.map(asText).join(" ") });
        },
        defer: (task) => void deferred.push(task),
        stopChild: (child) => this.stop(keyOf(child)),
        emit: (event) => this.#emit(event),
        // A property of its own: XState replaces it for the length of a microstep.
        actionExecutor: (action) => {
          if (action.type === "xstate.stopChild" && action.params) {
            this.#doomed.add(keyOf(action.params as Ref));
          }
          if (process.status === RUNNING) this.#carryOut(process, action);
          else deferred.push(() => this.#carryOut(process, action));
        },
      },
    };
    return process;
  }

  /** The initial state. What logic throws here becomes its state, as in XState. */
  #evaluate(process: Process, input: unknown): void {
    const { logic, kind } = process.actor;
    try {
      // A promise's input goes out with its run; keeping it in the state as well would be paid twice.
      process.snapshot = initialOf(logic, process.scope, kind === "promise" ? undefined : input);
    } catch (error) {
      process.snapshot = { status: "error", error };
    }
    this.#throwFatal();
    if (process.snapshot.status === "error") {
      process.snapshot = { ...process.snapshot, error: this.#noteThrown(process.snapshot.error) };
    }
    if (kind === "promise") {
      const { key, id, src } = process.actor;
      const path = this.#pathOf(process);
      process.deferred.push(() =>
        this.#effects.push({ type: "actor.start", key, id, src, input, path }),
      );
    }
  }

  #start(process: Process): void {
    process.status = RUNNING;
    const { ref, kind } = process.actor;
    if (ref.systemId !== undefined) this.register(ref.systemId, process.actor.key);
    if (process.snapshot.status === "error") {
      this.#fail(process, process.snapshot.error);
      return;
    }
    if (process.snapshot.status === "active" && kind === "machine") {
      for (const child of childrenOf(process.snapshot)) {
        if (this.snapshotOf(keyOf(child)).status === "active") this.start(keyOf(child));
      }
    }
    this.#update(process, process.snapshot);
    if (process.snapshot.status !== "active") return;
    process.isOpen = true;
    this.#drain(process);
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
        this.refuse(
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
      this.#throwFatal();
      process.commands.length = 0;
      process.deferred.length = 0;
      const data = this.#noteThrown(error);
      process.snapshot = { ...process.snapshot, status: "error", error: data };
      this.#fail(process, data);
      return;
    }
    this.#throwFatal();
    this.#update(process, next);
    if (event.type === STOP) {
      if (process.actor.kind === "promise") {
        this.#effects.push({ type: "actor.stop", key: process.actor.key });
      }
      this.#stopProcedure(process);
    }
  }

  #update(process: Process, snapshot: AnySnapshot): void {
    process.snapshot = snapshot;
    for (const command of process.commands.splice(0)) this.#command(process, command);
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
    if (kind !== "promise") this.#effects.push({ type: "timer.cancelAll", owner: key });
    process.mailbox.length = 0;
    process.status = STOPPED;
    this.unregister(key);
  }

  #tellParent(process: Process, event: MachineEvent): void {
    const { parent } = process.actor;
    if (parent !== null) this.deliverWithin(parent, event);
  }

  deliverWithin(key: number, event: MachineEvent): void {
    const process = this.#process(key);
    if (process !== undefined) this.#enqueue(process, event);
  }

  #carryOut(process: Process, action: ResolvedAction): void {
    if (action.type === "xstate.spawnChild") {
      const { actorRef, src } = action.params as { actorRef?: Ref; src: unknown };
      if (actorRef === undefined) {
        this.refuse(
          process,
          `the actor ${JSON.stringify(src)} is unknown`,
          "Give its logic a name under setup({ actors }).",
        );
      }
    }
    if (action.type.startsWith("xstate.")) action.exec?.(action.info, action.params);
    else if (process.status === RUNNING && process.isBusy) process.commands.push(action);
    else this.#command(process, action);
  }

  #command(process: Process, { type, params, exec }: ResolvedAction): void {
    const { implementations } = process.actor.logic as AnyStateMachine;
    // enqueueActions can name what registration couldn't see.
    if (implementations.actions[type] === undefined || implementations.actions[type] !== exec) {
      this.refuse(
        process,
        `the action "${type}" is unknown, or an inline function`,
        "Give it a name under setup({ actions }), and enqueue it by that name.",
      );
    }
    const path = this.#pathOf(process);
    this.#effects.push({ type: "command", key: this.nextKey++, name: type, params, path });
  }

  #emit(event: MachineEvent): void {
    this.#effects.push({ type: "emit", key: this.nextKey++, event });
  }

  #checkFree(parent: Process, ref: Ref): void {
    const held = (parent.snapshot["children"] as Record<string, Ref | undefined> | undefined)?.[
      ref.id
    ];
    const born = this.#born.get(`${parent.actor.key}/${ref.id}`);
    const others = [held && this.#process(keyOf(held)), born];
    if (
      !others.some(
        (other) => other && other.status !== STOPPED && !this.#doomed.has(other.actor.key),
      )
    ) {
      return;
    }
    this.refuse(
      parent,
      `it spawns "${ref.id}" while an actor of that id is alive`,
      "Stop that one first, or give each an id of its own.",
    );
  }

  #noteThrown(error: unknown): object {
    if (typeof error === "object" && error !== null && this.#thrown.has(error)) return error;
    const data = toErrorData(error);
    this.#thrown.set(data, error);
    return data;
  }

  #throwFatal(): void {
    if (this.#fatal !== undefined) throw this.#fatal;
  }

  #pathOf({ actor }: Process): string[] {
    const path: string[] = [];
    for (let parent = actor.kind === "promise" ? actor.parent : actor.key; parent !== null;) {
      const above = this.#process(parent)!.actor;
      if (above.parent !== null) path.unshift(above.src);
      parent = above.parent;
    }
    return path;
  }

  #placeOf(process: Process | undefined): { machine: string; state?: string } {
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

  // The end.

  after(): After {
    const { systemIds, nextKey } = this;
    const root = this.#processes.get(0);
    const rest = { systemIds, nextKey, effects: this.#effects };
    if (root !== undefined && root.snapshot.status === "error") {
      const { error } = root.snapshot;
      if (this.#thrown.has(error as object)) {
        return {
          ...rest,
          actors: this.#before.actors,
          isTaken: true,
          thrown: { error: this.#thrown.get(error as object) },
        };
      }
    }
    const actors = survivors(this.#before.actors, this.#processes, this.#effects);
    return { ...rest, actors, isTaken: this.#isTaken || actors !== this.#before.actors };
  }
}

/** The same for all machines: the run is found by the actor that spawns. */
export function spawned(scope: ActorScope, logic: AnyActorLogic, src: string, input: unknown) {
  return (scope.system as System).spawned(scope, logic, src, input);
}
