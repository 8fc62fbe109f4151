import type { Caller } from "../contract/caller.ts";
import { problem, ProblemError, refusal, type Problem } from "../contract/problem.ts";
import type { SimulatedStep, Simulation, Supposition } from "../contract/simulation.ts";
import type { IncomingEvent, SendRequest } from "../contract/requests.ts";
import type { Changes } from "../contract/view.ts";
import { sends, type Sight } from "../kernel/access.ts";
import { changesText } from "../kernel/changes.ts";
import { momentOf } from "../kernel/moment.ts";
import { restore, reviveEvent } from "../kernel/restoring.ts";
import { settle, step, type Settlement, type Step } from "../kernel/step.ts";
import { store as storedForm } from "../kernel/storing.ts";
import { changeTimers, detach, firstDue, isTimerEffect, type Timer } from "../kernel/timers.ts";
import { decide } from "./decide.ts";
import { eventOf, takeDeferred } from "./deferral.ts";
import { effectChanges } from "./effect-rows.ts";
import { isRunning, type Live } from "./live.ts";
import { comparable } from "./recorder.ts";
import { withoutSecrets, type SecretKeeper } from "./secret-keeper.ts";
import type { DeferredRow } from "./deferred-table.ts";
import type { EffectRow } from "./effect-table.ts";
import { secretPaths, withFieldsOrWhatIsThere } from "../secrets/fields.ts";
import { shownEntry, shownMembers } from "./shown.ts";
import type { Viewer } from "./sight.ts";
import { shownEvent } from "./timer-book.ts";
import { validateEvent } from "./validate.ts";
import { actorsOf } from "./view.ts";

/** Transitions that one simulation may take. */
const MAX_STEPS = 1_000;

/**
 * Characters that one simulation may handle: at each step the whole state, and five times what the step
 * tells. What somebody asks for must neither fill the memory nor keep the instance from its work.
 */
const MAX_CHARACTERS = 50_000_000;

/**
 * What would come of it: the same steps as if it happened, with nothing written and nothing sent. What
 * the chart's functions throw is a rejected step.
 *
 * @param live of its own: nothing else may hold on to it
 */
export function simulate(live: Live, suppose: readonly Supposition[], how: Imagined): Simulation {
  const { identity, seq } = live;
  if (!how.viewer.sight.everything && suppose.some((one) => "actor" in one)) {
    // What it would do to what they don't see could be told from what becomes of it.
    throw refusal("forbidden", "What comes of an actor is for operators to suppose.");
  }
  const run = new Imagining(live, how);
  for (const one of suppose) run.suppose(one);
  return { from: { epoch: identity.epoch, seq }, steps: run.steps, ...run.result() };
}

/** Who supposes, and from when on. */
interface Imagined {
  viewer: Viewer & { sight: Sight };
  /** Milliseconds since the epoch. */
  now: number;
  /** For events that carry secrets: without, they can't be supposed. */
  secrets?: SecretKeeper;
}

class Imagining {
  readonly steps: SimulatedStep[] = [];
  readonly #secrets: SecretKeeper | undefined;
  readonly #caller: Caller;
  readonly #viewer: Viewer & { sight: Sight };
  readonly #begun: number;
  /** Handles as they would be → as they are here. */
  readonly #disguises = new Map<string, string>();
  #now: number;
  #live: Live;
  #characters = 0;

  constructor(live: Live, { viewer, now, secrets }: Imagined) {
    this.#viewer = viewer;
    this.#secrets = secrets;
    this.#caller = viewer.caller;
    this.#begun = now;
    this.#now = now;
    this.#live = live;
    // What is overdue happens before anything else.
    this.#fireUntil(now);
  }

  suppose(one: Supposition): void {
    if ("advance" in one) this.#fireUntil(this.#now + one.advance);
    else if ("actor" in one) this.#settle(one);
    else this.#send(one);
  }

