import { isInstanceId, type Address } from "../contract/address.ts";
import type { Caller } from "../contract/caller.ts";
import { anybodysObject, objectIdIn, objectIn } from "../contract/objects.ts";
import { problem, refusal, type Problem } from "../contract/problem.ts";
import { realmOf } from "../contract/realm.ts";
import type { ArchiveRequest, OperationReply, OperationRequest } from "../contract/operations.ts";
import type { VerifyReply, VerifyRequest } from "../contract/verification.ts";
import type { SimulationReply, SimulationRequest } from "../contract/simulation.ts";
import type {
  EraseReply,
  EraseRequest,
  GetReply,
  HistoryReply,
  HistoryRequest,
  InstanceRequest,
  MomentReply,
  MomentRequest,
  Receipt,
  SendReply,
  SendRequest,
  StartReply,
  StartRequest,
  WatchRequest,
} from "../contract/requests.ts";
import { STREAM_PATH } from "../contract/requests.ts";
import type { Allowances } from "../tenants/allowances.ts";
import type { InstanceClass } from "../instance/instance.ts";

type Namespace = DurableObjectNamespace<InstanceType<InstanceClass>>;

/** What the platform says of a failed call (Durable Objects, "Error handling"). */
interface PlatformError {
  retryable?: boolean;
  overloaded?: boolean;
}

const MAX_CALLS = 3;

type CountedRequest = Pick<InstanceRequest, "caller"> & { brokered?: boolean };

/** Finds instances by their callers' credentials, and calls them. */
export class Instances {
  readonly #namespace: Namespace;
  readonly #allowances: Allowances | undefined;

  /** @param allowances what callers' tenants may do; without, what comes is not counted: it is the deployment's own */
  constructor(namespace: DurableObjectNamespace, allowances?: Allowances) {
    this.#namespace = namespace as Namespace;
    this.#allowances = allowances;
  }

  /** @throws ProblemError too-many-instances, too-many-requests */
  async start(request: StartRequest): Promise<StartReply> {
    await this.#allowances?.start(request.caller.tenant);
    if (request.event !== undefined) await this.#count(request, 1);
    return this.#call(request, true, (stub) => stub.start(request) as Promise<StartReply>);
  }

