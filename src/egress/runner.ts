import { objectName, subjectOf, type Address } from "../contract/address.ts";
import { realmOfOwn } from "../contract/realm.ts";
import { log } from "../contract/log.ts";
import type { Message } from "../contract/message.ts";
import type { Live } from "../instance/live.ts";
import type { SecretKeeper } from "../instance/secret-keeper.ts";
import type { EffectRow } from "../instance/effect-table.ts";
import { toErrorData, Unsupported } from "../kernel/errors.ts";
import type { Settlement } from "../kernel/step.ts";
import type { EffectContext } from "../kernel/workflow.ts";
import { claimPayload, webSha256, type Sha256 } from "./claim.ts";
import { askLeave, type Destinations } from "./leave.ts";
import { Revealed } from "./revealed.ts";
import { sendLetter } from "./neighbours.ts";
import { letterOf, perform, policyOf } from "./perform.ts";
import { queueTransport, transportNamed, type Transports } from "./transport.ts";
import { isTerminal } from "../kernel/terminal-error.ts";
import { backoff, LEASE } from "./timing.ts";

const DEFAULT_ATTEMPTS = 5;
const DEFAULT_TIMEOUT = 60_000;
const MAX_TIMEOUT = 600_000;

/** Milliseconds until it is looked again whether the keys are there that a secret needs. */
const WITHOUT_KEYS = 60_000;

/** How long a message is tried before it is parked for a person. */
const EXHAUSTED_AFTER = 24 * 3_600_000;

/** What the runner needs of the instance. All of it commits before it returns. */
export interface Ledger {
  current(): Live | undefined;
  settle(row: EffectRow, result: Settlement, now: number): void;
  finish(key: number): void;
  update(row: EffectRow): void;
  startWaiting(now: number): void;
}

export interface RunnerOptions {
  context: Pick<DurableObjectState, "id" | "storage" | "waitUntil">;
  env: unknown;
  ledger: Ledger;
  destinations: Destinations;
  transports: Transports;
  /** Milliseconds since the epoch. */
  clock: () => number;
  /** The platform's own by default. */
  sha256?: Sha256;
  /** What handles stand for. */
  secrets: Pick<SecretKeeper, "reveal">;
}

/** It was no try: milliseconds until the next one, and why, where that is to be seen. */
interface Refused {
  refused: number;
  why?: string;
}

/**
 * Runs what was committed: actors, named actions, emitted events, messages to other instances. Each at
 * least once: a run that outlives its process is taken over by the alarm when its lease ends.
 */
export class Runner {
  readonly #context: RunnerOptions["context"];
  readonly #clock: () => number;
  readonly #env: unknown;
  readonly #ledger: Ledger;
  readonly #destinations: Destinations;
  readonly #transports: Transports;
  readonly #sha256: Sha256;
  readonly #secrets: RunnerOptions["secrets"];
  readonly #running = new Map<number, AbortController>();

