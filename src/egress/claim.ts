import { Drawer } from "../contract/buckets.ts";
import { whyNoJson } from "../contract/json.ts";
import { hexOf, readReference, type Payload, type PayloadReference } from "../contract/payload.ts";
import type { Realm } from "../contract/realm.ts";
import { TerminalError } from "../kernel/terminal-error.ts";

/** Whose payloads are claimed. */
export interface Claimant {
  env: unknown;
  /** The instance's object id in hexadecimal: nobody claims another's. */
  objectId: string;
  realm: Realm;
  sha256: Sha256;
}

/** Hashes a content. */
export type Sha256 = (content: ArrayBuffer) => Promise<ArrayBuffer>;

export const webSha256: Sha256 = (content) => crypto.subtle.digest("SHA-256", content);

/**
 * The payload that a reference stands for, of the same instance. A bucket that fails is worth another try.
 *
 * @throws TerminalError where that can't help: it is no reference, the payload is not there, or is another
 */
export async function claimPayload(
  { env, objectId, realm, sha256: hash }: Claimant,
  reference: PayloadReference,
): Promise<Payload> {
  const wanted = readReference(reference);
  if (wanted === null) {
    const shown = JSON.stringify(reference)?.slice(0, 200);
    throw new TerminalError(
      `${shown} is no payload reference: { "$payload": "sha256-…", "size": …, "type": … }`,
    );
  }
  const { sha256, size } = wanted;
  const drawer = new Drawer(env, realm, "payload", objectId);
  const found = await drawer.head(sha256);
  if (found === null) throw missing(sha256);
  if (found.size !== size) {
    throw new TerminalError(
      `The payload sha256-${sha256} has ${found.size} bytes, not the ${size} of its reference`,
    );
  }
  const bytes = async (): Promise<Uint8Array> => {
    const stored = await drawer.get(sha256);
    if (stored === null) throw missing(sha256);
    const content = await stored.arrayBuffer();
    if (hexOf(await hash(content)) !== sha256) {
      throw new TerminalError(`The payload sha256-${sha256} doesn't match its hash any more`);
    }
    return new Uint8Array(content);
  };
  const text = async (): Promise<string> => new TextDecoder().decode(await bytes());
  const json = async (): Promise<unknown> => {
    const content = await text();
    try {
      return JSON.parse(content) as unknown;
    } catch (error) {
      throw new TerminalError(`The payload sha256-${sha256} is not JSON: ${whyNoJson(error)}`);
    }
  };
  const type = found.httpMetadata?.contentType ?? "application/octet-stream";
  return { bytes, text, json, size, type };
}

function missing(sha256: string): TerminalError {
  return new TerminalError(
    `The payload sha256-${sha256} is not there. Upload it to this instance first.`,
  );
}
