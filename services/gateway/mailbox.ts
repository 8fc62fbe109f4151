import { refusal } from "../../src/contract/problem.ts";
import { errorResponse, finish } from "../../src/ingress/respond.ts";
import { granted } from "../replying.ts";
import { requireStaff } from "../staff.ts";
import { nothingAt, wrongMethod } from "./answers.ts";
import type { ApiRequest, GatewayEnv } from "./api.ts";
import { mailboxPage } from "./mailbox-page.ts";

/**
 * Names of this machine. Elsewhere mails are nobody's to read, and with them their links and codes: not even
 * where a deployment was left with the mailbox of development. Cloudflare finds a Worker by the address, so
 * none can be asked by these.
 */
const LOCAL = new Set(["localhost", "127.0.0.1", "[::1]"]);

/** Characters of an address of mail. */
const MOST = 320;

/** `GET /api/mailbox?to=`: what the mailbox of local development was given. */
export async function mailbox({ request, url, path, asker, env }: ApiRequest): Promise<Response> {
  if (path.length > 0 || !LOCAL.has(url.hostname)) throw nothingAt(url);
  if (request.method !== "GET") return wrongMethod(request, "GET");
  requireStaff(asker.caller, "mailbox");
  const to = url.searchParams.get("to") ?? undefined;
  if (to !== undefined && (to === "" || to.length > MOST)) {
    throw refusal("bad-parameter", `to must have 1 to ${MOST} characters.`, { field: "to" });
  }
  const { MAILBOX } = env;
  if (MAILBOX === undefined) throw refusal("not-configured", "This deployment has no mailer.");
  return Response.json({ mails: granted(await MAILBOX.mails(asker, to)) });
}

/** `GET /mailbox`: the page that shows them. It has no data, so it is open; 404 where there is no mailbox, or this is no local address. */
export async function openMailbox(url: URL, { MAILBOX }: GatewayEnv): Promise<Response> {
  try {
    const isLocal = MAILBOX !== undefined && LOCAL.has(url.hostname);
    if (!isLocal || !granted(await MAILBOX.isThere())) throw nothingAt(url);
    return finish(await mailboxPage());
  } catch (error) {
    return finish(errorResponse(error));
  }
}