  constructor(options: RunnerOptions) {
    this.#context = options.context;
    this.#env = options.env;
    this.#ledger = options.ledger;
    this.#destinations = options.destinations;
    this.#transports = options.transports;
    this.#clock = options.clock;
    this.#sha256 = options.sha256 ?? webSha256;
    this.#secrets = options.secrets;
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

  /** Nobody waits for anything any more. */
  abortAll(): void {
    for (const controller of this.#running.values()) {
      controller.abort(new Error("The instance was erased"));
    }
  }

  /** Renews the leases of what is running, takes over what isn't any more, tries again what failed. */
  runDue(now: number): void {
    for (const key of [...(this.#ledger.current()?.effects.keys() ?? [])]) {
      // Read anew each time: what came before may have ended it.
      const live = this.#ledger.current();
      const row = live?.effects.get(key);
      if (live === undefined || row === undefined || row.due > now) continue;
      // Results wait while the instance is held.
      if (row.status === "settling" && live.paused !== null) continue;
      if (row.status === "settling") {
        this.#ledger.settle(row, JSON.parse(row.result!) as Settlement, now);
      } else if (row.status === "running" && this.#running.has(row.key)) {
        this.#ledger.update({ ...row, due: now + LEASE });
      } else if (row.status === "running" && row.kind === "actor" && isSpent(live, row, now)) {
        // Runs that were lost with their process count too: perhaps they are what killed it.
        this.#giveUp(row, row.error ?? `${row.attempt} runs were lost with their process`, now);
      } else if (row.status === "running") {
        this.#ledger.update({ ...row, status: "waiting", due: now });
      }
    }
    this.#ledger.startWaiting(now);
  }

  async #run(live: Live, row: EffectRow): Promise<void> {
    const controller = new AbortController();
    this.#running.set(row.key, controller);
    let outcome: { output: unknown } | { thrown: unknown } | Refused;
    try {
      // Nothing leaves before what asked for it is on disk.
      await this.#context.storage.sync();
      controller.signal.throwIfAborted();
      outcome = await this.#try(live, row, controller);
    } catch (thrown) {
      outcome = { thrown };
    } finally {
      this.#running.delete(row.key);
    }
    const now = this.#clock();
    // A lease may have been renewed meanwhile: the row in memory is the true one.
    const held = this.#ledger.current()?.effects.get(row.key);
    if (held === undefined || held.status !== "running") return;
    if ("refused" in outcome) {
      const due = now + outcome.refused;
      const { why: error = held.error } = outcome;
      this.#ledger.update({ ...held, status: "waiting", due, attempt: held.attempt - 1, error });
    } else if ("thrown" in outcome) {
      this.#failed(live, held, outcome.thrown, now);
    } else if (row.kind === "actor") {
      this.#ledger.settle(held, { output: outcome.output }, now);
    } else if (row.kind === "instance") {
      this.#ledger.update({ ...held, status: "away", due: 0, error: null });
    } else {
      this.#ledger.finish(row.key);
    }
  }

  /** One try, where its destination gives leave; otherwise milliseconds until the next asking. */
  async #try(
    live: Live,
    row: EffectRow,
    controller: AbortController,
  ): Promise<{ output: unknown } | Refused> {
    const policy = policyOf(live.workflow, row);
    const timeout = Math.min(policy.timeout ?? DEFAULT_TIMEOUT, MAX_TIMEOUT);
    const leave = await askLeave(this.#env, this.#destinations, {
      destination: policy.destination,
      holder: effectId(live, row),
      holdFor: timeout,
    });
    if ("refused" in leave) return leave;
    if (controller.signal.aborted) {
      // Left while it waited for its turn: it must not be called at all.
      this.#context.waitUntil(leave.giveBack());
      controller.signal.throwIfAborted();
    }
    let timer: ReturnType<typeof setTimeout> | undefined;
    const aborted = new Promise<never>((_, reject) => {
      controller.signal.addEventListener("abort", () => reject(controller.signal.reason as Error));
      timer = setTimeout(() => {
        controller.abort(new Error(`${row.name} took longer than ${timeout} ms`));
      }, timeout);
    });
    const letter = letterOf(live, row);
    const revealed = new Revealed(this.#secrets, live, policy.secrets);
    const work =
      letter === null
        ? perform(live, row, this.#effectContext(live, row, controller.signal, revealed))
        : sendLetter(this.#env, letter);
    try {
      return { output: revealed.checked(row.name, await Promise.race([work, aborted])) };
    } catch (thrown) {
      const scrubbed = revealed.scrubbed(thrown);
      // The chart must not be told that it failed for want of a setting.
      if (revealed.lacksKeys) return { refused: WITHOUT_KEYS, why: toErrorData(scrubbed).message };
      throw scrubbed;
    } finally {
      clearTimeout(timer);
      this.#context.waitUntil(leave.giveBack());
    }
  }

  #failed(live: Live, row: EffectRow, thrown: unknown, now: number): void {
    const error = toErrorData(thrown);
    const { tenant, workflow, id } = live.identity;
    const { epoch, trace, attempt } = row;
    const place = { tenant, workflow, instance: id, epoch, seq: live.seq, trace };
    log.warn(`${row.kind} ${row.name} failed`, { ...place, attempt, error: thrown });
    const said = `${error.name}: ${error.message}`;
    if (isTerminal(thrown) || thrown instanceof Unsupported || isSpent(live, row, now)) {
      this.#giveUp(row, said, now, error);
      return;
    }
    const due = now + backoff(row.attempt, policyOf(live.workflow, row).backoff);
    this.#ledger.update({ ...row, status: "waiting", due, error: said });
  }

  /** An actor fails for the chart; a message is parked for a person. */
  #giveUp(row: EffectRow, said: string, now: number, error = { name: "Error", message: said }) {
    if (row.kind === "actor" || row.kind === "instance") this.#ledger.settle(row, { error }, now);
    else this.#ledger.update({ ...row, status: "parked", error: said });
  }

  #effectContext(
    live: Live,
    row: EffectRow,
    signal: AbortSignal,
    revealed: Revealed,
  ): EffectContext<unknown> {
    const { tenant, workflow, id, jurisdiction, startedBy } = live.identity;
    const address = { tenant, workflow, id };
    const trace = row.trace ?? undefined;
    const effect = `${row.epoch}-${row.key}`;
    // A run that says several things numbers them in the order in which it says them.
    const numbered = (): (() => string) => {
      let said = 0;
      return () => (said++ === 0 ? effect : `${effect}-${said}`);
    };
    const [nextMessage, nextLetter] = [numbered(), numbered()];
    const toInstance = (to: Omit<Address, "tenant">, letter: object) => {
      const { payload: _, ...neutral } = row;
      const frame = letterOf(live, { ...neutral, kind: "send", payload: '{"id":""}' })!;
      const name = `instance:${workflow}/${id}/${nextLetter()}`;
      const named = { fingerprint: name, dedupe: name };
      const whole = { ...frame, ...named, ...letter, address: { tenant, ...to } };
      return sendLetter(this.#env, JSON.parse(JSON.stringify(whole)) as typeof frame);
    };
    return {
      id: effectId(live, row),
      instance: { ...address, startedBy, ...(jurisdiction === null ? {} : { jurisdiction }) },
      env: this.#env,
      attempt: row.attempt,
      trace,
      signal,
      publish: async (to, { type, data }) => {
        const message: Message = {
          ...{ source: `/${subjectOf(address)}`, id: nextMessage(), type, data },
          ...{ time: row.createdAt, about: address, trace },
          jurisdiction: jurisdiction ?? undefined,
        };
        const transport =
          typeof to === "string"
            ? transportNamed(this.#transports, to, this.#env)
            : queueTransport(to);
        if (transport.keeps === true) revealed.checkKept(to, data);
        await transport.send(message, signal);
      },
      start: (to, { id: other, input, event }) =>
        toInstance({ workflow: to, id: other }, { kind: "start", input, event }),
      send: (to, other, event) => toInstance({ workflow: to, id: other }, { kind: "send", event }),
      secret: (handle) => revealed.secret(row.name, handle),
      payload: (reference) =>
        claimPayload(
          {
            ...{ env: this.#env, sha256: this.#sha256, realm: realmOfOwn(live.identity) },
            objectId: this.#context.id.toString(),
          },
          reference,
        ),
    };
  }
}

/** The same on every repeat, and never given to another effect. */
function effectId({ identity }: Live, { epoch, key }: EffectRow): string {
  return `${objectName(identity)}/${epoch}-${key}`;
}

/** Whether there are no more tries: an actor's are counted, a message's end with its time. */
function isSpent(live: Live, row: EffectRow, now: number): boolean {
  // Without the outcome its parent would wait for ever.
  if (row.kind === "outcome") return false;
  if (row.kind !== "actor") return now - row.createdAt >= EXHAUSTED_AFTER;
  return row.attempt >= (policyOf(live.workflow, row).attempts ?? DEFAULT_ATTEMPTS);
}
