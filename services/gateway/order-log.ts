import { refusal } from "../../src/contract/problem.ts";
import { granted } from "../replying.ts";
import { nothingAt, passedTo, wrongMethod } from "./answers.ts";
import type { ApiRequest } from "./api.ts";

/** `GET /api/log`: what happened; `GET /api/log/tail`: what happens, a WebSocket. */
export async function orderLog({ request, url, path, asker, env }: ApiRequest): Promise<Response> {
  const [last, ...rest] = path;
  if (rest.length > 0 || (last !== undefined && last !== "tail")) throw nothingAt(url);
  if (request.method !== "GET") return wrongMethod(request, "GET");
  if (last === "tail") return passedTo(env.ORDERLOG, request, url, "/tail");
  if (env.LOG === undefined) throw refusal("not-configured", "This deployment has no order log.");
  const parameters = Object.fromEntries(url.searchParams);
  return Response.json({ entries: granted(await env.LOG.entries(asker, parameters)) });
}
