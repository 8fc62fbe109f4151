import * as fc from "fast-check";
import type { Role } from "./ask.ts";
import { hexadecimal, JSON_TYPE, nonsense, numbers, queries, words, type Parts } from "./parts.ts";
import { IDLE } from "./population.ts";

/** What the auth service is asked for that comes to its database and changes nothing there. */
export function auth(login: { username: string; password: string }): Record<string, Parts> {
  const post = (
    name: string,
    json: fc.Arbitrary<unknown>,
    as: fc.Arbitrary<Role | null> = fc.constant(null),
  ): Parts =>
    fc.record({ as, path: fc.constant(`/auth/${name}`), headers: fc.constant([JSON_TYPE]), json });
  const visible = hexadecimal(43);
  const administrators = fc.constantFrom<Role>("administrator", "administrator", "operator");
  const clients = fc.oneof(
    hexadecimal(10),
    words.map((word) => encodeURIComponent(word.toWellFormed()) || "x"),
  );
  const bare = (paths: fc.Arbitrary<string>): Parts =>
    fc.record({ as: administrators, path: paths });
  return {
    "POST /auth/register": post(
      "register",
      // Too short a password might grow long enough: a field is missing, of another type or one too many.
      fc.oneof(
        words.map((username) => ({ username })),
        words.map((word) => ({ ...login, more: word })),
        fc.integer().map((password) => ({ ...login, password })),
      ),
    ),
    "POST /auth/confirm": post(
      "confirm",
      fc.record({ code: fc.oneof(hexadecimal(64), words), password: words }),
    ),
    "POST /auth/login": post("login", fc.record({ username: words, password: words })),
    "POST /auth/refresh": post(
      "refresh",
      visible.map((token) => ({ refresh_token: token })),
    ),
    "POST /auth/logout": post(
      "logout",
      visible.map((token) => ({ refresh_token: token })),
    ),
    "POST /auth/token": post(
      "token",
      fc.record({
        grant_type: fc.constant("client_credentials"),
        client_id: fc.oneof(fc.constantFrom("local-staff"), hexadecimal(12)),
        client_secret: visible,
      }),
    ),
    // Of another tenant: the body may get lost, and then it is a good request.
    "POST /auth/keys/rotate": post(
      "keys/rotate",
      fc.constantFrom({}, { withdraw: true }),
      administrators,
    ).chain((part) => fc.integer({ min: 1, max: IDLE }).map((tenant) => ({ ...part, tenant }))),
    "POST /auth/revoke": post(
      "revoke",
      fc.oneof(
        fc
          .constantFrom("username", "subject", "session")
          .chain((name) => words.map((word) => ({ [name]: `none-${word}` }))),
        nonsense,
      ),
      administrators,
    ),
    "POST /auth/clients": post(
      "clients",
      fc.record({ id: clients, roles: nonsense.map((value) => [value, 1]) }),
      administrators,
    ),
    "GET /auth/audit": bare(
      fc
        .record({ after: numbers, limit: numbers }, { requiredKeys: [] })
        .map((page) => `/auth/audit?${new URLSearchParams(page).toString()}`),
    ),
    "GET /auth/users/:name": bare(
      fc.oneof(fc.constant(login.username), clients).map((name) => `/auth/users/${name}`),
    ),
    // Of nobody that is there: the roles may be good ones.
    "PUT /auth/users/:name/roles": fc.record({
      as: administrators,
      path: clients.map((name) => `/auth/users/none-${name}/roles`),
      headers: fc.constant([JSON_TYPE]),
      json: fc.oneof(fc.constant({ roles: ["customer"] }), nonsense),
    }),
    "GET /auth/clients": bare(queries.map((query) => `/auth/clients?${query}`)),
    "DELETE /auth/clients/:id": bare(clients.map((id) => `/auth/clients/none-${id}`)),
    "POST /auth/clients/:id/secrets": bare(clients.map((id) => `/auth/clients/none-${id}/secrets`)),
    "DELETE /auth/clients/:id/secrets/:name": bare(
      clients.map((id) => `/auth/clients/none-${id}/secrets/${id}`),
    ),
  };
}
