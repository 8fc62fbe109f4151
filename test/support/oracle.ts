import { createActor, type AnyActorRef, type AnyStateMachine } from "xstate";
import { features, ran } from "./chart-parts.ts";

/** An actor and those below it, as both engines can show it. */
export interface Shown {
  status: string;
  value?: unknown;
  context?: unknown;
  output?: unknown;
  error?: unknown;
  tags?: string[];
  history?: Record<string, string[]>;
  children?: Record<string, Shown>;
}

interface AnySnapshot {
  status: string;
  value?: unknown;
  context?: unknown;
  output?: unknown;
  error?: unknown;
  tags?: Set<string>;
  historyValue?: Record<string, { id: string }[]>;
  children?: Record<string, { sessionId: string } | undefined>;
}

/**
 * @param lookUp the state of a child, undefined where it is gone
 */
export function show(
  snapshot: AnySnapshot,
  lookUp: (ref: { sessionId: string }) => AnySnapshot | undefined,
): Shown {
  const { status, value, context, output, error, tags, historyValue, children } = snapshot;
  const shown: Shown = { status };
  if (value !== undefined) shown.value = value;
  if (context !== undefined) shown.context = plain(context);
  if (output !== undefined) shown.output = plain(output);
  if (error !== undefined) shown.error = messageOf(error);
  if (tags !== undefined) shown.tags = [...tags].toSorted();
  const remembered = Object.entries(historyValue ?? {});
  if (remembered.length > 0) {
    shown.history = Object.fromEntries(
      remembered.map(([id, nodes]) => [id, nodes.map((node) => node.id).toSorted()]),
    );
  }
  if (children !== undefined && status === "active") {
    let unnamed = 0;
    shown.children = {};
    for (const [id, ref] of Object.entries(children)) {
      const child = ref && lookUp(ref);
      // What has no id of its own is numbered by whoever runs it.
      const name = /^(x:|undefined)/.test(id) ? `unnamed ${unnamed++}` : id;
      if (child !== undefined) shown.children[name] = show(child, lookUp);
    }
  }
  return shown;
}

function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_, part: unknown) => {
      const { xstate$$type, id } = (part ?? {}) as { xstate$$type?: number; id?: string };
      if (xstate$$type === 1) return `→ ${id?.startsWith("x:") ? "unnamed" : id}`;
      // What has no id of its own is numbered by whoever runs it.
      return typeof part === "string" ? part.replaceAll(/x:\d+/g, "unnamed") : part;
    }),
  ) as unknown;
}

function messageOf(error: unknown): string {
  return (error as { message?: string } | null)?.message ?? String(error);
}

/** Time in a test's hand: what is due fires by its deadline, then in the order in which it was set. */
class Clock {
  now = 0;
  #next = 0;
  readonly #timeouts = new Map<number, { at: number; act: () => void }>();

  setTimeout(act: () => void, delay: number): number {
    const id = this.#next++;
    this.#timeouts.set(id, { at: this.now + delay, act });
    return id;
  }

  clearTimeout(id: number): void {
    this.#timeouts.delete(id);
  }

  advance(to: number): void {
    for (;;) {
      const due = [...this.#timeouts]
        .filter(([, { at }]) => at <= to)
        .toSorted(([a, one], [b, other]) => one.at - other.at || a - b)[0];
      if (due === undefined) break;
      this.now = Math.max(this.now, due[1].at);
      this.#timeouts.delete(due[0]);
      due[1].act();
    }
    this.now = to;
  }
}

/** The chart runs in circles. */
export class Endless extends Error {}

/** Plain XState in memory, never restarted: what the durable engine must do as well. */
export class Oracle {
  readonly #clock = new Clock();
  readonly #actor: AnyActorRef;
  /** XState leaves the children of an actor that threw alive; here they end with it. */
  hasLeaked = false;
  #inspected = 0;
  readonly #errors = new WeakSet<object>();
  /** How much had run when an actor was last through with a transition. */
  readonly #since = new Map<string, number>();
  /** What the root has emitted. */
  readonly emitted: unknown[] = [];
  /** The named actions that have run. */
  readonly commands: unknown[] = [];

