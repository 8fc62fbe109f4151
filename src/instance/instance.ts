import { DurableObject } from "cloudflare:workers";
import { SUBPROTOCOL, Watchers, type Source } from "../broadcast/watchers.ts";
import { objectName } from "../contract/address.ts";
import type { Caller } from "../contract/caller.ts";
import { problem, ProblemError, type Problem } from "../contract/problem.ts";
import type { EventReply } from "../contract/view.ts";
import type {
  GetReply,
  HistoryReply,
  HistoryRequest,
  InstanceRequest,
  Letter,
  SendReply,
  SendRequest,
  StartReply,
  StartRequest,
} from "../contract/requests.ts";
import type { Destinations } from "../egress/leave.ts";
import { Runner } from "../egress/runner.ts";
import { Quarantined, StepFailed, Unsupported } from "../kernel/errors.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import { AlarmClock } from "./alarm-clock.ts";
import { takeLetter } from "./letters.ts";
import type { Live } from "./live.ts";
import { notFound, Processor } from "./processor.ts";
import { Store, type JournalRow } from "./store.ts";
import { journalEntry, viewOf, viewText } from "./view.ts";

/** If the alarm handler is killed half-way, the alarm it set first rings after so long. */
const DEAD_MAN = 30_000;

/** When the handler itself fails (a quarantined state, say), it is tried again after so long. */
const AFTER_FAILURE = 600_000;

/** Requests to the object itself: what RPC can't carry. */
export const STREAM_PATH = "/stream";

export type InstanceClass = ReturnType<typeof instanceClass>;

