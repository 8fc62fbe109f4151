import { ProblemError, type Problem } from "../contract/problem.ts";
import { keyringOf } from "../contract/keyring.ts";
import { log } from "../contract/log.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import { secretPaths, withFieldsOrWhatIsThere } from "./fields.ts";
import { scrubbedProblem } from "./scrub.ts";
import { isSealed, LOST, Vault } from "./vault.ts";

/** As much of a dead letter as may hold secrets. */
interface Protected {
  reason: Problem;
  body: unknown;
}

/** Seals the secrets of what is filed as dead, wherever it died. */
export type Protect = <Letter extends Protected>(letter: Letter) => Letter;

type Workflows = ReadonlyMap<string, RegisteredWorkflow>;

/** An event of a letter that has secret fields, and whose they are. */
interface Found {
  envelope: Record<string, unknown>;
  event: Record<string, unknown>;
  type: string;
  paths: string[];
  vault: Vault | null;
}

/**
 * Letters with sealed texts in the places of their secrets. What can't be read as an event can't be told
 * from any other text, and stays; where there are no keys the secret is lost, and the letter can't be sent
 * again. A letter that is sealed already stays as it is.
 */
export function protecting(workflows: Workflows, env: unknown): Protect {
  return (letter) => {
    const found = eventIn(workflows, env, letter.body);
    if (found === null) return letter;
    const { type, paths, vault } = found;
    const values: string[] = [];
    const seal = (name: string, value: unknown): unknown => {
      if (isSealed(value)) return value;
      if (typeof value !== "string") return LOST;
      values.push(value);
      return vault === null ? LOST : vault.seal(name, value);
    };
    const body = changed(
      found,
      (data) => {
        try {
          return withFieldsOrWhatIsThere(type, data, paths, ({ name, value }) => seal(name, value));
        } catch (error) {
          if (error instanceof ProblemError) return LOST;
          throw error;
        }
      },
      (bytes) => seal(`${type}.data_base64`, bytes),
    );
    return { ...letter, body, reason: scrubbedProblem(letter.reason, values) };
  };
}

/**
 * A letter's body as it came, to be sent again.
 *
 * @throws Unopenable
 */
export function openedBody(workflows: Workflows, env: unknown, body: unknown): unknown {
  const found = eventIn(workflows, env, body);
  if (found === null) return body;
  const { type, paths, vault } = found;
  const open = (name: string, value: unknown): unknown => {
    if (!isSealed(value)) return value;
    if (vault === null) throw new Error("there are no SECRETS_KEYS to open its secrets with");
    return vault.open(name, value);
  };
  return changed(
    found,
    (data) => withFieldsOrWhatIsThere(type, data, paths, ({ name, value }) => open(name, value)),
    (bytes) => open(`${type}.data_base64`, bytes),
  );
}

function eventIn(workflows: Workflows, env: unknown, body: unknown): Found | null {
  const envelope = (body ?? {}) as Record<string, unknown>;
  const event = envelope["event"] as Record<string, unknown> | null | undefined;
  if (typeof event !== "object" || event === null) return null;
  const { tenant } = envelope;
  const { subject, type } = event;
  if (typeof subject !== "string" || typeof type !== "string") return null;
  const [key = "", id = ""] = subject.split("/");
  const workflow = workflows.get(key);
  const paths = workflow === undefined ? [] : secretPaths(workflow, type);
  if (paths.length === 0) return null;
  return { envelope, event, type, paths, vault: vaultOf(env, String(tenant), key, id) };
}

function vaultOf(env: unknown, tenant: string, workflow: string, id: string): Vault | null {
  try {
    const keys = keyringOf(env, "SECRETS_KEYS");
    return keys === null ? null : new Vault(keys, { tenant, workflow, id });
  } catch (error) {
    log.error("Secrets of a dead letter are not kept", { tenant, workflow, error });
    return null;
  }
}

function changed(
  { envelope, event }: Found,
  data: (data: unknown) => unknown,
  bytes: (bytes: unknown) => unknown,
): unknown {
  const next = { ...event };
  if ("data" in event) next["data"] = data(event["data"]);
  if ("data_base64" in event) next["data_base64"] = bytes(event["data_base64"]);
  return { ...envelope, event: next };
}
