import { createHash } from "node:crypto";
import { prefixes } from "../contract/buckets.ts";
import { isSha256, payloadReference, type PayloadReference } from "../contract/payload.ts";

/** Payloads by their hash: `sha256-…`, or the bare hexadecimal. */
export type Payloads = Readonly<Record<string, string | Uint8Array>>;

/**
 * The reference that uploading some content would answer, for a test's events and its `payloads`.
 *
 * @example
 * const scan = referenceTo("…");
 * runInNode(workflow, { payloads: { [scan.$payload]: "…" } });
 */
export function referenceTo(
  content: string | Uint8Array,
  type = "application/octet-stream",
): PayloadReference {
  const sha256 = createHash("sha256").update(content).digest("hex");
  return payloadReference(sha256, bytesOf(content).byteLength, type);
}

/** Done before it returns: what takes its time out of sight would not be waited for. */
export function sha256Now(content: ArrayBuffer): Promise<ArrayBuffer> {
  const digest = createHash("sha256").update(new Uint8Array(content)).digest();
  return Promise.resolve(new Uint8Array(digest).buffer);
}

/** As much of an R2 bucket as claiming a payload needs. */
export function payloadBucket(payloads: Payloads, objectId: string) {
  const byKey = new Map(
    Object.entries(payloads).map(([name, content]) => {
      const sha256 = name.replace(/^sha256-/, "");
      if (isSha256(sha256)) return [prefixes.payload(objectId) + sha256, bytesOf(content)];
      throw new Error(
        `"${name}" is no SHA-256 in hexadecimal: take referenceTo(content).$payload.`,
      );
    }),
  );
  const look = (key: string) => {
    const bytes = byKey.get(key);
    if (bytes === undefined) return Promise.resolve(null);
    const arrayBuffer = () => Promise.resolve(new Uint8Array(bytes).buffer);
    return Promise.resolve({ size: bytes.byteLength, arrayBuffer });
  };
  return { head: look, get: look };
}

function bytesOf(content: string | Uint8Array): Uint8Array {
  return typeof content === "string" ? new TextEncoder().encode(content) : content;
}
