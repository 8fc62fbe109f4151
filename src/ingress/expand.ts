import { refusal, type Problem } from "../contract/problem.ts";
import type { AllowedEvent } from "../contract/view.ts";
import { schemaOf } from "../instance/json-schema.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";

type Answer = { ok: true; json: string } | { ok: false; problem: Problem };

/**
 * What `?expand=schema` asks for: each JSON Schema in the place of its link, in a view or in a problem
 * that tells what is allowed. Here, at the door: few ask for it, and objects have enough to do.
 *
 * @throws ProblemError bad-parameter
 */
export function expansion({
  request,
  workflow,
}: {
  request: Request;
  workflow: RegisteredWorkflow;
}): <Given extends Answer>(answer: Given) => Given {
  // An address without parameters needs no parsing.
  const expand = request.url.includes("?") ? new URL(request.url).searchParams.get("expand") : null;
  if (expand === null) return (answer) => answer;
  if (expand !== "schema") {
    throw refusal("bad-parameter", "What can be expanded is schema.", { field: "expand" });
  }
  return (answer) =>
    answer.ok
      ? {
          ...answer,
          json: JSON.stringify(withSchemas(workflow, JSON.parse(answer.json) as object)),
        }
      : { ...answer, problem: withSchemas(workflow, answer.problem) };
}

function withSchemas<Document extends object>(
  workflow: RegisteredWorkflow,
  document: Document,
): Document {
  const { allowed } = document as { allowed?: AllowedEvent[] };
  if (allowed === undefined) return document;
  const expanded = allowed.map((event) => {
    const schema = schemaOf(workflow, event.type);
    return schema === null ? event : { ...event, schema };
  });
  return { ...document, allowed: expanded };
}
