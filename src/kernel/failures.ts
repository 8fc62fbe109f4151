import { toErrorData, Unsupported } from "./errors.ts";
import { placeOf, type Process } from "./process.ts";

/** What goes wrong in a run: what can't run durably ends it; what the chart throws, it may handle. */
export class Failures {
  #fatal: Unsupported | undefined;
  /** What was thrown, by the data that stands for it in the actors' states. */
  readonly #thrown = new Map<object, unknown>();

  /** Ends the run: XState catches what is thrown in many places, so it is remembered too. */
  refuse(process: Process | undefined, what: string, remedy: string): never {
    throw this.fatal(new Unsupported(placeOf(process), what, remedy));
  }

  /** Remembers what ends the run. The first one counts. */
  fatal(error: Unsupported): Unsupported {
    return (this.#fatal ??= error);
  }

  throwFatal(): void {
    if (this.#fatal !== undefined) throw this.#fatal;
  }

  /** What was thrown, as data. What passes through several actors is noted once. */
  noteThrown(error: unknown): object {
    if (typeof error === "object" && error !== null && this.#thrown.has(error)) return error;
    const data = toErrorData(error);
    this.#thrown.set(data, error);
    return data;
  }

  /** What was thrown, by its data; undefined where the data was not made in this run. */
  thrownFor(data: unknown): { error: unknown } | undefined {
    if (!this.#thrown.has(data as object)) return undefined;
    return { error: this.#thrown.get(data as object) };
  }
}
