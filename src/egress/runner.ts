import { objectName, subjectOf } from "../contract/address.ts";
import type { Live } from "../instance/live.ts";
import type { EffectRow } from "../instance/store.ts";
import type { MachineEvent } from "../kernel/effects.ts";
import { findUnserialisable } from "../kernel/json.ts";
import { toErrorData, Unsupported } from "../kernel/errors.ts";
import type { Settlement } from "../kernel/step.ts";
import type { EffectContext } from "../kernel/workflow.ts";
import { findActorLogic, promiseCreator } from "../kernel/xstate.ts";
import { backoff, LEASE } from "./timing.ts";
import { publish } from "./publish.ts";
import { isTerminal, TerminalError } from "./terminal-error.ts";

const DEFAULT_ATTEMPTS = 5;
const DEFAULT_TIMEOUT = 60_000;
const MAX_TIMEOUT = 600_000;

/** Characters of JSON that an actor may answer: it goes into the journal, whose rows have a limit of 2 MB. */
const MAX_OUTPUT = 500_000;

/** How long a message is tried before it is parked for a person. */
const EXHAUSTED_AFTER = 24 * 3_600_000;

/** What the runner needs of the instance. All of it commits before it returns. */
export interface Ledger {
  current(): Live | undefined;
  settle(row: EffectRow, result: Settlement, now: number): void;
  finish(key: number): void;
  update(row: EffectRow): void;
}

/**
 * Runs what was committed: actors, named actions, emitted events. Each at least once: a run that
 * outlives its process is taken over by the alarm when its lease ends.
 */
export class Runner {
  readonly #context: DurableObjectState;
  readonly #env: unknown;
  readonly #ledger: Ledger;
  readonly #running = new Map<number, AbortController>();

  constructor(context: DurableObjectState, env: unknown, ledger: Ledger) {
    this.#context = context;
    this.#env = env;
    this.#ledger = ledger;
  }

  /** Runs work whose lease was taken when it was written. */
  start(live: Live, rows: readonly EffectRow[]): void {
    for (const row of rows) this.#context.waitUntil(this.#run(live, row));
  }

  /** Tells runs that nobody waits for any more. */
  abortUnwanted(live: Live): void {
    for (const [key, controller] of this.#running) {
      if (!live.effects.has(key)) controller.abort(new Error("The result is no longer wanted"));
    }
  }

  /** Renews the leases of what is running, takes over what isn't any more, tries again what failed. */
  runDue(now: number): void {
    for (const key of [...(this.#ledger.current()?.effects.keys() ?? [])]) {
      // Read anew each time: what came before may have ended it.
      const live = this.#ledger.current();
      const row = live?.effects.get(key);
      if (live === undefined || row === undefined || row.due === null || row.due > now) continue;
      if (this.#running.has(row.key)) {
        this.#ledger.update({ ...row, due: now + LEASE });
      } else if (row.result !== null) {
        this.#ledger.settle(row, JSON.parse(row.result) as Settlement, now);
      } else if (isSpent(live, row, now)) {
        // Runs that were lost with their process count too: perhaps they are what killed it.
        this.#giveUp(row, row.error ?? `${row.attempt} runs were lost with their process`, now);
      } else {
        const next = { ...row, attempt: row.attempt + 1, due: now + LEASE };
        this.#ledger.update(next);
        this.start(live, [next]);
      }
    }
  }

  async #run(live: Live, row: EffectRow): Promise<void> {
    const controller = new AbortController();
    this.#running.set(row.key, controller);
    let outcome: { output: unknown } | { thrown: unknown };
    try {
      // Nothing leaves before what asked for it is on disk.
      await this.#context.storage.sync();
      controller.signal.throwIfAborted();
      outcome = { output: storable(row, await this.#perform(live, row, controller)) };
    } catch (thrown) {
      outcome = { thrown };
    } finally {
      this.#running.delete(row.key);
    }
    const now = Date.now();
    // A lease may have been renewed meanwhile: the row in memory is the true one.
    const held = this.#ledger.current()?.effects.get(row.key);
    if (held === undefined) return;
    if ("thrown" in outcome) this.#failed(live, held, outcome.thrown, now);
    else if (row.kind === "actor") this.#ledger.settle(held, { output: outcome.output }, now);
    else this.#ledger.finish(row.key);
  }

  async #perform(live: Live, row: EffectRow, controller: AbortController): Promise<unknown> {
    const timeout = Math.min(policyOf(live, row).timeout ?? DEFAULT_TIMEOUT, MAX_TIMEOUT);
    const context = this.#effectContext(live, row, controller.signal);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const aborted = new Promise<never>((_, reject) => {
      controller.signal.addEventListener("abort", () => reject(controller.signal.reason as Error));
      timer = setTimeout(() => {
        controller.abort(new Error(`${row.name} took longer than ${timeout} ms`));
      }, timeout);
    });
    try {
      return await Promise.race([perform(live, row, context), aborted]);
    } finally {
      clearTimeout(timer);
    }
  }

