import { refusal } from "../../src/contract/problem.ts";
import { readJson } from "../../src/ingress/body.ts";
import { validate } from "../../src/instance/validate.ts";
import type { SupportCalls } from "../contracts/support.ts";
import { granted } from "../replying.ts";
import { requireStaff } from "../staff.ts";
import { newDocument, question } from "../support/shapes.ts";
import { nothingAt, wrongMethod } from "./answers.ts";
import type { ApiRequest } from "./api.ts";

/** Bytes of a JSON body: a question, and a document. */
const MOST_OF_QUESTION = 16_384;
const MOST_OF_DOCUMENT = 262_144;

/** `/api/support/…` */
export async function support(api: ApiRequest): Promise<Response> {
  const { SUPPORT } = api.env;
  if (SUPPORT === undefined) throw refusal("not-configured", "This deployment has no support.");
  const [kind, id, ...more] = api.path;
  if (more.length > 0 || id === "") throw nothingAt(api.url);
  if (kind === "questions" && id === undefined) return ask(api, SUPPORT);
  if (kind !== "documents") throw nothingAt(api.url);
  return id === undefined ? documents(api, SUPPORT) : document(api, SUPPORT, id);
}

async function ask({ request, asker }: ApiRequest, calls: SupportCalls): Promise<Response> {
  if (request.method !== "POST") return wrongMethod(request, "POST");
  const asked = validate(question, await readJson(request, MOST_OF_QUESTION), "");
  return Response.json(granted(await calls.ask(asker, asked)));
}

async function documents({ request, asker }: ApiRequest, calls: SupportCalls): Promise<Response> {
  if (request.method !== "GET") return wrongMethod(request, "GET");
  return Response.json({ documents: granted(await calls.documents(asker)) });
}

async function document(
  { request, asker }: ApiRequest,
  calls: SupportCalls,
  id: string,
): Promise<Response> {
  const isRemoval = request.method === "DELETE";
  if (request.method !== "PUT" && !isRemoval) return wrongMethod(request, "PUT", "DELETE");
  // Before anything is read of what somebody else sends; the support looks once more.
  requireStaff(asker.caller, "care of the support's documents");
  const body = isRemoval
    ? null
    : validate(newDocument, await readJson(request, MOST_OF_DOCUMENT), "");
  granted(await calls.submit(asker, id, body));
  return Response.json({ status: "accepted" }, { status: 202 });
}
