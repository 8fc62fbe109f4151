import { dedupeByKey } from "../contract/dedupe.ts";
import { parseJson } from "../contract/json.ts";
import { isPassing, refusal, type Problem } from "../contract/problem.ts";
import type { HookDefinition, HookedEvent, Hooks } from "../kernel/hook.ts";
import type { Allowances } from "../tenants/allowances.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import { incoming, validate } from "../instance/validate.ts";
import { readBytes } from "./body.ts";
import { isSigned, type RawBody } from "./hook-signature.ts";
import { addressOf, type Instances } from "./instances.ts";
import { jsonResponse, problemResponse } from "./respond.ts";
import { callerOf, sendersOf, type Sender, type WebhookSettings } from "./senders.ts";

const NAME = /^[a-z][a-z0-9-]{0,62}$/;
const MAX_KEY = 255;

/** Seconds after which a sender does well to try again. */
const TRY_AGAIN = "60";

export interface HookDoor {
  hooks: Hooks;
  workflows: ReadonlyMap<string, RegisteredWorkflow>;
  instances: Instances;
  allowances: Allowances;
  settings: WebhookSettings;
  /** `traceparent` to go on with. */
  trace: string;
}

/** @throws Error naming a hook that could not be reached */
export function checkHooks(hooks: Hooks): void {
  for (const name of Object.keys(hooks)) {
    if (NAME.test(name)) continue;
    throw new Error(
      `"${name}" can't be a hook's name. Use lower-case letters, digits and hyphens, a letter first.`,
    );
  }
}

/**
 * `POST /hooks/{name}`: what somebody else's system posts, verified over the bytes as they came, before
 * anything reads them. The answer says whether trying again can help (503) or not (4xx), and nothing
 * of the instance.
 */
export async function hook(request: Request, name: string, door: HookDoor): Promise<Response> {
  const { workflows, instances } = door;
  const body = await readRaw(request);
  const { definition, sender, text } = await authenticateHook(request.headers, body, name, door);
  const caller = callerOf(sender, `hook:${name}`);
  await door.allowances.take(caller.tenant, "requests", 1);
  const payload = validate(definition.schema, parseJson(text), "");
  const headers = Object.fromEntries(request.headers);
  const mapped = definition.map(payload, { headers });
  if (mapped === null) return new Response(null, { status: 204 });
  const { workflow: key, id, type, data } = mapped;
  const workflow = workflows.get(key);
  if (workflow === undefined) throw new Error(`The hook "${name}" names no workflow: "${key}"`);
  const reply = await instances.send({
    ...{ caller, brokered: true, trace: door.trace },
    address: addressOf(caller, key, id),
    event: incoming(workflow, type, data),
    dedupe: dedupeByKey(caller, keyOf(mapped, name)),
  });
  if (!reply.ok) return refused(reply.problem);
  const { outcome } = JSON.parse(reply.json) as { outcome: string };
  return jsonResponse(JSON.stringify({ outcome }), reply.deferred ? 202 : 200);
}

/** @throws ProblemError unauthenticated, whatever is missing or wrong */
async function authenticateHook(
  headers: Headers,
  body: RawBody | null,
  name: string,
  { hooks, settings }: HookDoor,
): Promise<{ definition: HookDefinition; sender: Sender; text: string }> {
  const definition = Object.hasOwn(hooks, name) ? hooks[name] : undefined;
  if (definition !== undefined && body !== null) {
    const signature = definition.signature ?? { scheme: "standard" };
    for (const sender of sendersOf(settings)) {
      if (!sender.hook || sender.name !== name) continue;
      if (await isSigned(signature, headers, body, sender.secrets)) {
        return { definition, sender, text: body.text };
      }
    }
  }
  throw refusal(
    "unauthenticated",
    "The signature is missing, more than five minutes off, or by no secret that is known here.",
  );
}

/** Null where the bytes are no text: then they are no JSON either, and nobody could have signed such. */
async function readRaw(request: Request): Promise<RawBody | null> {
  const bytes = await readBytes(request);
  try {
    // Nothing replaced and nothing left out: the text is what was signed, byte by byte.
    return {
      bytes,
      text: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes),
    };
  } catch {
    return null;
  }
}

function keyOf({ key }: HookedEvent, name: string): string {
  if (typeof key === "string" && key !== "" && key.length <= MAX_KEY) return key;
  throw new Error(`The hook "${name}" must give each event a key of 1 to ${MAX_KEY} characters.`);
}

function refused(problem: Problem): Response {
  // What is allowed now, and in which state, is no sender's business.
  const { type, title, detail } = problem;
  if (isPassing(problem)) {
    return problemResponse({ type, title, detail, status: 503 }, { "Retry-After": TRY_AGAIN });
  }
  // 410 would have a sender never post here again, for whatever instance (Standard Webhooks).
  const isClientError = problem.status >= 400 && problem.status < 500 && problem.status !== 410;
  return problemResponse({ type, title, detail, status: isClientError ? problem.status : 422 });
}
