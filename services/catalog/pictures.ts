import { Drawer } from "../../src/contract/buckets.ts";
import { nameOf } from "../../src/contract/address.ts";
import { hexOf } from "../../src/contract/payload.ts";
import { problem, refusal } from "../../src/contract/problem.ts";
import type { Realm } from "../../src/contract/realm.ts";
import { problemResponse } from "../../src/ingress/respond.ts";
import { isPictureType, pictureTypeOf } from "./picture.ts";

export interface Conditions {
  range: string | null;
  ifNoneMatch: string | null;
}

const drawerOf = (env: unknown, realm: Realm) =>
  new Drawer(env, realm, "picture", nameOf(realm.tenant, realm.jurisdiction ?? ""));

/**
 * Keeps a picture under the hash of its bytes; the same one twice is one.
 *
 * @returns its SHA-256, in hexadecimal
 * @throws ProblemError as `pictureTypeOf` does, not-configured
 */
export async function keepPicture(
  env: unknown,
  realm: Realm,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<string> {
  const contentType = pictureTypeOf(bytes);
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  const hash = hexOf(digest);
  await drawerOf(env, realm).put(hash, bytes, { httpMetadata: { contentType }, sha256: digest });
  return hash;
}

/** A picture of the realm as HTTP has it: 200, 206, 304 or 416 (RFC 9110, 13.1.2 and 14.2). */
export async function showPicture(
  env: unknown,
  realm: Realm,
  hash: string,
  { range, ifNoneMatch }: Conditions,
): Promise<Response> {
  const drawer = drawerOf(env, realm);
  const found = /^[0-9a-f]{64}$/.test(hash) ? await drawer.head(hash) : null;
  const type = found?.httpMetadata?.contentType;
  if (found === null || !isPictureType(type)) throw noSuchPicture();
  const etag = `"${hash}"`;
  const headers = {
    ETag: etag,
    // A token opens it, so no cache that others share may keep it.
    "Cache-Control": "private, max-age=31536000, immutable",
    "Accept-Ranges": "bytes",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Content-Disposition": "inline",
  };
  if (ifNoneMatch !== null && names(ifNoneMatch, etag)) {
    return new Response(null, { status: 304, headers });
  }
  const { size } = found;
  const part = range === null ? null : partOf(range, size);
  if (part === "none") {
    const detail = `The picture has ${size} bytes.`;
    return problemResponse(problem("range-not-satisfiable", detail), {
      "Content-Range": `bytes */${size}`,
    });
  }
  const object = await drawer.get(hash, part ?? undefined);
  if (object === null) throw noSuchPicture();
  const length = part?.length ?? size;
  return new Response(await object.bytes(), {
    status: part === null ? 200 : 206,
    headers: {
      ...headers,
      "Content-Type": type,
      "Content-Length": String(length),
      ...(part === null
        ? {}
        : { "Content-Range": `bytes ${part.offset}-${part.offset + length - 1}/${size}` }),
    },
  });
}

function noSuchPicture(): Error {
  return refusal("not-found", "There is no such picture.");
}

/** Whether `If-None-Match` names it, weakly or not. */
function names(ifNoneMatch: string, etag: string): boolean {
  const tags = new Set(ifNoneMatch.split(",").map((tag) => tag.trim().replace(/^W\//, "")));
  return tags.has("*") || tags.has(etag);
}

/**
 * The one range that is asked for. Null, which is all of it, where none or several are, or where they
 * can't be read; "none" where it lies outside.
 */
function partOf(range: string, size: number): { offset: number; length: number } | "none" | null {
  const [whole, from = "", to = ""] = /^bytes=(\d*)-(\d*)$/i.exec(range.trim()) ?? [];
  if (whole === undefined || (from === "" && to === "")) return null;
  if (from === "") {
    const length = Math.min(Number(to), size);
    return length === 0 ? "none" : { offset: size - length, length };
  }
  const offset = Number(from);
  if (to !== "" && Number(to) < offset) return null;
  if (offset >= size) return "none";
  const end = to === "" ? size - 1 : Math.min(Number(to), size - 1);
  return { offset, length: end - offset + 1 };
}
