import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { createRouter } from "../../src/ingress/router.ts";
import { call } from "../support/client.ts";

/** All routes of the orchestrator, as its router has them. */
const routes = createRouter(new Map()).routes.map(([method, , , path]) => ({
  method: method === "ALL" ? "PATCH" : method,
  path: path!
    .replace(":workflow", "orders")
    .replaceAll(/:\w+/g, "x")
    .replace(/^\*$/, "/nowhere/at/all/here"),
}));

/** Open to all: a health check, and the handshake of CloudEvents' webhooks, which tells nothing. */
const open = new Set(["GET /healthz", "OPTIONS /events", "OPTIONS /orders/x/events"]);

describe("without a token", () => {
  it("all routes are looked at", () => {
    const found = routes.map(({ method, path }) => `${method} ${path}`);
    expect(found.length).toBeGreaterThan(60);
    for (const one of [...open, "POST /webhooks/x/rotate", "POST /orders/x/rewind"]) {
      expect(found).toContain(one);
    }
  });

  it.each(routes.filter(({ method, path }) => !open.has(`${method} ${path}`)))(
    "$method $path is 401",
    async ({ method, path }) => {
      for (const authorization of [undefined, "Bearer x.y.z", "Basic eDp5", "Bearer"]) {
        const headers: Record<string, string> =
          authorization === undefined ? {} : { Authorization: authorization };
        const body = method === "GET" ? {} : { body: {} };
        const answer = await call(method, path, { as: null, headers, ...body });
        expect(answer.status).toBe(401);
        expect(answer.headers.get("www-authenticate")).toBe("Bearer");
        expect(JSON.stringify(answer.body)).not.toContain(env.TOKEN_ISSUER);
      }
    },
  );
});
