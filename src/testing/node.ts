import type { AnyActorLogic, AnyStateMachine } from "xstate";
import { objectName, type Address } from "../contract/address.ts";
import type { Caller } from "../contract/caller.ts";
import { log } from "../contract/log.ts";
import type { Operation, OperationView } from "../contract/operations.ts";
import type { Problem } from "../contract/problem.ts";
import type { EraseReply, SendReply } from "../contract/requests.ts";
import type { Simulation, Supposition } from "../contract/simulation.ts";
import type { TransitionExport } from "../contract/transition.ts";
import type { EventReply, JournalEntry, MomentView, View } from "../contract/view.ts";
import { Engine } from "../instance/engine.ts";
import { validate, validateEvent } from "../instance/validate.ts";
import { ProblemError } from "../contract/problem.ts";
import { registerWorkflows, type RegisteredWorkflow } from "../kernel/registration.ts";
import type { EffectContext, ReleasedVersion, WorkflowDefinition } from "../kernel/workflow.ts";
import { kindOf } from "../kernel/xstate.ts";
import { payloadBucket, sha256Now, type Payloads } from "./memory-payloads.ts";
import { MemoryStorage, ProcessDied, type StorageDump } from "./memory-storage.ts";
import { asEvent, type Answer, type TestEvent, type TestInstance } from "./test-instance.ts";

/** Answers in an actor's place; a throw or a rejection is its failure. */
export type Mock = (context: EffectContext<unknown> & { input: unknown }) => unknown;

export interface NodeOptions {
  /** Actors to answer for, by name. The others run as the workflow says. */
  actors?: Record<string, Mock>;
  /** Named actions to take over, by name. By default they do nothing but are noted in `sent`. */
  actions?: Record<string, (params: unknown, context: EffectContext<unknown>) => unknown>;
  /** Takes every transition, as the deployment's `export` would. */
  export?: TransitionExport;
  /** What the effects are given as `env`. */
  env?: unknown;
  /** What was uploaded to the instance, by its hash; `referenceTo(content)` tells that. */
  payloads?: Payloads;
  /** Where the clock begins, in milliseconds since the epoch. */
  now?: number;
  id?: string;
  roles?: readonly string[];
  /** What another instance of the same id had stored (`dump`): this one goes on from there. */
  from?: StorageDump;
}

/** What left the instance: a named action or an emitted event, under the id that repeats are known by. */
export interface Sent {
  name: string;
  payload: unknown;
  id: string;
}

export interface NodeInstance extends TestInstance {
  start(options?: StartOptions): Promise<View>;
  readonly now: number;
  /** Everything that left, repeats too, in the order in which it did. */
  readonly sent: readonly Sent[];
  /** Transactions committed so far. */
  readonly commits: number;
  /**
   * Kills the process at a commit to come: `after` it, or just `before`, when it comes to nothing. The
   * call under way then rejects with `ProcessDied`, and the next one meets a restarted process.
   *
   * @param commits how many commits from now on; 1 for the next
   */
  crash(when: "before" | "after", commits?: number): void;
  /** As an operator: `{ name: "pause" }`, `{ name: "rewind", to: 3 }` and so on. */
  operate(operation: Operation): Promise<OperationAnswer>;
  /** Leaves nothing but a tombstone. */
  erase(options?: { force?: boolean }): Promise<EraseReply>;
  /** What it was after an entry of its history. */
  moment(seq: number): Promise<MomentView>;
  /** What would happen; it doesn't. */
  simulate(suppose: readonly Supposition[], from?: number): Promise<Simulation>;
  /** Everything that it has stored, as JSON: to be kept, and gone on from by later versions. */
  dump(): StorageDump;
  /** Another version of the workflow takes over, as a deployment does; it may need more stand-ins. */
  deploy(
    definition: WorkflowDefinition | WorkflowDefinition["machine"],
    options?: Pick<NodeOptions, "actors">,
  ): Promise<void>;
}

/** What an operation was answered: the view with its result, or a problem. */
export type OperationAnswer = { ok: true; view: OperationView } | { ok: false; problem: Problem };

interface StartOptions {
  input?: unknown;
  event?: TestEvent;
  /** Milliseconds since the epoch. */
  startAt?: number;
}

const TENANT = "test";

/** What stands for the object's id in the keys of buckets. */
const OBJECT_ID = "test";

/**
 * Runs one instance of a workflow in plain Node: the real engine on a real SQLite, a clock that moves
 * only when told to, and crashes where you want them.
 */
export function runInNode(
  definition: WorkflowDefinition | WorkflowDefinition["machine"],
  options: NodeOptions = {},
): NodeInstance {
  return new InNode("machine" in definition ? definition : { machine: definition }, options);
}

class InNode implements NodeInstance {
  now: number;
  readonly sent: Sent[] = [];
  readonly #options: NodeOptions;
  readonly #mocks: Map<string, Mock>;
  #workflow!: RegisteredWorkflow;
  #workflows!: ReadonlyMap<string, RegisteredWorkflow>;
  readonly #storage = new MemoryStorage();
  readonly #address: Address;
  readonly #caller: Caller;
  readonly #env: unknown;
  readonly #pending = new Set<Promise<unknown>>();
  #engine: Engine | undefined;
  #crash: { when: "before" | "after"; commits: number } | undefined;

