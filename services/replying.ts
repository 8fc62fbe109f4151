import { log } from "../src/contract/log.ts";
import { problem, ProblemError } from "../src/contract/problem.ts";
import type { Reply } from "./contracts/reply.ts";

/**
 * An answer to another Worker: what was thrown as a problem goes as one; what nobody expected tells the log.
 *
 * @param where the service's name, for the log
 */
export async function replying<Value>(
  where: string,
  work: () => Promise<Value>,
): Promise<Reply<Value>> {
  try {
    return { ok: true, value: await work() };
  } catch (error) {
    if (error instanceof ProblemError) return { ok: false, problem: error.problem };
    log.error(`The ${where} failed unexpectedly`, { error });
    const detail = "Something went wrong inside. Try again; the log has the details.";
    return { ok: false, problem: problem("internal", detail) };
  }
}

/** @throws ProblemError where the service answered with a problem */
export function granted<Value>(reply: Reply<Value>): Value {
  if (reply.ok) return reply.value;
  throw new ProblemError(reply.problem);
}
