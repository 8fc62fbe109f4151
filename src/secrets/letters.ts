import { ProblemError, type Problem } from "../contract/problem.ts";
import { keyringOf } from "../contract/keyring.ts";
import { log } from "../contract/log.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import { secretPaths, withFieldsOrWhatIsThere, type Field } from "./fields.ts";
import { scrubbedProblem } from "./scrub.ts";
import { isSealed, LOST, Unopenable, Vault } from "./vault.ts";

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
    const sealed = (name: string, text: string): string =>
      vault === null ? LOST : vault.seal(name, text);
    const seal = ({ name, value }: Field): unknown => {
      if (isSealed(value)) return value;
      if (typeof value === "string" && name !== type) {
        values.push(value);
        return sealed(name, value);
      }
      const said = jsonOf(value);
      if (said === null) return LOST;
      values.push(...said.texts);
      return sealed(asJson(type), said.json);
    };
    const body = changed(
      found,
      (data) => {
        try {
          return withFieldsOrWhatIsThere(type, data, paths, seal);
        } catch (error) {
          if (error instanceof ProblemError) return seal({ name: type, value: data });
          throw error;
        }
      },
      (value) => {
        values.push(...textsInBytes(value));
        return seal({ name: `${type}.data_base64`, value });
      },
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
  const open = ({ name, value }: Field): unknown => {
    if (!isSealed(value)) return value;
    if (vault === null) throw new Error("there are no SECRETS_KEYS to open its secrets with");
    const whole = asJson(type);
    // Letters of before have what stood around a field under the field's own name.
    const names = name === type ? paths.map((path) => `${type}.${path}`) : [name];
    return opened(vault, value, [whole, ...names], (by, text) =>
      by === whole ? (JSON.parse(text) as unknown) : text,
    );
  };
  return changed(
    found,
    (data) => paths.reduce((one, path) => openedField(type, one, path, open), data),
    (value) => open({ name: `${type}.data_base64`, value }),
  );
}

/** @throws Unopenable where it is sealed under none of the names */
function opened<Value>(
  vault: Vault,
  sealed: string,
  [name, ...others]: readonly string[],
  read: (name: string, text: string) => Value,
): Value {
  let text: string;
  try {
    text = vault.open(name!, sealed);
  } catch (error) {
    if (!(error instanceof Unopenable) || others.length === 0) throw error;
    return opened(vault, sealed, others, read);
  }
  return read(name!, text);
}

/** A list in the field's path is what was sealed as a whole, and is open by now. */
function openedField(
  type: string,
  data: unknown,
  path: string,
  open: (field: Field) => unknown,
): unknown {
  try {
    return withFieldsOrWhatIsThere(type, data, [path], open);
  } catch (error) {
    if (error instanceof ProblemError) return data;
    throw error;
  }
}

/** What is no text, or stands where a field can't be, is sealed as JSON, by a name that no field has. */
const asJson = (type: string): string => `${type} as JSON`;

/** A value as JSON, and the texts and numbers in it; null where JSON can't write it, or it is too deep. */
function jsonOf(value: unknown): { json: string; texts: string[] } | null {
  try {
    const json = JSON.stringify(value) as string | undefined;
    return json === undefined ? null : { json, texts: textsIn(value) };
  } catch {
    return null;
  }
}

function textsIn(value: unknown): string[] {
  if (typeof value === "string") return [value];
  if (typeof value === "number") return [String(value)];
  if (typeof value !== "object" || value === null) return [];
  return Object.values(value).flatMap(textsIn);
}

/** Those in JSON as base64. */
function textsInBytes(value: unknown): string[] {
  try {
    return textsIn(JSON.parse(Buffer.from(String(value), "base64").toString()));
  } catch {
    return [];
  }
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
