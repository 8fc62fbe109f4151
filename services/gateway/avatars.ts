import { refusal } from "../../src/contract/problem.ts";
import { nothingAt, wrongMethod } from "./answers.ts";
import type { ApiRequest } from "./api.ts";

/** `GET /api/avatars/{subject}`: a user's picture. */
export async function avatars({ request, url, path, asker, env }: ApiRequest): Promise<Response> {
  const { AVATARS } = env;
  if (AVATARS === undefined) {
    throw refusal("not-configured", "This deployment has no avatars.");
  }
  const [subject, ...more] = path;
  if (subject === undefined || subject === "" || more.length > 0) throw nothingAt(url);
  const isHead = request.method === "HEAD";
  if (request.method !== "GET" && !isHead) return wrongMethod(request, "GET", "HEAD");
  const answer = await AVATARS.avatar(asker, subject, request.headers.get("if-none-match"));
  const length = answer.headers.get("content-length");
  if (isHead) {
    await answer.body?.cancel();
    return new Response(null, answer);
  }
  if (answer.body === null || length === null) return new Response(answer.body, answer);
  // On its way here the body has lost its length: with one, whoever reads it knows if it broke off.
  return new Response(answer.body.pipeThrough(new FixedLengthStream(Number(length))), answer);
}
