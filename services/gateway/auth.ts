import { Router, type IRequest } from "itty-router";
import * as v from "valibot";
import { mediaType } from "../../src/contract/json.ts";
import { refusal } from "../../src/contract/problem.ts";
import { readBytes, readJson, readOptionalJson } from "../../src/ingress/body.ts";
import { errorResponse, finish } from "../../src/ingress/respond.ts";
import { validate } from "../../src/instance/validate.ts";
import { newClient } from "../auth/clients.ts";
import { newRoles } from "../auth/people.ts";
import type { AuthCalls } from "../contracts/auth.ts";
import { granted } from "../replying.ts";
import { nothingAt, wrongMethod } from "./answers.ts";

/** Bytes of a body. */
const MOST = 16_384;

const text = (most: number) => v.pipe(v.string(), v.minLength(1), v.maxLength(most));
const login = v.strictObject({ username: text(400), password: text(4_096) });
const registration = v.strictObject({
  ...login.entries,
  email: v.optional(v.pipe(v.string(), v.maxLength(320), v.email("must be an address of mail"))),
});
const confirmation = v.strictObject({ code: text(100), password: text(4_096) });
const refreshToken = v.strictObject({ refresh_token: text(200) });
const credentials = v.strictObject({
  grant_type: v.literal("client_credentials"),
  client_id: text(64),
  client_secret: text(200),
  scope: v.optional(v.pipe(v.string(), v.maxLength(1_000))),
});
const rotation = v.optional(v.strictObject({ withdraw: v.optional(v.boolean(), false) }), {});
const revocation = v.union(
  [
    v.strictObject({ username: text(400) }),
    v.strictObject({ subject: text(200) }),
    v.strictObject({ session: text(200) }),
  ],
  "must have one text: username, subject or session",
);

/**
 * The routes of the auth service. What is not below `/auth` is no answer: the orchestrator gives one.
 *
 * @param auth the service, by its binding
 */
