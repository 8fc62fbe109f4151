import type { Report } from "./report.ts";
import { objectName } from "../contract/address.ts";
import { isOperator, type Caller } from "../contract/caller.ts";
import { problem, ProblemError, type Problem } from "../contract/problem.ts";
import type { InstanceRequest } from "../contract/requests.ts";
import { Quarantined, StepFailed, Unsupported } from "../kernel/errors.ts";
import type { Edges } from "./edges.ts";
import { notFound } from "./not-found.ts";
import type { Identity, Store } from "./store.ts";

export interface DoorOptions {
  /** The object's own. Its name is unknown where it was found by its id alone. */
  id: Pick<DurableObjectId, "name" | "jurisdiction">;
  store: Store;
  edges: Edges;
  report: Report;
}

type Refused = { ok: false; problem: Problem };

/** What every call to an instance passes: it is meant for this one, and what it throws becomes data. */
export class Door {
  #name: string | undefined;
  readonly #options: DoorOptions;

  constructor(options: DoorOptions) {
    this.#name = options.id.name;
    this.#options = options;
  }

  get name(): string | undefined {
    return this.#name;
  }

  answer<Answer>(request: InstanceRequest, act: (caller: Caller) => Answer): Answer | Refused {
    try {
      this.checkAddress(request);
      this.#options.edges.checkNotErased(request.address);
      return act(request.caller);
    } catch (error) {
      return { ok: false, problem: this.toProblem(error, request.caller) };
    }
  }

  /** As `answer`, for what takes its time. */
  async later<Answer>(caller: Caller, act: () => Promise<Answer>): Promise<Answer | Refused> {
    try {
      return await act();
    } catch (error) {
      return { ok: false, problem: this.toProblem(error, caller) };
    }
  }

  /** The Worker found this object by its name; the object makes sure that it is the one meant. */
  checkAddress({ address, caller }: InstanceRequest): void {
    const { store } = this.#options;
    // Who was woken by its id alone knows no name: the identity has it, or the door that starts it.
    this.#name ??= objectName(store.exists() ? store.identity() : address);
    const isMine = this.#name === objectName(address) && caller.tenant === address.tenant;
    const { jurisdiction = caller.jurisdiction } = this.#options.id;
    if (!isMine || jurisdiction !== caller.jurisdiction)
      throw notFound(address.workflow, address.id);
  }

  /** Who this is. @throws ProblemError not-begun, not-found */
  identity(request: InstanceRequest): Identity {
    const { store, edges } = this.#options;
    const { address } = request;
    edges.checkBegun(request);
    if (!store.exists()) throw notFound(address.workflow, address.id);
    return store.identity();
  }

  toProblem(error: unknown, caller: Caller): Problem {
    if (error instanceof ProblemError) return error.problem;
    if (error instanceof Unsupported) return problem("unsupported", error.message);
    if (error instanceof StepFailed) {
      if (isOperator(caller)) return problem("step-failed", error.message);
      // What a chart throws may quote anything.
      this.#options.report("The chart failed on an event", error);
      return problem("step-failed", error.outside);
    }
    if (error instanceof Quarantined) return problem("quarantined", error.message);
    this.#options.report("A call failed unexpectedly", error);
    return problem("internal", "Something went wrong inside. Try again; the log has the details.");
  }
}
