import { objectIn } from "../contract/objects.ts";
import { isPassing, type Problem } from "../contract/problem.ts";
import { realmOf } from "../contract/realm.ts";
import type { Letter } from "../contract/requests.ts";
import { TerminalError } from "../kernel/terminal-error.ts";

interface Neighbour {
  /** @returns a problem, or null when it is safe there */
  receive(json: string): Promise<Problem | null>;
}

/**
 * Brings a letter to another instance of this deployment. Resolves when it is committed there.
 *
 * @throws TerminalError where trying again can't help
 */
export async function sendLetter(env: unknown, letter: Letter): Promise<void> {
  const { INSTANCES } = env as { INSTANCES?: DurableObjectNamespace };
  if (INSTANCES === undefined) {
    throw new Error("Instances speak to each other by the binding INSTANCES, which is missing.");
  }
  const { workflow, id } = letter.address;
  const stub = objectIn(INSTANCES, realmOf(letter.caller), workflow, id) as unknown as Neighbour;
  const problem = await stub.receive(JSON.stringify(letter));
  if (problem === null || isPointless(letter, problem)) return;
  const message = `${workflow}/${id} says: ${problem.detail}`;
  throw isPassing(problem) ? new Error(message) : new TerminalError(message);
}

/** What an actor and the instance that it is have to say to each other, once one of them was erased. */
function isPointless(letter: Letter, { type }: Problem): boolean {
  const isBetweenThem =
    letter.kind === "outcome" || (letter.kind === "send" && letter.of !== undefined);
  return isBetweenThem && type.endsWith(":erased");
}