  result(): Omit<Simulation, "from" | "steps"> {
    const { machine, timers } = this.#live;
    const { status, value, context } = machine.snapshot;
    return {
      ...{ status, state: value as Simulation["state"] },
      context: shownMembers(
        JSON.parse(JSON.stringify(context)),
        this.#viewer.sight,
      ) as Simulation["context"],
      timers: timers.inline
        .toSorted((a, b) => a.at - b.at || a.key - b.key)
        .map(({ event, at }) => ({ event: event.type, after: at - this.#begun })),
    };
  }

  #send(
    { type, data }: { type: string; data?: unknown },
    by: "caller" | "deferred" = "caller",
    how: Pick<SendRequest, "caller" | "brokered"> = { caller: this.#caller },
  ): void {
    const came = data === undefined ? { type } : { type, data };
    const { workflow, identity } = this.#live;
    const isSupposed = by === "caller";
    const take = (event: IncomingEvent): IncomingEvent => {
      const taken = this.#secrets?.take(workflow, identity, event).event ?? event;
      return isSupposed ? this.#disguised(taken) : taken;
    };
    // What was kept has its handles already.
    const plain = isSupposed ? came : this.#secrets?.restore(workflow, identity, came);
    this.#attempt(isSupposed ? take(came) : came, by, () => {
      // What is found wrong is told without them: they may be somebody else's.
      const { values = [] } = (plain && this.#secrets?.take(workflow, identity, plain)) ?? {};
      const whole = withoutTelling(values, () =>
        validateEvent(workflow, type, plain === undefined ? data : plain.data),
      );
      const valid = take(whole);
      const { happening, next, deferFor } = decide(this.#live, valid, how);
      if (next === null && happening.outcome === "deferred") this.#defer(valid, deferFor!);
      return { outcome: happening.outcome, next };
    });
    this.#takeDeferred();
  }

  /**
   * What is supposed gets other handles than what happens: else whoever sees a handle could try until a
   * guess has the same, and nobody would ever know of it.
   */
  #disguised(event: IncomingEvent): IncomingEvent {
    const paths = secretPaths(this.#live.workflow, event.type);
    if (paths.length === 0 || event.data === undefined) return event;
    const data = withFieldsOrWhatIsThere(event.type, event.data, paths, ({ value }) => {
      if (typeof value !== "string") return value;
      const known = this.#disguises.get(value) ?? `secret_${crypto.randomUUID()}`;
      this.#disguises.set(value, known);
      return known;
    });
    return { ...event, data };
  }

  #defer({ type, data }: { type: string; data?: unknown }, deferFor: number): void {
    const row: DeferredRow = {
      ...{ seq: this.#live.seq + 1 + this.steps.length, type, by: this.#caller.subject, hops: 0 },
      data: data === undefined ? null : JSON.stringify(data),
      until: this.#now + deferFor,
    };
    this.#live = { ...this.#live, deferred: [...this.#live.deferred, row] };
  }

  #settle(one: Extract<Supposition, { actor: string }>): void {
    const ids = new Map(actorsOf(this.#live).map(({ id }, index) => [id, index]));
    const inOrder = [...this.#live.machine.actors.values()]
      .filter(({ key }) => key !== 0)
      .toSorted((a, b) => a.key - b.key);
    const index = ids.get(one.actor);
    const actor = index === undefined ? undefined : inOrder[index];
    const result: Settlement =
      "error" in one ? { error: one.error } : { output: one.output ?? null };
    const kind = "error" in result ? "error" : "done";
    const data = "error" in result ? result.error : result.output;
    const type = `xstate.${kind}.actor.${actor?.id ?? one.actor}`;
    this.#attempt({ type, data }, "actor", () => {
      const next = actor === undefined ? null : settle(this.#live.machine, actor.key, result);
      if (next !== null) return { outcome: next.taken ? "applied" : "ignored", next };
      throw refusal(
        "operation-not-possible",
        `No actor "${one.actor}" waits for a result. There are ${[...ids.keys()].join(", ") || "none"}.`,
      );
    });
    this.#takeDeferred();
  }

  #fireUntil(until: number): void {
    while (isRunning(this.#live) && this.#happenNext(until));
    this.#now = until;
  }

  /** In the order in which it does happen. @returns whether there was something */
  #happenNext(until: number): boolean {
    const { timers, deferred, held } = this.#live;
    const due = firstDue(timers.inline, until);
    const isFirst = (time: number): boolean => time <= until && !(due && due.at <= time);
    const late = deferred.find((row) => isFirst(row.until));
    const [kept] = held;
    if (late !== undefined) this.#fileLate(late);
    else if (kept !== undefined && isFirst(kept.at)) {
      this.#live = { ...this.#live, held: held.slice(1) };
      const data: unknown = kept.data === null ? undefined : JSON.parse(kept.data);
      this.#send({ type: kept.type, data }, "deferred", { caller: kept.caller, brokered: true });
    } else if (due !== undefined) this.#fire(due);
    else return false;
    return true;
  }

  #fileLate(row: DeferredRow): void {
    this.#now = Math.max(this.#now, row.until);
    const deferred = this.#live.deferred.filter((other) => other !== row);
    this.#live = { ...this.#live, deferred };
    this.#attempt(eventOf(row), "deferred", () => ({ outcome: "late", next: null }));
  }

  #fire(due: Timer): void {
    this.#now = Math.max(this.#now, due.at);
    const others = this.#live.timers.inline.filter((timer) => timer !== due);
    this.#setTimers(detach(others, due));
    this.#attempt(shownEvent(due), "timer", () => {
      const event = reviveEvent(this.#live.machine, due.event);
      const next = step(this.#live.machine, event, due.target);
      return { outcome: next.taken ? "applied" : "ignored", next };
    });
    this.#takeDeferred();
  }

  #takeDeferred(): void {
    const failed = new Set<number>();
    while (isRunning(this.#live)) {
      let row: DeferredRow | undefined;
      let next: Step | undefined;
      try {
        const taken = takeDeferred(this.#live, failed);
        if (taken === null) return;
        ({ row, next } = taken);
      } catch (error) {
        failed.add((error as { seq: number }).seq);
        continue;
      }
      const { seq } = row;
      const deferred = this.#live.deferred.filter((other) => other.seq !== seq);
      this.#live = { ...this.#live, deferred };
      this.#attempt(eventOf(row), "deferred", () => ({ outcome: "applied", next }));
    }
  }

  #setTimers(inline: readonly Timer[]): void {
    this.#live = { ...this.#live, timers: { ...this.#live.timers, inline } };
  }

  #attempt(
    event: { type: string; data?: unknown },
    by: SimulatedStep["by"],
    act: () => { outcome: SimulatedStep["outcome"]; next: Step | null },
  ): void {
    if (this.steps.length >= MAX_STEPS) {
      throw refusal("unsupported", `The simulation has taken ${MAX_STEPS} steps. Suppose less.`);
    }
    const base = { event, by, after: this.#now - this.#begun };
    const before = momentOf(this.#live.machine, []);
    this.#handle(JSON.stringify(before).length);
    try {
      const { outcome, next } = act();
      this.steps.push({ ...base, ...this.#shown(event, { outcome, ...this.#take(next) }) });
    } catch (error) {
      const rejected = {
        outcome: "rejected" as const,
        problem: this.#asProblem(error, event.type, by),
      };
      this.steps.push({ ...base, ...this.#shown(event, { ...rejected, ...this.#unchanged() }) });
      // What throws may have altered the context in place.
      const machine = restore(this.#live.workflow.machine, before.machine, before.actors);
      this.#live = { ...this.#live, machine };
    }
    this.#handle(5 * JSON.stringify(this.steps.at(-1)).length);
  }

  #handle(characters: number): void {
    this.#characters += characters;
    if (this.#characters <= MAX_CHARACTERS) return;
    throw refusal("unsupported", "The simulation handles more than it may. Suppose less.");
  }

  /** A step as a journal entry of it would be shown. */
  #shown<Step extends Pick<SimulatedStep, "outcome" | "changes" | "state">>(
    event: SimulatedStep["event"],
    step: Step,
  ): Step & Pick<SimulatedStep, "event"> {
    const { changes, outcome, state } = step;
    const entry = { epoch: 0, seq: 0, at: "", by: "", outcome: "applied" as const, state, changes };
    const shown = shownEntry(this.#live.workflow, { ...entry, event }, this.#viewer);
    return { ...step, outcome, event: shown.event, changes: shown.changes };
  }

  #asProblem(error: unknown, type: string, by: SimulatedStep["by"]): Problem {
    if (error instanceof ProblemError) {
      if (by === "caller" || sends(this.#live.workflow, type, this.#viewer.sight)) {
        return error.problem;
      }
      // It may quote what somebody else has sent, or tell what that one may do.
      const { type: kind, title, status } = error.problem;
      return { type: kind, title, status, detail: "It is refused." };
    }
    const isTold = this.#viewer.sight.everything;
    return problem("step-failed", isTold ? messageOf(error) : "The chart failed on it.");
  }

  #unchanged(): Pick<SimulatedStep, "status" | "state" | "changes" | "effects" | "stopped"> {
    const { status, value } = this.#live.machine.snapshot;
    const state = value as SimulatedStep["state"];
    return { status, state, changes: {}, effects: [], stopped: [] };
  }

  #take(next: Step | null) {
    if (next === null || next.state === this.#live.machine) return this.#unchanged();
    const { state, changes } = effectChanges(this.#live, next, { hops: 0 }, this.#now);
    const stored = storedForm(state, this.#live.machine);
    let timers: readonly Timer[] = this.#live.timers.inline;
    for (const effect of next.effects) {
      if (isTimerEffect(effect)) timers = changeTimers(timers, effect, this.#now);
    }
    const { status, value } = state.snapshot;
    const after: Live = {
      ...this.#live,
      ...{ machine: state, texts: stored.texts, rest: stored.rest },
      timers: { ...this.#live.timers, inline: status === "active" ? timers : [] },
    };
    const text = changesText(comparable(this.#live), comparable(after), {
      ...{ actors: stored.actors, timers: "", effects: "" },
    });
    const { inner: _, ...shown } = JSON.parse(text) as Changes & { inner?: unknown };
    const stopped = next.effects.flatMap((effect) =>
      effect.type === "actor.stop" ? [this.#live.machine.actors.get(effect.key)?.id ?? ""] : [],
    );
    this.#live = after;
    const { sight } = this.#viewer;
    const effects = (changes.add ?? []).map((row) => shownEffect(row, sight));
    return { status, state: value as SimulatedStep["state"], changes: shown, effects, stopped };
  }
}

/** What goes out is for operators to see: a view shows no one what an actor is given. */
function shownEffect(
  { kind, name, payload }: EffectRow,
  sight: Sight,
): SimulatedStep["effects"][number] {
  if (!sight.operator) return { kind, name };
  return { kind, name, payload: JSON.parse(payload) as unknown };
}

/** @throws what is thrown, without the values */
function withoutTelling<Result>(values: readonly string[], act: () => Result): Result {
  try {
    return act();
  } catch (error) {
    throw withoutSecrets(error, values);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
