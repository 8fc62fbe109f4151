import * as v from "valibot";
import { refusal } from "../contract/problem.ts";
import type { KeyPublisher } from "../contract/published-keys.ts";
import type { Algorithm, KeySource } from "./keys.ts";

/** Whose tokens open a door. Without an issuer, an audience and one of the key sets nobody gets in. */
export interface TokenSettings {
  TOKEN_ISSUER?: string;
  TOKEN_AUDIENCE?: string;
  /** The issuer's public keys: a JSON Web Key Set, as text. It goes before the others. */
  TOKEN_KEYS?: string;
  /** Where the issuer publishes them: https. It goes before the binding. */
  TOKEN_KEYS_URL?: string;
  /** The deployment's own auth service (`services/auth`), by service binding. */
  AUTH?: KeyPublisher;
  /** JSON: how an outside issuer calls `tenant`, `roles` and `scope`. */
  TOKEN_CLAIMS?: string;
  /** The signatures that are taken, separated by spaces. */
  TOKEN_ALGORITHMS?: string;
  /** The `typ` of the issuer's access tokens. */
  TOKEN_TYPE?: string;
}

/** RFC 9068, 2.1: what tells an access token from an id token of the same issuer. */
const ACCESS_TOKEN = "at+jwt";
const ownAlgorithms = ["EdDSA", "ES256"] as const satisfies Algorithm[];
const algorithms = v.pipe(
  v.array(v.picklist([...ownAlgorithms, "RS256", "PS256"])),
  v.minLength(1),
);

const names = v.strictObject({
  tenant: v.optional(v.pipe(v.string(), v.minLength(1)), "tenant"),
  roles: v.optional(v.pipe(v.string(), v.minLength(1)), "roles"),
  scope: v.optional(v.pipe(v.string(), v.minLength(1)), "scope"),
});

export type ClaimNames = v.InferOutput<typeof names>;

/** @throws ProblemError not-configured where TOKEN_CLAIMS is malformed */
export function claimNames({ TOKEN_CLAIMS }: TokenSettings): ClaimNames {
  try {
    return v.parse(names, JSON.parse(TOKEN_CLAIMS || "{}"));
  } catch {
    throw refusal("not-configured", `TOKEN_CLAIMS must be JSON such as {"tenant": "org_id"}.`);
  }
}

/**
 * How tokens must be signed, and of which type they must be. RSA, which most outside providers have
 * (RFC 9068 wants RS256 of all), is taken only where it is asked for by name.
 *
 * @throws ProblemError not-configured where a setting is malformed
 */
export function kindOf({ TOKEN_ALGORITHMS, TOKEN_TYPE }: TokenSettings) {
  const type = TOKEN_TYPE || ACCESS_TOKEN;
  const named = TOKEN_ALGORITHMS ? TOKEN_ALGORITHMS.split(" ") : ownAlgorithms;
  const result = v.safeParse(algorithms, named);
  if (result.success && /^[A-Za-z0-9+./-]{1,100}$/.test(type)) {
    return { algorithms: result.output, type };
  }
  throw refusal(
    "not-configured",
    `TOKEN_ALGORITHMS must be some of EdDSA, ES256, RS256, PS256, a space between them, and TOKEN_TYPE a type such as ${ACCESS_TOKEN} or JWT.`,
  );
}

/** Bytes of a key set that is fetched. */
const MAX_KEY_SET = 1_000_000;

/**
 * Where the keys come from.
 *
 * @returns the source, and what tells it from others
 * @throws ProblemError not-configured where a setting is missing or malformed
 */
export function sourceOf(settings: TokenSettings): KeySource & { identity: string[] } {
  const { TOKEN_ISSUER, TOKEN_AUDIENCE, TOKEN_KEYS, TOKEN_KEYS_URL, AUTH } = settings;
  if (!TOKEN_ISSUER || !TOKEN_AUDIENCE) throw missing();
  if (TOKEN_KEYS) {
    return {
      ...{ name: "TOKEN_KEYS", isFixed: true, identity: ["text", TOKEN_KEYS] },
      ask: async () => JSON.parse(TOKEN_KEYS) as unknown,
    };
  }
  if (TOKEN_KEYS_URL) {
    const url = keysUrl(TOKEN_KEYS_URL);
    return {
      ...{ name: "TOKEN_KEYS_URL", isFixed: false, identity: ["url", url] },
      ask: async (signal) => {
        const { keys } = (await fetchJson(url, signal)) as { keys?: unknown };
        // Only the deployment's own service is asked which sessions were ended.
        return { keys };
      },
    };
  }
  if (AUTH === undefined) throw missing();
  return {
    ...{ name: "The auth service", isFixed: false, identity: ["binding"] },
    ask: async () => AUTH.published(),
  };
}

async function fetchJson(url: string, signal: AbortSignal): Promise<unknown> {
  const headers = { Accept: "application/jwk-set+json, application/json" };
  // A redirect could lead to keys of somebody else.
  const response = await fetch(url, { headers, signal, redirect: "manual" });
  if (!response.ok) {
    await response.body?.cancel();
    throw new Error(`${url} answered ${response.status}.`);
  }
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  for await (const part of response.body ?? []) {
    length += part.byteLength;
    if (length > MAX_KEY_SET) throw new Error(`${url} answered more than ${MAX_KEY_SET} bytes.`);
    parts.push(part);
  }
  return JSON.parse(await new Blob(parts).text());
}

function keysUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isLocal = url?.protocol === "http:" && url.hostname === "127.0.0.1";
  if (url !== undefined && (url.protocol === "https:" || isLocal)) return url.href;
  throw refusal("not-configured", "TOKEN_KEYS_URL must be https (or http://127.0.0.1 for tests).");
}

const missing = () =>
  refusal(
    "not-configured",
    "TOKEN_ISSUER, TOKEN_AUDIENCE and TOKEN_KEYS, TOKEN_KEYS_URL or the binding AUTH must be set before anybody gets in.",
  );
