import { refusal, type ProblemError } from "../contract/problem.ts";

/** There is none, or none for this caller: nobody is told which. */
export function notFound(workflow: string, id: string): ProblemError {
  return refusal("not-found", `There is no ${workflow}/${id}. Start it first.`);
}
