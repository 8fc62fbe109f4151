import { Drawer } from "../contract/buckets.ts";
import type { Limits } from "../contract/limits.ts";
import { isSha256, payloadReference } from "../contract/payload.ts";
import { refusal } from "../contract/problem.ts";
import { realmOf } from "../contract/realm.ts";
import type { Visit } from "./handlers.ts";
import { addressOf } from "./instances.ts";
import { granted, jsonResponse } from "./respond.ts";
import { storePayload, tooLarge } from "./upload.ts";

/** RFC 9110's media types, parameters included, as far as anybody needs. */
const MEDIA_TYPE = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(\s*;[\x20-\x7e]*)?$/;
const MAX_MEDIA_TYPE = 200;

const GONE = new Set([404, 410]);

/** `PUT` or `POST /{workflow}/{id}/payloads`: any body; the answer is the reference to send in an event. */
export async function uploadPayload(visit: Visit, limits: Limits): Promise<Response> {
  const { request, caller, workflow, id, instances, env } = visit;
  const address = addressOf(caller, workflow.key, id);
  const drawer = (kind: "payload" | "upload") =>
    new Drawer(env, realmOf(caller), kind, instances.objectId({ address, caller }));
  const [payloads, uploads] = [drawer("payload"), drawer("upload")];
  const type = mediaTypeOf(request.headers);
  const most = limits.payloadBytes;
  if (Number(request.headers.get("content-length") ?? 0) > most) throw tooLarge(most);
  if (request.body === null) {
    throw refusal("invalid-body", "There is no body: send the payload as the request's body.");
  }
  // Of an instance that isn't there nobody would ever erase it. What is asked for is nothing of its journal.
  const asking = { address, caller, after: Number.MAX_SAFE_INTEGER, limit: 1 };
  granted(await instances.history(asking));
  const { sha256, size } = await storePayload({ payloads, uploads }, request.body, { type, most });
  const still = await instances.history(asking);
  if (!still.ok && GONE.has(still.problem.status)) {
    // Erased meanwhile, with all that was there: what came after that must not stay.
    await payloads.delete(sha256);
    granted(still);
  }
  const reference = payloadReference(sha256, size, type);
  const headers = { Location: `/${workflow.key}/${id}/payloads/${sha256}` };
  return jsonResponse(JSON.stringify(reference), 201, headers);
}

/** `GET /{workflow}/{id}/payloads/{sha256}`. Whatever it is: a browser must save it, not show it. */
export async function downloadPayload(visit: Visit): Promise<Response> {
  const { request, caller, workflow, id, instances, env } = visit;
  const address = addressOf(caller, workflow.key, id);
  const { params } = request as Request & { params: { sha256: string } };
  // As its reference names it, too.
  const sha256 = params.sha256.replace(/^sha256-/, "");
  const objectId = instances.objectId({ address, caller });
  const payloads = new Drawer(env, realmOf(caller), "payload", objectId);
  // What was erased is not to be read, though the bucket may still have it.
  granted(await instances.history({ address, caller, after: Number.MAX_SAFE_INTEGER, limit: 1 }));
  const found = isSha256(sha256) ? await payloads.get(sha256) : null;
  if (found === null) {
    throw refusal("not-found", `${workflow.key}/${id} has no payload ${sha256}.`);
  }
  return new Response(found.body, {
    headers: {
      "Content-Type": "application/octet-stream",
      "Content-Length": String(found.size),
      "Content-Disposition": `attachment; filename="${sha256}"`,
      "Content-Security-Policy": "sandbox",
      "Cache-Control": "private, no-store",
    },
  });
}

function mediaTypeOf(headers: Headers): string {
  if (headers.has("content-encoding")) {
    throw refusal("unsupported-media-type", "Send the body without a Content-Encoding.");
  }
  const type = headers.get("content-type") ?? "application/octet-stream";
  if (type.length <= MAX_MEDIA_TYPE && MEDIA_TYPE.test(type)) return type;
  throw refusal(
    "unsupported-media-type",
    `Content-Type is "${type.slice(0, 100)}", no media type.`,
  );
}