  #failed(live: Live, row: EffectRow, thrown: unknown, now: number): void {
    const error = toErrorData(thrown);
    const { workflow, id } = live.identity;
    console.warn(
      `${workflow}/${id}: try ${row.attempt} of ${row.kind} ${row.name} failed: ${error.message}`,
    );
    const said = `${error.name}: ${error.message}`;
    if (isTerminal(thrown) || isSpent(live, row, now)) this.#giveUp(row, said, now, error);
    else this.#ledger.update({ ...row, due: now + backoff(row.attempt), error: said });
  }

  /** An actor fails for the chart; a message is parked for a person. */
  #giveUp(row: EffectRow, said: string, now: number, error = { name: "Error", message: said }) {
    if (row.kind === "actor") this.#ledger.settle(row, { error }, now);
    else this.#ledger.update({ ...row, due: null, error: said });
  }

  #effectContext(live: Live, row: EffectRow, signal: AbortSignal): EffectContext<unknown> {
    const { tenant, workflow, id, epoch, jurisdiction } = live.identity;
    const address = { tenant, workflow, id };
    const effect = `${epoch}-${row.key}`;
    let published = 0;
    return {
      id: `${objectName(address)}/${effect}`,
      instance: address,
      env: this.#env,
      attempt: row.attempt,
      signal,
      publish: (queue, message) =>
        publish(queue, {
          source: `/${subjectOf(address)}`,
          // A run that publishes twice numbers its messages in the order it makes them.
          id: published++ === 0 ? effect : `${effect}-${published}`,
          type: message.type,
          data: message.data ?? null,
          time: row.createdAt,
          about: address,
          jurisdiction: (jurisdiction ?? undefined) as DurableObjectJurisdiction | undefined,
        }),
    };
  }
}

/** Whether there are no more tries: an actor's are counted, a message's end with its time. */
function isSpent(live: Live, row: EffectRow, now: number): boolean {
  if (row.kind !== "actor") return now - row.createdAt >= EXHAUSTED_AFTER;
  return row.attempt >= (policyOf(live, row).attempts ?? DEFAULT_ATTEMPTS);
}

/** An output as it comes back from storage. @throws TerminalError where it can't be stored: trying again wouldn't help */
function storable(row: EffectRow, output: unknown): unknown {
  if (row.kind !== "actor") return null;
  const found = findUnserialisable(output ?? null, "output");
  if (found !== null) throw new TerminalError(`${row.name}'s ${found} can't be stored as JSON`);
  const text = JSON.stringify(output ?? null);
  if (text.length <= MAX_OUTPUT) return JSON.parse(text) as unknown;
  throw new TerminalError(
    `${row.name}'s output has ${text.length} characters; at most ${MAX_OUTPUT}`,
  );
}

function policyOf(live: Live, row: EffectRow): { attempts?: number; timeout?: number } {
  return (row.kind === "actor" ? live.workflow.effects.actors?.[row.name] : undefined) ?? {};
}

async function perform(live: Live, row: EffectRow, context: EffectContext<unknown>) {
  const { effects, machine } = live.workflow;
  const payload: unknown = JSON.parse(row.payload);
  switch (row.kind) {
    case "actor": {
      const { input } = payload as { input: unknown };
      const provided = effects.actors?.[row.name];
      if (provided !== undefined) return provided.run({ ...context, input });
      const logic = findActorLogic(machine, row.name);
      if (logic === undefined) throw new TerminalError(`The actor "${row.name}" is unknown`);
      return promiseCreator(logic)({ ...context, input });
    }
    case "command": {
      const provided = effects.actions?.[row.name];
      if (provided !== undefined) return provided(payload, context);
      const own: unknown = machine.implementations.actions[row.name];
      if (typeof own !== "function") throw new TerminalError(`The action "${row.name}" is unknown`);
      return (own as (context: object, params: unknown) => unknown)(
        withoutLiveContext(machine.id, row.name, context),
        payload,
      );
    }
    case "emit":
      return effects.emitted?.(payload as MachineEvent, context);
  }
}

/** A named action runs after the commit, perhaps twice: by then the context may be another. */
function withoutLiveContext(machine: string, action: string, context: object): object {
  const refuse = (what: string) => () => {
    throw new Unsupported(
      { machine },
      `the action "${action}" reads ${what}, which is not there after the commit`,
      "Hand it what it needs as params.",
    );
  };
  return Object.defineProperties(
    { ...context },
    { context: { get: refuse("context") }, event: { get: refuse("event") } },
  );
}
