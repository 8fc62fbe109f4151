import { DurableObject } from "cloudflare:workers";
import { warnIfUnprotected } from "../audit/keys.ts";
import { SUBPROTOCOL, Watchers } from "../broadcast/watchers.ts";
import type { Caller } from "../contract/caller.ts";
import { defaultLimits, type Limits } from "../contract/limits.ts";
import { log } from "../contract/log.ts";
import type { ArchiveRequest, OperationReply, OperationRequest } from "../contract/operations.ts";
import { problem, ProblemError, refusal, type Problem } from "../contract/problem.ts";
import type {
  EraseReply,
  EraseRequest,
  GetReply,
  HistoryReply,
  HistoryRequest,
  InstanceRequest,
  MomentReply,
  MomentRequest,
  SendReply,
  SendRequest,
  StartReply,
  StartRequest,
  WatchRequest,
} from "../contract/requests.ts";
import { STREAM_PATH } from "../contract/requests.ts";
import { MAX_EVENT_BYTES } from "../contract/shape.ts";
import type { SimulationReply, SimulationRequest } from "../contract/simulation.ts";
import type { VerifyReply, VerifyRequest } from "../contract/verification.ts";
import type { TransitionExport } from "../contract/transition.ts";
import type { Destinations } from "../egress/leave.ts";
import type { Transports } from "../egress/transport.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import { Allowances } from "../tenants/allowances.ts";
import { Engine } from "./engine.ts";
import { takeFromSocket } from "./socket-events.ts";

export type InstanceClass = ReturnType<typeof instanceClass>;

/** What a deployment says of all its instances. */
export interface InstanceSettings {
  destinations?: Destinations | undefined;
  transports?: Transports | undefined;
  limits?: Limits | undefined;
  export?: TransitionExport | ((env: never) => TransitionExport) | undefined;
}

/** One instance: one SQLite Durable Object. Its public methods are all that can be called. */
export function instanceClass(
  workflows: ReadonlyMap<string, RegisteredWorkflow>,
  { destinations = {}, transports = {}, limits, export: exportTo }: InstanceSettings = {},
) {
  return class Instance extends DurableObject {
    readonly #engine: Engine;
    readonly #watchers: Watchers;
    readonly #allowances: Allowances;

    constructor(context: DurableObjectState, env: unknown) {
      super(context, env as never);
      warnIfUnprotected(env);
      this.#allowances = new Allowances(env, limits ?? defaultLimits);
      this.#watchers = new Watchers(context, (caller, place) =>
        context.waitUntil(this.#allowances.close(caller.tenant, place)),
      );
      this.#engine = new Engine({
        context,
        env,
        workflows,
        destinations,
        transports,
        export: typeof exportTo === "function" ? whenUsed(() => exportTo(env as never)) : exportTo,
        ...(limits === undefined ? {} : { limits }),
        clock: () => Date.now(),
        show: (source) => this.#watchers.broadcast(source),
        watchers: this.#watchers,
        erased: () => this.#watchers.closeAll(),
      });
      if (this.#engine.exists) void context.blockConcurrencyWhile(() => this.#engine.wakeUp());
    }

    start(request: StartRequest): StartReply {
      return this.#engine.start(request);
    }

    send(json: string): string | SendReply {
      return this.#engine.send(json);
    }

    sendAll(json: string, inOrder: boolean): string {
      return this.#engine.sendAll(json, inOrder);
    }

    receive(json: string): Problem | null {
      return this.#engine.receive(json);
    }

    get(request: InstanceRequest): GetReply {
      return this.#engine.get(request);
    }

    history(request: HistoryRequest): HistoryReply | Promise<HistoryReply> {
      return this.#engine.past.history(request);
    }

    moment(request: MomentRequest): MomentReply | Promise<MomentReply> {
      return this.#engine.past.moment(request);
    }

    simulate(request: SimulationRequest): SimulationReply | Promise<SimulationReply> {
      return this.#engine.past.simulate(request);
    }

    verify(request: VerifyRequest): Promise<VerifyReply> {
      return this.#engine.audit.verify(request);
    }

    operate(request: OperationRequest): OperationReply {
      return this.#engine.control.operate(request);
    }

    archive(request: ArchiveRequest): Promise<OperationReply> {
      return this.#engine.control.archive(request);
    }

    erase(request: EraseRequest): Promise<EraseReply> {
      return this.#engine.control.erase(request);
    }

    /** For who knows this object by its id alone: goes on with what waits, and tells the list anew. */
    wake(): Promise<void> {
      return this.#engine.wake();
    }

    /** A watcher's WebSocket. The Worker has authenticated it and says for whom in a header. */
    override fetch(request: Request): Response {
      const header = request.headers.get("Durachart-Request");
      const ask = JSON.parse(header ?? "null") as WatchRequest | null;
      if (ask === null || new URL(request.url).pathname !== STREAM_PATH) {
        return new Response(null, { status: 404 });
      }
      const most = (limits ?? defaultLimits).watchers;
      const reply = this.#engine.watch(ask, () => {
        if (this.#watchers.count >= most) throw crowded(most);
      });
      if (!reply.ok) return Response.json(reply.problem, { status: reply.problem.status });
      const response = this.#watchers.accept(reply.source, reply.view, ask);
      this.#engine.closesBy(ask.until);
      return response;
    }

    override async webSocketMessage(
      socket: WebSocket,
      message: string | ArrayBuffer,
    ): Promise<void> {
      const source = this.#engine.source();
      if (source === undefined) return;
      const said = this.#watchers.received(socket, message, source, MAX_EVENT_BYTES);
      if (said === null) return;
      const { text, caller } = said;
      const sender = { caller, refused: await this.#refused(caller) };
      const take = (request: SendRequest) => this.#engine.receipt(request);
      const receipt = takeFromSocket(text, sender, source.subject, take);
      if (socket.readyState === WebSocket.OPEN) socket.send(receipt);
    }

    /** Whether the tenant may send one more event now; null where it may. */
    async #refused(caller: Caller): Promise<Problem | null> {
      const { tenant } = caller;
      try {
        if (this.#allowances.takeNow(tenant, "events", 1)) return null;
        // What comes meanwhile waits, so that events keep their order.
        return await this.ctx.blockConcurrencyWhile(() => this.#asked(tenant));
      } catch (error) {
        if (error instanceof ProblemError) return error.problem;
        throw error;
      }
    }

    /** Never throws: the platform would reset the object. */
    async #asked(tenant: string): Promise<Problem | null> {
      try {
        await this.#allowances.take(tenant, "events", 1);
        return null;
      } catch (error) {
        if (error instanceof ProblemError) return error.problem;
        log.error("A tenant's allowance could not be asked for", { error });
        return problem("internal", "Something went wrong inside. Try again.");
      }
    }

    override webSocketClose(socket: WebSocket, code: number): void {
      // 1005 and 1006 mean "no code"; they must not be sent.
      socket.close(code === 1005 || code === 1006 ? 1000 : code);
      this.#watchers.ended(socket);
    }

    override webSocketError(socket: WebSocket): void {
      this.#watchers.ended(socket);
    }

    override alarm(): void {
      this.#engine.alarm();
    }
  };
}

export { SUBPROTOCOL };

function crowded(most: number): ProblemError {
  const detail = `It has ${most} watchers already. Close some first.`;
  return refusal("too-many-sockets", detail);
}

/** Made at each use: a binding that is missing must fail the export, and no instance. */
function whenUsed(make: () => TransitionExport): TransitionExport {
  return { send: async (transitions) => make().send(transitions) };
}