  constructor(machine: AnyStateMachine) {
    const clock = this.#clock;
    const actor = createActor(machine, {
      logger: () => features.add("log"),
      inspect: (event: unknown) => {
        // In memory nothing ends actors that set each other off for ever.
        if (++this.#inspected > 30_000) throw new Endless();
        noteFeatures(event as Inspected);
        this.#forgetThrown(event as Inspected);
      },
      clock: {
        setTimeout: (act: () => void, delay: number) => clock.setTimeout(act, delay),
        clearTimeout: (id: number) => clock.clearTimeout(id),
      },
    });
    this.#actor = actor;
    actor.on("*", (event: unknown) => this.emitted.push(event));
    // Without a listener XState would throw out of band.
    actor.subscribe({ error: () => {} });
    this.#during(() => actor.start());
  }

  show(): Shown {
    return show(
      this.#actor.getSnapshot() as AnySnapshot,
      (ref) => (ref as unknown as AnyActorRef).getSnapshot() as AnySnapshot,
    );
  }

  send(event: { type: string }): void {
    this.#during(() => this.#actor.send(event));
  }

  advance(to: number): void {
    this.#during(() => this.#clock.advance(to));
  }

  /** Lets the `index`th of the running promises come to its end. */
  settle(index: number, result: { output: unknown } | { error: Error }): void {
    const ref = this.promises()[index]!;
    const event =
      "error" in result
        ? { type: "xstate.promise.reject", data: result.error }
        : { type: "xstate.promise.resolve", data: result.output };
    this.#during(() => ref.send(event));
  }

  /** The running promises, parents before children, in the order of their making. */
  promises(): AnyActorRef[] {
    const found: AnyActorRef[] = [];
    const walk = (ref: AnyActorRef): void => {
      const snapshot = ref.getSnapshot() as AnySnapshot;
      if (snapshot.status !== "active") return;
      if (ref.src === "work") found.push(ref);
      for (const child of Object.values(snapshot.children ?? {})) {
        if (child !== undefined) walk(child as unknown as AnyActorRef);
      }
    };
    walk(this.#actor);
    return found;
  }

  #during(act: () => void): void {
    ran.length = 0;
    this.#since.clear();
    this.#inspected = 0;
    act();
    this.commands.push(...ran.splice(0).map(({ params }) => params));
  }

  /** What an actor did in a transition that threw it does not do here: the commit never comes. */
  #forgetThrown({ type, sourceRef, actorRef, event }: Inspected): void {
    if (type === "@xstate.snapshot") this.#since.set(actorRef.sessionId, ran.length);
    if (type !== "@xstate.event" || !event?.type.startsWith("xstate.error.actor.")) return;
    const { error } = event as unknown as { error: object };
    // Who passes on what another threw has not thrown.
    if (this.#errors.has(error) || !/exploded|Infinite|Unable/.test(messageOf(error))) return;
    this.#errors.add(error);
    const { sessionId } = sourceRef!;
    const { children = {} } = sourceRef!.getSnapshot() as AnySnapshot;
    this.hasLeaked ||= Object.keys(children).length > 0;
    const since = this.#since.get(sessionId) ?? 0;
    const kept = ran.filter(({ by }, index) => by !== sessionId || index < since);
    ran.splice(0, ran.length, ...kept);
  }
}

interface Inspected {
  type: string;
  action?: { type: string; params?: { delay?: number; to?: AnyActorRef; targetId?: string } };
  actorRef: AnyActorRef;
  sourceRef?: AnyActorRef;
  event?: { type: string };
  snapshot?: AnySnapshot & { _nodes?: { type: string; tags: string[] }[] };
  _transitions?: {
    eventType: string;
    reenter: boolean;
    target?: { type: string; history?: string; config: { target?: unknown } }[];
  }[];
}

/** What a chart meets while it runs, by XState's own account. */
function noteFeatures({ type, action, actorRef, snapshot, _transitions = [] }: Inspected): void {
  if (type === "@xstate.action" && action !== undefined) noteAction(action, actorRef);
  if (type !== "@xstate.microstep") return;
  for (const { type: kind, tags } of snapshot?._nodes ?? []) {
    if (kind !== "atomic") features.add(kind === "compound" ? "nested" : kind);
    if (tags.length > 0) features.add("tags");
  }
  for (const { eventType, reenter, target = [] } of _transitions) {
    if (reenter) features.add("reenter");
    features.add(kindOfEvent(eventType));
    for (const { type: kind, history, config } of target) {
      if (kind !== "history") continue;
      features.add(`history, ${history}`);
      if (config.target !== undefined) features.add("history with default");
    }
  }
}

function noteAction({ type, params }: NonNullable<Inspected["action"]>, of: AnyActorRef): void {
  const isDelayed = typeof params?.delay === "number";
  if (type === "xstate.raise") features.add(isDelayed ? "delayed raise" : "raise");
  else if (type !== "xstate.sendTo") features.add(type.replace("xstate.", ""));
  else if (isDelayed) features.add(`delayed send ${params.to === of ? "to itself" : "to another"}`);
  else if (params?.targetId === "#_parent") features.add("sendParent");
  else features.add(params?.targetId === undefined ? "send by reference" : "send by id");
  const { systemId, syncSnapshot } = (params ?? {}) as {
    systemId?: string;
    syncSnapshot?: boolean;
  };
  if (systemId !== undefined) features.add("systemId");
  if (syncSnapshot) features.add("spawn with snapshots");
}

const EVENT_KINDS: [RegExp, string][] = [
  [/^xstate\.after\.\d/, "after so many milliseconds"],
  [/^xstate\.after\.short/, "after a named delay"],
  [/^xstate\.after/, "after a computed delay"],
  [/^xstate\.done\.state/, "onDone of a state"],
  [/^xstate\.done\.actor/, "onDone of an actor"],
  [/^xstate\.error\.actor/, "onError"],
  [/^xstate\.snapshot/, "onSnapshot"],
  [/^\*$/, "wildcard"],
  [/\.\*$/, "partial wildcard"],
  [/^I/, "an event among actors"],
];

function kindOfEvent(eventType: string): string {
  if (eventType === "") return "always";
  return EVENT_KINDS.find(([pattern]) => pattern.test(eventType))?.[1] ?? "an event from outside";
}
