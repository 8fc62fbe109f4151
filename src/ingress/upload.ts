import type { Drawer } from "../contract/buckets.ts";
import { hexOf } from "../contract/payload.ts";
import { refusal } from "../contract/problem.ts";
import { brokenOff } from "./body.ts";

/** R2 takes parts of an upload from this size on, all but the last of the same (R2, "Multipart upload"). */
const PART = 5 * 1024 * 1024;

/** A payload that is stored. */
interface Stored {
  sha256: string;
  size: number;
}

/**
 * Brings a body to R2 as it comes, under its hash. As nobody knows that before the end, what is larger
 * than a part first goes under a name of its own, and is renamed; what is too large is stored nowhere.
 *
 * @throws ProblemError body-too-large, body-broken-off
 */
export async function storePayload(
  { payloads, uploads }: { payloads: Drawer; uploads: Drawer },
  body: ReadableStream<Uint8Array>,
  { type, most }: { type: string; most: number },
): Promise<Stored> {
  const options: R2PutOptions = { httpMetadata: { contentType: type } };
  const digest = new crypto.DigestStream("SHA-256");
  const hash = digest.getWriter();
  const underHash = async (content: Uint8Array | ReadableStream): Promise<string> => {
    await hash.close();
    const sha256 = hexOf(await digest.digest);
    // R2 compares the hash with what it has stored.
    await payloads.put(sha256, content, { ...options, sha256 });
    return sha256;
  };
  const temporary = crypto.randomUUID();
  const parts: R2UploadedPart[] = [];
  let upload: R2MultipartUpload | undefined;
  let size = 0;
  try {
    for await (const { part, isLast } of inParts(body, most)) {
      size += part.byteLength;
      await hash.write(part);
      if (isLast && upload === undefined) return { sha256: await underHash(part), size };
      upload ??= await uploads.begin(temporary, options);
      parts.push(await upload.uploadPart(parts.length + 1, part));
    }
    await upload!.complete(parts);
  } catch (error) {
    // Should that fail too, R2 forgets after a week what was not completed.
    await upload?.abort().catch(() => {});
    throw error;
  }
  try {
    const whole = await uploads.get(temporary);
    return { sha256: await underHash(whole!.body), size };
  } finally {
    await uploads.delete(temporary);
  }
}

/** A body in parts of the size that R2 wants, counted while it comes. */
async function* inParts(
  body: ReadableStream<Uint8Array>,
  most: number,
): AsyncGenerator<{ part: Uint8Array; isLast: boolean }> {
  let part = new Uint8Array(PART);
  let filled = 0;
  let size = 0;
  for await (const chunk of readable(body)) {
    size += chunk.byteLength;
    if (size > most) throw tooLarge(most);
    for (let taken = 0; taken < chunk.byteLength;) {
      if (filled === PART) {
        yield { part, isLast: false };
        part = new Uint8Array(PART);
        filled = 0;
      }
      const piece = chunk.subarray(taken, taken + PART - filled);
      part.set(piece, filled);
      filled += piece.byteLength;
      taken += piece.byteLength;
    }
  }
  yield { part: part.subarray(0, filled), isLast: true };
}

/** What can't be read to its end is the sender's mistake, and no fault of the bucket's. */
async function* readable(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  let isRead = false;
  try {
    for (;;) {
      const { done, value } = await reader.read().catch(() => {
        throw brokenOff();
      });
      isRead = done;
      if (done) return;
      yield value;
    }
  } finally {
    if (!isRead) await reader.cancel().catch(() => {});
  }
}

export function tooLarge(most: number) {
  return refusal("body-too-large", `A payload has at most ${most} bytes.`);
}