  constructor(definition: WorkflowDefinition, options: NodeOptions) {
    const { now = Date.UTC(2030, 0, 1), id = "test", roles = ["operator"], env = {} } = options;
    this.now = now;
    const { payloads } = options;
    this.#env =
      payloads === undefined
        ? env
        : { ...(env as object), PAYLOADS: payloadBucket(payloads, OBJECT_ID) };
    this.#options = options;
    this.#mocks = new Map(Object.entries(options.actors ?? {}));
    this.#register(definition, options.actors);
    this.#address = { tenant: TENANT, workflow: "tests", id };
    this.#caller = { tenant: TENANT, subject: "tester", roles };
    if (options.from !== undefined) this.#storage.load(options.from);
    this.#storage.onCommit = (point) => this.#reach(point);
  }

  get commits(): number {
    return this.#storage.commits;
  }

  crash(when: "before" | "after", commits = 1): void {
    this.#crash = { when, commits };
  }

  async start(options: StartOptions = {}): Promise<View> {
    const { input, event, startAt } = options;
    const { input: schema } = this.#workflow;
    const request = {
      address: this.#address,
      caller: this.#caller,
      input: schema === undefined ? input : validate(schema, input, "input"),
      fingerprint: JSON.stringify([input, event, startAt]),
      ...(startAt === undefined ? {} : { startAt }),
      ...(event === undefined
        ? {}
        : { event: validateEvent(this.#workflow, event.type, event.data) }),
    };
    const reply = await this.#call((engine) => engine.start(request));
    if (!reply.ok) throw new ProblemError(reply.problem);
    return JSON.parse(reply.json) as View;
  }

  async send(event: TestEvent | string, key?: string): Promise<Answer> {
    const request = JSON.stringify({
      address: this.#address,
      caller: this.#caller,
      event: asEvent(event),
      ...(key === undefined ? {} : { dedupe: key }),
    });
    const answer: string | SendReply = await this.#call((engine) => engine.send(request));
    if (typeof answer === "string") return { ok: true, reply: JSON.parse(answer) as EventReply };
    return answer.ok ? { ok: true, reply: JSON.parse(answer.json) as EventReply } : answer;
  }

  async view(): Promise<View> {
    const request = { address: this.#address, caller: this.#caller };
    return parsed(await this.#call((engine) => engine.get(request)));
  }

  async history(): Promise<JournalEntry[]> {
    const request = { address: this.#address, caller: this.#caller, after: 0, limit: 100_000 };
    return parsed(await this.#call((engine) => engine.past.history(request)));
  }

  async operate(operation: Operation): Promise<OperationAnswer> {
    const request = { address: this.#address, caller: this.#caller, operation };
    const reply = await this.#call((engine) => engine.control.operate(request));
    return reply.ok ? { ok: true, view: JSON.parse(reply.json) as OperationView } : reply;
  }

  dump(): StorageDump {
    return this.#storage.dump();
  }

  async erase({ force = false }: { force?: boolean } = {}): Promise<EraseReply> {
    const request = { address: this.#address, caller: this.#caller, force };
    return await this.#call((engine) => engine.control.erase(request));
  }

  async moment(seq: number): Promise<MomentView> {
    const request = { address: this.#address, caller: this.#caller, seq };
    return parsed(await this.#call((engine) => engine.past.moment(request)));
  }

  async simulate(suppose: readonly Supposition[], from?: number): Promise<Simulation> {
    const request = { address: this.#address, caller: this.#caller, suppose };
    const whole = from === undefined ? request : { ...request, from };
    return parsed(await this.#call((engine) => engine.past.simulate(whole)));
  }

  async deploy(
    definition: WorkflowDefinition | WorkflowDefinition["machine"],
    { actors = {} }: Pick<NodeOptions, "actors"> = {},
  ): Promise<void> {
    for (const [name, mock] of Object.entries(actors)) this.#mocks.set(name, mock);
    this.#register("machine" in definition ? definition : { machine: definition }, actors);
    await this.restart();
  }

  /** @param actors those that it must have */
  #register(definition: WorkflowDefinition, actors: object = {}): void {
    const { versions: released = [] } = definition;
    const known = new Set([definition, ...released].flatMap((one) => [...actorsOf(one)]));
    for (const name of Object.keys(actors)) {
      if (known.has(name)) continue;
      throw new Error(
        `There is no actor "${name}" to stand in for; there are ${[...known].join(", ")}.`,
      );
    }
    const whole = this.#withMocks(definition);
    const versions = released.map((one) => this.#withMocks(one));
    this.#workflows = registerWorkflows({ tests: { ...whole, versions } });
    this.#workflow = this.#workflows.get("tests")!;
  }

  async advance(milliseconds: number): Promise<void> {
    const until = this.now + milliseconds;
    await this.settle();
    for (;;) {
      // Whoever is dead doesn't hear the alarm; the platform wakes it for that.
      await this.#awake();
      const { alarm } = this.#storage;
      if (alarm === null || alarm > until) break;
      this.now = Math.max(this.now, alarm);
      // The platform takes an alarm away when it rings.
      await this.#storage.deleteAlarm();
      await this.#call((engine) => engine.alarm());
    }
    this.now = until;
  }

  async restart(): Promise<void> {
    this.#engine = undefined;
    await this.#awake();
    await this.settle();
  }

  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 3;) {
      const before = this.#pending.size;
      const commits = this.#storage.commits;
      await new Promise((resolve) => setImmediate(resolve));
      const isQuiet = this.#pending.size === before && this.#storage.commits === commits;
      quiet = isQuiet ? quiet + 1 : 0;
    }
  }

  /** @throws ProcessDied where the call met the crash that was asked for */
  async #call<Result>(act: (engine: Engine) => Result | Promise<Result>): Promise<Result> {
    const result = await act(await this.#awake());
    if (this.#storage.isDead) throw new ProcessDied("The process died during this call");
    await this.settle();
    return result;
  }

  async #awake(): Promise<Engine> {
    if (this.#engine !== undefined && !this.#storage.isDead) return this.#engine;
    this.#storage.revive();
    const engine = new Engine({
      context: {
        id: { name: objectName(this.#address), toString: () => OBJECT_ID },
        storage: this.#storage,
        waitUntil: (promise: Promise<unknown>) => this.#wait(promise),
      } as never,
      env: this.#env,
      workflows: this.#workflows,
      destinations: {},
      transports: {},
      export: this.#options.export,
      sha256: sha256Now,
      clock: () => this.now,
      show: () => {},
      // That the process died is what the test wanted.
      report: (message, details) => {
        if (!(details.error instanceof ProcessDied)) log.error(message, details);
      },
    });
    this.#engine = engine;
    if (engine.exists) await engine.wakeUp();
    return engine;
  }

  #wait(promise: Promise<unknown>): void {
    this.#pending.add(promise);
    promise
      .catch((error: unknown) => {
        if (!(error instanceof ProcessDied)) throw error;
      })
      .finally(() => this.#pending.delete(promise));
  }

  #reach(point: "before" | "after"): void {
    if (this.#crash === undefined || this.#crash.when !== point) return;
    this.#crash.commits -= 1;
    if (this.#crash.commits > 0) return;
    this.#crash = undefined;
    throw new ProcessDied(`The process died ${point} a commit`);
  }

  #withMocks<Definition extends ReleasedVersion>(definition: Definition): Definition {
    const options = this.#options;
    const effects = (definition.effects ?? {}) as Record<string, Record<string, unknown>>;
    const known = actorsOf(definition);
    const mocks = [...this.#mocks].filter(([name]) => known.has(name));
    const actors = mocks.map(([name, mock]) => [
      name,
      {
        ...(effects["actors"]?.[name] as object | undefined),
        run: async (context: Parameters<Mock>[0]) => await mock(context),
      },
    ]);
    const note = (name: string, payload: unknown, { id }: EffectContext<unknown>) => {
      this.sent.push({ name, payload, id });
    };
    const names = new Set([
      ...Object.keys(effects["actions"] ?? {}),
      ...Object.keys(definition.machine.implementations.actions).filter((name) =>
        isPlain(definition.machine.implementations.actions[name]),
      ),
      ...Object.keys(options.actions ?? {}),
    ]);
    const actions = [...names].map((name) => [
      name,
      async (params: unknown, context: EffectContext<unknown>) => {
        note(name, params, context);
        await options.actions?.[name]?.(params, context);
      },
    ]);
    const routes = {
      sent: (event: TestEvent, context: EffectContext<unknown>) => {
        note(event.type, event, context);
        return Promise.resolve();
      },
    };
    return {
      ...definition,
      effects: {
        ...effects,
        actors: { ...effects["actors"], ...(Object.fromEntries(actors) as object) } as never,
        actions: Object.fromEntries(actions) as never,
        routes: routes as never,
      },
    };
  }
}

/** The names of all actors that a workflow has. */
function actorsOf({ machine, effects }: ReleasedVersion): Set<string> {
  const names = new Set(Object.keys(effects?.actors ?? {}));
  collectActors(machine, names);
  return names;
}

/** The names of all actors of a machine and of its child machines. */
function collectActors(machine: AnyStateMachine, names: Set<string>): void {
  for (const [name, logic] of Object.entries(machine.implementations.actors)) {
    if (names.has(name)) continue;
    names.add(name);
    if (kindOf(logic as AnyActorLogic) === "machine")
      collectActors(logic as AnyStateMachine, names);
  }
}

function isPlain(action: unknown): boolean {
  return typeof action === "function" && !("resolve" in action);
}

function parsed<Value>(
  reply: { ok: true; json: string & { readonly of?: Value } } | { ok: false; problem: Problem },
): Value {
  if (!reply.ok) throw new ProblemError(reply.problem);
  return JSON.parse(reply.json) as Value;
}
