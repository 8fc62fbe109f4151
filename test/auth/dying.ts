import { env } from "cloudflare:workers";
import type { Settings } from "../../services/auth/settings.ts";
import { settings } from "./service.ts";

/** The database of a process that dies at its nth statement: before it is done, or right after. */
function dying(at: number, when: "before" | "after"): Settings & { calls: () => number } {
  let calls = 0;
  const dies = async <Result>(work: () => Promise<Result>): Promise<Result> => {
    calls += 1;
    if (calls < at) return work();
    if (calls === at && when === "after") await work();
    throw new Error("The process died.");
  };
  const originals = new WeakMap<object, D1PreparedStatement>();
  const statement = (original: D1PreparedStatement): D1PreparedStatement => {
    const wrapped = {
      bind: (...values: unknown[]) => statement(original.bind(...values)),
      first: () => dies(() => original.first()),
      all: () => dies(() => original.all()),
      run: () => dies(() => original.run()),
    } as unknown as D1PreparedStatement;
    originals.set(wrapped, original);
    return wrapped;
  };
  const database = {
    prepare: (text: string) => statement(env.ACCOUNTS.prepare(text)),
    batch: (some: D1PreparedStatement[]) =>
      dies(() => env.ACCOUNTS.batch(some.map((one) => originals.get(one)!))),
  } as unknown as D1Database;
  return { ...settings(), database, calls: () => calls };
}

/** Does something that dies at each of its statements in turn, until it comes through. */
export async function atEveryStatement(
  once: (broken: Settings) => Promise<unknown>,
  then: (place: string) => Promise<void>,
): Promise<number> {
  for (const when of ["before", "after"] as const) {
    for (let at = 1; ; at += 1) {
      const broken = dying(at, when);
      const hasDied = await once(broken).then(
        () => false,
        (error: Error) => {
          if (error.message !== "The process died.") throw error;
          return true;
        },
      );
      if (!hasDied) {
        if (when === "after") return at - 1;
        break;
      }
      await then(`${when} ${at}`);
    }
  }
  return 0;
}
