import { Webhook } from "standardwebhooks";
import type { HookSignature } from "../kernel/hook.ts";

/** Seconds a signature may be old, or ahead. */
const TOLERANCE = 300;

/** Signatures that one request may offer. */
const MAX_OFFERED = 10;

/** A body, as it came and as the text that those bytes are. */
export interface RawBody {
  bytes: Uint8Array<ArrayBuffer>;
  text: string;
}

/** Whether one of the secrets signs this body, now. */
export async function isSigned(
  signature: HookSignature,
  headers: Headers,
  body: RawBody,
  secrets: readonly string[],
): Promise<boolean> {
  if (signature.scheme === "timestamped") {
    return isSignedWithTime(headers.get(signature.header), body, secrets);
  }
  // The package reads the time with parseInt, which takes what follows the digits for nothing.
  if (!isNow(headers.get("webhook-timestamp"))) return false;
  const given = Object.fromEntries(headers);
  return secrets.some((secret) => {
    try {
      new Webhook(secret).verify(body.text, given, { jsonParse: false });
      return true;
    } catch {
      return false;
    }
  });
}

/** `t=1700000000,v1=5257a8…`: hexadecimal HMAC-SHA256 over the time, a dot and the body. */
async function isSignedWithTime(
  header: string | null,
  { bytes }: RawBody,
  secrets: readonly string[],
): Promise<boolean> {
  const parts = (header ?? "").split(",").map((part) => part.trim().split("="));
  const valuesOf = (name: string) =>
    parts.filter((part) => part.length === 2 && part[0] === name).map(([, value = ""]) => value);
  const [time, ...more] = valuesOf("t");
  const offered = valuesOf("v1").filter((one) => /^[0-9a-f]{64}$/i.test(one));
  if (time === undefined || more.length > 0 || !isNow(time)) return false;
  const content = new Uint8Array([...new TextEncoder().encode(`${time}.`), ...bytes]);
  for (const secret of secrets) {
    const key = await crypto.subtle.importKey(
      "raw",
      new TextEncoder().encode(secret),
      { name: "HMAC", hash: "SHA-256" },
      false,
      ["verify"],
    );
    for (const one of offered.slice(0, MAX_OFFERED)) {
      // `verify` compares in constant time (Web Cryptography, HMAC).
      if (await crypto.subtle.verify("HMAC", key, bytesOf(one), content)) return true;
    }
  }
  return false;
}

/** Seconds since the epoch, and nothing else. */
function isNow(text: string | null): boolean {
  if (text === null || !/^\d{1,12}$/.test(text)) return false;
  return Math.abs(Date.now() / 1_000 - Number(text)) <= TOLERANCE;
}

function bytesOf(hexadecimal: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(hexadecimal.length / 2);
  for (let index = 0; index < bytes.length; index++) {
    bytes[index] = Number.parseInt(hexadecimal.slice(2 * index, 2 * index + 2), 16);
  }
  return bytes;
}