/** One instance: one SQLite Durable Object. Its public methods are all that can be called. */
export function instanceClass(
  workflows: ReadonlyMap<string, RegisteredWorkflow>,
  destinations: Destinations = {},
) {
  return class Instance extends DurableObject {
    readonly #name: string | undefined;
    readonly #store: Store;
    readonly #alarm: AlarmClock;
    readonly #processor: Processor;
    readonly #runner: Runner;
    readonly #watchers: Watchers;

    constructor(context: DurableObjectState, env: unknown) {
      super(context, env as never);
      this.#name = context.id.name;
      this.#store = new Store(context.storage.sql);
      this.#alarm = new AlarmClock(context);
      this.#watchers = new Watchers(context);
      this.#processor = new Processor(
        context.storage,
        this.#store,
        this.#alarm,
        workflows,
        (live, entries, started) => {
          if (entries.length > 0) this.#watchers.broadcast(this.#source(live, entries));
          this.#runner.abortUnwanted(live);
          this.#runner.start(live, started);
        },
      );
      this.#runner = new Runner(context, env, this.#processor, destinations);
      if (this.#store.exists()) {
        void context.blockConcurrencyWhile(() => this.#wakeUp());
      }
    }

    start(request: StartRequest): StartReply {
      return this.#answer(request, (caller) => {
        const { created, live } = this.#processor.start(request, Date.now());
        return { ok: true, created, json: this.#view(live, caller) };
      });
    }

    /**
     * The busiest call: both ways as one JSON text, which crosses cheaper than objects do.
     *
     * @param json of a `SendRequest`
     * @returns JSON of an `EventReply`; where it is no plain one, more
     */
    send(json: string): string | SendReply {
      const request = JSON.parse(json) as SendRequest;
      return this.#answer(request, (caller) => {
        const { live, outcome, first } = this.#processor.send(request, Date.now());
        const view = this.#view(
          live,
          caller,
          first === undefined ? { outcome } : { outcome, first },
        );
        return outcome === "deferred" ? { ok: true as const, json: view, deferred: true } : view;
      });
    }

    /**
     * What another instance of this deployment has to say.
     *
     * @param json of a `Letter`
     * @returns a problem, or null when it is committed
     */
    receive(json: string): Problem | null {
      const letter = JSON.parse(json) as Letter;
      const answer = this.#answer(letter, () => {
        takeLetter(workflows, this.#processor, letter, Date.now());
        return null;
      });
      return answer === null ? null : answer.problem;
    }

    get(request: InstanceRequest): GetReply {
      return this.#answer(request, (caller) => {
        return { ok: true, json: this.#view(this.#current(request), caller) };
      });
    }

    history(request: HistoryRequest): HistoryReply {
      return this.#answer(request, () => {
        const { workflow, id } = request.address;
        // Not by way of the live state: a quarantined instance shows its journal all the same.
        if (!this.#store.exists()) throw notFound(workflow, id);
        const identity = this.#store.identity();
        const rows = this.#store.journal(request.after, request.limit + 1);
        const entries = rows.slice(0, request.limit).map((row) => journalEntry({ identity }, row));
        const next = rows.length > request.limit ? entries.at(-1)!.seq : null;
        return { ok: true, next, json: JSON.stringify(entries) };
      });
    }

    /** A watcher's WebSocket. The Worker has authenticated it and says for whom in a header. */
    override fetch(request: Request): Response {
      const ask = JSON.parse(request.headers.get("Durachart-Request") ?? "null") as
        (InstanceRequest & { after: number | null }) | null;
      if (ask === null || new URL(request.url).pathname !== STREAM_PATH) {
        return new Response(null, { status: 404 });
      }
      const reply = this.#answer(ask, (caller) => {
        const live = this.#current(ask);
        return { ok: true as const, live, view: viewOf(live, caller, this.#processor.loop) };
      });
      if (!reply.ok) return Response.json(reply.problem, { status: reply.problem.status });
      const { live, view } = reply;
      return this.#watchers.accept(this.#source(live), view, ask.after);
    }

    override webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): void {
      const live = this.#processor.current();
      if (live !== undefined) this.#watchers.received(socket, message, this.#source(live));
    }

    override webSocketClose(socket: WebSocket, code: number): void {
      // 1005 and 1006 mean "no code"; they must not be sent.
      socket.close(code === 1005 || code === 1006 ? 1000 : code);
    }

    override alarm(): void {
      const now = Date.now();
      this.#alarm.set(now + DEAD_MAN);
      try {
        this.#processor.fireTimers(now);
        this.#runner.runDue(now);
        const live = this.#processor.current();
        this.#alarm.set(live === undefined ? Infinity : this.#processor.due(live));
      } catch (error) {
        // The platform drops an alarm whose handler has thrown seven times: keep it, further apart.
        console.error(`The alarm of ${this.#name} failed`, error);
        this.#alarm.set(now + AFTER_FAILURE);
      }
    }

    #view(live: Live, caller: Caller, more: Partial<EventReply> = {}): string {
      return viewText(live, caller, more, this.#processor.loop);
    }

    #current({ address, caller: _ }: InstanceRequest): Live {
      this.#processor.fireTimers(Date.now());
      const live = this.#processor.current();
      if (live === undefined) throw notFound(address.workflow, address.id);
      return live;
    }

    #source(live: Live, fresh: readonly JournalRow[] = []): Source {
      const { workflow, id, epoch } = live.identity;
      return {
        subject: { workflow, id },
        epoch,
        head: live.seq,
        read: (after, limit) => {
          // Who is up to date needs only what was just written.
          const rows = fresh[0]?.seq === after + 1 ? fresh : this.#store.journal(after, limit);
          return rows.map((row) => journalEntry(live, row));
        },
      };
    }

    /** Brings the tables up to this deployment; sets the alarm without which pending work would sleep for ever. */
    async #wakeUp(): Promise<void> {
      await this.#alarm.read();
      try {
        this.ctx.storage.transactionSync(() => this.#store.renewRecording());
        const live = this.#processor.current();
        if (live === undefined) return;
        this.#processor.startWaiting(Date.now());
        this.#alarm.noLaterThan(this.#processor.due(this.#processor.current()!));
      } catch (error) {
        // A constructor that throws makes the object unusable; the next call will say the same.
        console.error(error);
      }
    }

    #answer<Answer>(
      request: InstanceRequest,
      act: (caller: Caller) => Answer,
    ): Answer | { ok: false; problem: Problem } {
      try {
        this.#checkAddress(request);
        return act(request.caller);
      } catch (error) {
        return { ok: false, problem: toProblem(error) };
      }
    }

    /** The door found this object by its name; the object makes sure that it is the one meant. */
    #checkAddress({ address, caller }: InstanceRequest): void {
      const isMine = this.#name === objectName(address) && caller.tenant === address.tenant;
      if (!isMine) throw notFound(address.workflow, address.id);
    }
  };
}

export { SUBPROTOCOL };

function toProblem(error: unknown): Problem {
  if (error instanceof ProblemError) return error.problem;
  if (error instanceof Unsupported) return problem("unsupported", error.message);
  if (error instanceof StepFailed) return problem("step-failed", error.message);
  if (error instanceof Quarantined) return problem("quarantined", error.message);
  console.error(error);
  return problem("internal", "Something went wrong inside. Try again; the log has the details.");
}