export function authRouter(auth: AuthCalls) {
  const json = (value: unknown, status = 200) => Response.json(value, { status });
  const nothing = () => new Response(null, { status: 204 });
  const authorization = (request: IRequest) => request.headers.get("authorization");
  /** The body of an administrator: of anybody else's nothing is read. */
  const bodyOf = async (request: IRequest): Promise<unknown> => {
    granted(await auth.admit(authorization(request)));
    return readOptionalJson(request, MOST);
  };
  /** A handler that is given what its path names. */
  const answering =
    (handle: (request: IRequest, named: Record<"id" | "name", string>) => Promise<Response>) =>
    (request: IRequest): Promise<Response> =>
      handle(request, request.params as Record<"id" | "name", string>);

  const router = Router({
    catch: (error) => errorResponse(error),
    finally: [(response: Response | undefined) => response && finish(response)],
  })
    .get(
      "/.well-known/jwks.json",
      answering(async () => {
        const keys = granted(await auth.keySet());
        return Response.json(keys, { headers: { "Cache-Control": "public, max-age=300" } });
      }),
    )
    .post(
      "/auth/register",
      answering(async (request) => {
        const body = validate(registration, await readJson(request, MOST), "");
        granted(await auth.register(body, addressOf(request)));
        return json({ status: "accepted" }, 202);
      }),
    )
    .post(
      "/auth/confirm",
      answering(async (request) => {
        const body = validate(confirmation, await readJson(request, MOST), "");
        return json(granted(await auth.confirm(body, addressOf(request))));
      }),
    )
    .post(
      "/auth/login",
      answering(async (request) => {
        const body = validate(login, await readJson(request, MOST), "");
        return json(granted(await auth.logIn(body, addressOf(request))));
      }),
    )
    .post(
      "/auth/refresh",
      answering(async (request) => {
        const body = validate(refreshToken, await readJson(request, MOST), "");
        return json(granted(await auth.refresh(body.refresh_token)));
      }),
    )
    .post(
      "/auth/logout",
      answering(async (request) => {
        const body = validate(refreshToken, await readJson(request, MOST), "");
        granted(await auth.logOut(body.refresh_token));
        return nothing();
      }),
    )
    .post(
      "/auth/token",
      answering(async (request) => {
        const body = validate(
          credentials,
          { ...(await readFields(request)), ...basic(request) },
          "",
        );
        const { client_id: id, client_secret: secret, scope } = body;
        return json(granted(await auth.grantToClient({ id, secret, scope })));
      }),
    )
    .post(
      "/auth/keys/rotate",
      answering(async (request) => {
        const { withdraw } = validate(rotation, await bodyOf(request), "");
        const { kid, signsFrom } = granted(await auth.rotateKeys(authorization(request), withdraw));
        return json({ kid, signsFrom: new Date(signsFrom).toISOString() });
      }),
    )
    .post(
      "/auth/revoke",
      answering(async (request) => {
        const whose = validate(revocation, await bodyOf(request), "");
        return json(granted(await auth.revoke(authorization(request), whose)));
      }),
    )
    .get(
      "/auth/clients",
      answering(async (request) =>
        json({ clients: granted(await auth.listClients(authorization(request))) }),
      ),
    )
    .post(
      "/auth/clients",
      answering(async (request) => {
        const body = validate(newClient, await bodyOf(request), "");
        return json(granted(await auth.addClient(authorization(request), body)), 201);
      }),
    )
    .delete(
      "/auth/clients/:id",
      answering(async (request, { id }) => {
        granted(await auth.removeClient(authorization(request), id));
        return nothing();
      }),
    )
    .get(
      "/auth/audit",
      answering(async (request) => {
        const page = Object.fromEntries(new URL(request.url).searchParams);
        return json({ entries: granted(await auth.deeds(authorization(request), page)) });
      }),
    )
    .get(
      "/auth/users/:name",
      answering(async (request, { name }) =>
        json(granted(await auth.findPerson(authorization(request), plain(name)))),
      ),
    )
    .put(
      "/auth/users/:name/roles",
      answering(async (request, { name }) => {
        const { roles } = validate(newRoles, await bodyOf(request), "");
        return json(granted(await auth.setRoles(authorization(request), plain(name), roles)));
      }),
    )
    .post(
      "/auth/clients/:id/secrets",
      answering(async (request, { id }) =>
        json(granted(await auth.addSecret(authorization(request), id)), 201),
      ),
    )
    .delete(
      "/auth/clients/:id/secrets/:name",
      answering(async (request, { id, name }) => {
        granted(await auth.removeSecret(authorization(request), id, name));
        return nothing();
      }),
    );
  // What an address takes, and what is an address at all, is told to who may ask something here.
  return router.all(
    "/auth/*",
    answering(async (request) => {
      granted(await auth.whoIs(authorization(request)));
      const url = new URL(request.url);
      const methods = router.routes.flatMap(([method, pattern]) =>
        method !== "ALL" && pattern.test(url.pathname) ? [method] : [],
      );
      if (methods.length === 0) throw nothingAt(url);
      return wrongMethod(request, ...methods);
    }),
  );
}

/** A part of an address; what is no text stays as it is, and names nobody. */
function plain(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** JSON, or a form as OAuth clients send it (RFC 6749, 4.4.2). */
async function readFields(request: Request): Promise<object> {
  const type = mediaType(request.headers.get("content-type"));
  if (type !== "application/x-www-form-urlencoded") {
    return validate(v.looseObject({}), await readJson(request, MOST), "");
  }
  const form = new URLSearchParams(new TextDecoder().decode(await readBytes(request, MOST)));
  const names = [...form.keys()];
  if (new Set(names).size < names.length) {
    throw refusal("invalid-body", "A field came more than once.");
  }
  return Object.fromEntries(form);
}

/**
 * A client's id and secret as most OAuth libraries send them, each form-encoded (RFC 6749, 2.3.1). They go
 * before the body's.
 *
 * @throws ProblemError unauthenticated where they can't be read
 */
function basic(request: Request): { client_id?: string; client_secret?: string } {
  const sent = /^Basic +([A-Za-z0-9+/]+={0,2})$/i.exec(request.headers.get("authorization") ?? "");
  if (sent === null) return {};
  try {
    const [id = "", ...rest] = Buffer.from(sent[1]!, "base64").toString("utf8").split(":");
    const decoded = (part: string) => decodeURIComponent(part.replaceAll("+", " "));
    return { client_id: decoded(id), client_secret: decoded(rest.join(":")) };
  } catch {
    throw refusal("unauthenticated", "Basic credentials must be id:secret, each form-encoded.");
  }
}

/** The address that Cloudflare saw; it overwrites what a client says of itself. */
function addressOf(request: Request): string {
  return request.headers.get("cf-connecting-ip") ?? "unknown";
}
