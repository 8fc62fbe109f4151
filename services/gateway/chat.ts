import { refusal } from "../../src/contract/problem.ts";
import { passedTo } from "./answers.ts";
import type { ApiRequest } from "./api.ts";

/** `/api/chat/…` is the chat's `/…`. */
export async function chat({ request, url, env: { CHAT } }: ApiRequest): Promise<Response> {
  if (CHAT === undefined) throw refusal("not-found", "This deployment has no chat.");
  return passedTo(CHAT, request, url, url.pathname.replace(/^\/api\/chat/, ""));
}
