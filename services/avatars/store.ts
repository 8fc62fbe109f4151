import { nameOf } from "../../src/contract/address.ts";
import { Drawer } from "../../src/contract/buckets.ts";
import { hexOf } from "../../src/contract/payload.ts";
import { refusal } from "../../src/contract/problem.ts";
import type { Realm } from "../../src/contract/realm.ts";
import { drawAvatar } from "./picture.ts";

/** Characters of a subject. */
const MOST = 200;

const drawerOf = (env: unknown, realm: Realm) =>
  new Drawer(env, realm, "avatar", nameOf(realm.tenant, realm.jurisdiction ?? ""));

/**
 * Draws and keeps a user's picture; drawn again, it is the same.
 *
 * @returns where the gateway has it
 * @throws ProblemError invalid-body where the subject is none, not-configured without a bucket
 */
export async function keepAvatar(env: unknown, realm: Realm, subject: string): Promise<string> {
  if (!isSubject(subject)) {
    throw refusal("invalid-body", `A subject is a text of 1 to ${MOST} characters.`);
  }
  const drawer = drawerOf(env, realm);
  const picture = await drawAvatar(subject);
  await drawer.put(await nameFor(subject), picture, { httpMetadata: { contentType: "image/png" } });
  return `/api/avatars/${encodeURIComponent(subject)}`;
}

/**
 * A picture of a user of the realm as HTTP has it: 200 or 304 (RFC 9110, 13.1.2).
 *
 * @throws ProblemError not-found, not-configured
 */
export async function showAvatar(
  env: unknown,
  realm: Realm,
  subject: string,
  ifNoneMatch: string | null,
): Promise<Response> {
  const drawer = drawerOf(env, realm);
  if (!isSubject(subject)) throw noSuchPicture();
  const name = await nameFor(subject);
  const known = ifNoneMatch === null ? null : await drawer.head(name);
  if (known !== null && names(ifNoneMatch!, known.httpEtag)) {
    return new Response(null, { status: 304, headers: headersOf(known) });
  }
  const object = await drawer.get(name);
  if (object === null) throw noSuchPicture();
  return new Response(await object.bytes(), {
    headers: {
      ...headersOf(object),
      "Content-Type": "image/png",
      "Content-Length": String(object.size),
    },
  });
}

const headersOf = ({ httpEtag }: R2Object) => ({
  ETag: httpEtag,
  // A token opens it, so no cache that others share may keep it.
  "Cache-Control": "private, max-age=86400",
  "X-Content-Type-Options": "nosniff",
  "Content-Security-Policy": "default-src 'none'; sandbox",
  "Content-Disposition": "inline",
});

function noSuchPicture(): Error {
  return refusal("not-found", "There is no picture of such a user.");
}

const isSubject = (subject: unknown): subject is string =>
  typeof subject === "string" && subject !== "" && subject.length <= MOST && subject.isWellFormed();

/** A name that tells of nobody: whoever lists the bucket reads no ids. */
async function nameFor(subject: string): Promise<string> {
  const bytes = new TextEncoder().encode(subject);
  return hexOf(await crypto.subtle.digest("SHA-256", bytes));
}

/** Whether `If-None-Match` names it, weakly or not. */
function names(ifNoneMatch: string, etag: string): boolean {
  const tags = new Set(ifNoneMatch.split(",").map((tag) => tag.trim().replace(/^W\//, "")));
  return tags.has("*") || tags.has(etag);
}
