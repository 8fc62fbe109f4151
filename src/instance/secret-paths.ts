import { Unsupported } from "../kernel/errors.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import { schemaOf } from "./json-schema.ts";

type Node = Readonly<Record<string, unknown>>;

/**
 * Looks whether what events call secret is there in their schemas: a path that is mistyped would leave the
 * field as it is, in the context and on the disk. Schemas that can't be told as JSON Schema are taken at
 * their author's word.
 *
 * @throws Unsupported naming the path
 */
export function checkSecretPaths(workflows: ReadonlyMap<string, RegisteredWorkflow>): void {
  for (const { versions } of workflows.values()) {
    for (const workflow of versions.values()) checkVersion(workflow);
  }
}

function checkVersion(workflow: RegisteredWorkflow): void {
  for (const [type, { secrets = [] }] of Object.entries(workflow.events ?? {})) {
    if (secrets.length === 0) continue;
    const document = schemaOf(workflow, type);
    const path = secrets.find(
      (one) => document !== null && !mayHold(document, one.split("."), document),
    );
    if (path === undefined) continue;
    throw new Unsupported(
      { machine: workflow.machine.id },
      `the event "${type}" is to have the secret field "${path}", which its schema doesn't have`,
      "Name a field of the schema by its path, such as card.number.",
    );
  }
}

/** Parts within parts that are gone through: a document may refer to itself. */
const DEEPEST = 100;

/** Whether there may be something at a path, by a part of a JSON Schema document. */
function mayHold(part: unknown, path: readonly string[], document: Node, depth = 0): boolean {
  const [key, ...rest] = path;
  if (key === undefined || depth > DEEPEST) return true;
  if (typeof part !== "object" || part === null) return part === true;
  const node = part as Node;
  if (typeof node["$ref"] === "string") {
    const name = /^#\/\$defs\/([^/]+)$/.exec(node["$ref"])?.[1] ?? "";
    const definitions = (document["$defs"] ?? {}) as Node;
    return (
      !Object.hasOwn(definitions, name) || mayHold(definitions[name], path, document, depth + 1)
    );
  }
  const choices = ["anyOf", "oneOf", "allOf"].flatMap((name) => (node[name] ?? []) as unknown[]);
  if (choices.some((choice) => mayHold(choice, path, document, depth + 1))) return true;
  const properties = node["properties"] as Node | undefined;
  if (properties !== undefined && Object.hasOwn(properties, key)) {
    return mayHold(properties[key], rest, document, depth + 1);
  }
  const others = node["additionalProperties"];
  if (others !== undefined && others !== false) return mayHold(others, rest, document, depth + 1);
  // What says nothing of its members may have any.
  return choices.length === 0 && properties === undefined && isObject(node["type"]);
}

const isObject = (type: unknown): boolean =>
  type === undefined || type === "object" || (Array.isArray(type) && type.includes("object"));