  /**
   * Without a dedupe key a call that broke off is not repeated: it may have been applied.
   *
   * @throws ProblemError too-many-requests
   */
  async send(request: SendRequest): Promise<SendReply> {
    await this.#count(request, 1);
    const isRepeatable = request.dedupe !== undefined;
    return this.#call(request, isRepeatable, async (stub): Promise<SendReply> => {
      const answer = await stub.send(JSON.stringify(request));
      return typeof answer === "string" ? { ok: true, json: answer } : answer;
    });
  }

  /**
   * Events of any instances that came together: all of them are let in, or none.
   *
   * @throws ProblemError too-many-requests; body-too-large where no minute has room for so many
   */
  async admit(requests: readonly SendRequest[]): Promise<void> {
    if (requests.length > 0) await this.#count(requests[0]!, requests.length);
  }

  /**
   * Events of one instance by one call, in their order; each for itself. They are let in already (`admit`).
   *
   * @param options.inOrder behind one whose problem passes by itself none is tried: there are fewer receipts
   */
  async sendAll(
    requests: readonly SendRequest[],
    { inOrder = false }: { inOrder?: boolean } = {},
  ): Promise<Receipt[]> {
    const isRepeatable = requests.every(({ dedupe }) => dedupe !== undefined);
    const answer = await this.#call(requests[0]!, isRepeatable, (stub) =>
      stub.sendAll(JSON.stringify(requests), inOrder),
    );
    if (typeof answer === "string") return JSON.parse(answer) as Receipt[];
    return requests.map(() => answer);
  }

  get(request: InstanceRequest): Promise<GetReply> {
    return this.#call(request, true, (stub) => stub.get(request) as Promise<GetReply>);
  }

  history(request: HistoryRequest): Promise<HistoryReply> {
    return this.#call(request, true, (stub) => stub.history(request) as Promise<HistoryReply>);
  }

  archive(request: ArchiveRequest): Promise<OperationReply> {
    return this.#call(request, true, (stub) => stub.archive(request) as Promise<OperationReply>);
  }

  /** The object's id in hexadecimal: what it is called where its name must not stand. */
  objectId({ address, caller }: InstanceRequest): string {
    return objectIdIn(this.#namespace, realmOf(caller), address.workflow, address.id);
  }

  moment(request: MomentRequest): Promise<MomentReply> {
    return this.#call(request, true, (stub) => stub.moment(request) as Promise<MomentReply>);
  }

  verify(request: VerifyRequest): Promise<VerifyReply> {
    return this.#call(request, true, (stub) => stub.verify(request) as Promise<VerifyReply>);
  }

  /** What is supposed counts as if it were sent. @throws ProblemError too-many-requests */
  async simulate(request: SimulationRequest): Promise<SimulationReply> {
    await this.#count(request, request.suppose.length);
    return this.#call(request, true, (stub) => stub.simulate(request) as Promise<SimulationReply>);
  }

  /**
   * Once more does no harm, but for a cancelling event, which the state might take twice, and for going
   * back, which would undo what has happened since the first time.
   */
  operate(request: OperationRequest): Promise<OperationReply> {
    const { name } = request.operation;
    const isRepeatable = name !== "cancel" && name !== "rewind";
    return this.#call(
      request,
      isRepeatable,
      (stub) => stub.operate(request) as Promise<OperationReply>,
    );
  }

  erase(request: EraseRequest): Promise<EraseReply> {
    return this.#call(request, true, (stub) => stub.erase(request) as Promise<EraseReply>);
  }

  stream(request: WatchRequest): Promise<Response> {
    return this.#stub(request).fetch(`https://instance${STREAM_PATH}`, {
      headers: { Upgrade: "websocket", "Durachart-Request": JSON.stringify(request) },
    });
  }

  /** Has an object that is known by its id alone go on with what is due, and tell the list anew. */
  async wake(object: string, jurisdiction: string | null): Promise<void> {
    await anybodysObject(this.#namespace, object, jurisdiction).wake();
  }

  /** What a broker brings waits there already: it is not counted. */
  async #count({ caller, brokered = false }: CountedRequest, events: number): Promise<void> {
    if (!brokered) await this.#allowances?.take(caller.tenant, "events", events);
  }

  async #call<Answer>(
    request: InstanceRequest,
    isRepeatable: boolean,
    call: (stub: DurableObjectStub<InstanceType<InstanceClass>>) => Promise<Answer>,
  ): Promise<Answer | { ok: false; problem: Problem }> {
    for (let calls = 1; ; calls++) {
      try {
        // A stub that has failed stays broken: each call gets a new one.
        return await call(this.#stub(request));
      } catch (error) {
        const { retryable, overloaded } = error as PlatformError;
        if (retryable && !overloaded && isRepeatable && calls < MAX_CALLS) continue;
        if (!retryable && !overloaded) throw error;
        const { workflow, id } = request.address;
        const hint = isRepeatable
          ? "Try again."
          : "It may have been applied: look before you send it again, or use an Idempotency-Key.";
        const detail = `${workflow}/${id} could not be reached just now. ${hint}`;
        return { ok: false, problem: problem("overloaded", detail) };
      }
    }
  }

  #stub({ address, caller }: InstanceRequest): DurableObjectStub<InstanceType<InstanceClass>> {
    return objectIn(this.#namespace, realmOf(caller), address.workflow, address.id);
  }
}

/** @throws ProblemError bad-id */
export function addressOf(caller: Caller, workflow: string, id: string): Address {
  if (!isInstanceId(id)) {
    throw refusal(
      "bad-id",
      "An id has 1 to 200 characters of A–Z a–z 0–9 . _ ~ - and is not . or ..",
      { field: "id" },
    );
  }
  return { tenant: caller.tenant, workflow, id };
}
