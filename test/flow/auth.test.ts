import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root, startEphemeralFleet } from "../../src/cli/fleet.ts";
import { makeSecrets, tokenOf, withAuthService } from "../../src/cli/secrets.ts";
import { mailedCode, signUp } from "../../src/cli/sign-up.ts";

/** The whole shop, its doors opened by its own auth service. */
let fleet: Awaited<ReturnType<typeof startEphemeralFleet>>;
const secrets = makeSecrets();
let staff: string;

beforeAll(async () => {
  fleet = await startEphemeralFleet({ ...secrets, variables: withAuthService(secrets) });
  staff = await tokenOf(fleet.url, secrets.clients.staff);
});
afterAll(() => fleet.close());

interface Answer {
  status: number;
  headers: Headers;
  body: Record<string, unknown>;
}

async function call(
  method: string,
  path: string,
  { token, body, headers = {} }: { token?: string; body?: unknown; headers?: object } = {},
): Promise<Answer> {
  const response = await fetch(new URL(path, fleet.url), {
    method,
    headers: {
      ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: (text === "" ? {} : JSON.parse(text)) as Record<string, unknown>,
  };
}

const login = () => ({
  username: `carla-${crypto.randomUUID()}@example.test`,
  password: "mango tango",
});
const text = (answer: Answer, field: string) => answer.body[field] as string;

describe("a customer", () => {
  const who = login();

  it("registers, confirms, orders, refreshes and logs out", async () => {
    const registered = await call("POST", "/auth/register", { body: who });
    expect(registered).toMatchObject({ status: 202, body: { status: "accepted" } });
    expect(await call("POST", "/auth/register", { body: who })).toMatchObject({
      ...{ status: 202, body: registered.body },
    });
    const code = await mailedCode(fleet.url, staff, who.username);
    const granted = await call("POST", "/auth/confirm", { body: { code, password: who.password } });
    expect(granted).toMatchObject({ status: 200, body: { token_type: "Bearer", expires_in: 600 } });
    expect(granted.headers.get("cache-control")).toBe("no-store");
    const id = `auth-${crypto.randomUUID()}`;
    const order = { id, event: { type: "ADD_PIZZA", data: { id: "p1", pizza: "mango-tango" } } };
    const token = text(granted, "access_token");
    expect(await call("POST", "/orders", { token, body: order })).toMatchObject({ status: 201 });
    // She is a customer and nothing else: the stations, operators' and administrators' doors are closed.
    for (const [method, path] of [
      ["GET", "/kitchen/pending"],
      ["GET", "/delivery/pending"],
      ["GET", "/orderlog/log"],
      ["POST", `/orders/${id}/pause`],
      ["GET", "/auth/clients"],
      ["POST", "/auth/keys/rotate"],
    ] as const) {
      expect((await call(method, path, { token })).status, path).toBe(403);
    }
    const body = { refresh_token: text(granted, "refresh_token") };
    const next = await call("POST", "/auth/refresh", { body });
    const newer = text(next, "access_token");
    expect(await call("GET", `/orders/${id}`, { token: newer })).toMatchObject({ status: 200 });
    const last = { refresh_token: text(next, "refresh_token") };
    expect((await call("POST", "/auth/logout", { body: last })).status).toBe(204);
    expect((await call("POST", "/auth/refresh", { body: last })).status).toBe(401);
    expect((await call("POST", "/auth/logout", { body: last })).status).toBe(204);
    expect((await call("POST", "/auth/login", { body: who })).status).toBe(200);
  });

  it("can't make herself more than a customer", async () => {
    const body = { ...login(), roles: ["administrator"], tenant: "elsewhere" };
    expect(await call("POST", "/auth/register", { body })).toMatchObject({ status: 422 });
  });

  it("is answered alike with a wrong password and as somebody unknown, and slowed down", async () => {
    const headers = { "CF-Connecting-IP": "203.0.113.9" };
    const wrong = { ...who, password: "something else" };
    const answers = [];
    const unconfirmed = login();
    await call("POST", "/auth/register", { body: unconfirmed });
    for (const body of [wrong, { ...wrong, username: "nobody-is-called-so" }, unconfirmed]) {
      answers.push(await call("POST", "/auth/login", { body, headers }));
    }
    expect(answers[0]!.status).toBe(401);
    for (const { body } of answers) expect(body).toEqual(answers[0]!.body);
    let answer = answers[0]!;
    for (let tries = 0; tries < 10 && answer.status === 401; tries += 1) {
      answer = await call("POST", "/auth/login", { body: wrong, headers });
    }
    expect(answer.status).toBe(429);
    expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
  });
});

describe("an administrator", () => {
  it("makes somebody staff, who then gets in where she didn't", async () => {
    const who = login();
    const token = await signUp(fleet.url, staff, who);
    const path = `/auth/users/${encodeURIComponent(who.username)}`;
    const shown = await call("GET", path, { token: staff });
    expect(shown).toMatchObject({ status: 200, body: { username: who.username } });
    for (const by of [token, staff]) {
      const body = { roles: ["service"] };
      const given = await call("PUT", `${path}/roles`, { token: by, body });
      expect(given.status).toBe(by === staff ? 200 : 403);
    }
    expect((await call("PUT", `${path}/roles`, { token: staff, body: {} })).status).toBe(422);
    expect((await call("GET", "/auth/users/%ff", { token: staff })).status).toBe(404);
    const { body } = await call("GET", "/auth/audit?limit=1000", { token: staff });
    const [last] = (body["entries"] as object[]).slice(-1);
    const about = { username: who.username, roles: ["service"] };
    expect(last).toMatchObject({ what: "roles.set", subject: "client:local-staff", about });
    const granted = await call("POST", "/auth/login", { body: who });
    const newer = text(granted, "access_token");
    expect(await call("GET", "/kitchen/pending", { token: newer })).toMatchObject({ status: 200 });
  });
});

describe("a machine", () => {
  it("gets a token as OAuth clients ask for it, and as JSON", async () => {
    const { id, secret } = secrets.clients.staff;
    const fields = { grant_type: "client_credentials", client_id: id, client_secret: secret };
    const form = await fetch(new URL("/auth/token", fleet.url), {
      method: "POST",
      body: new URLSearchParams({ ...fields, scope: "dead-letters" }),
    });
    expect(await form.json()).toMatchObject({ expires_in: 3_600, scope: "dead-letters" });
    const encoded = `${encodeURIComponent(id)}:${encodeURIComponent(secret)}`;
    const basic = await fetch(new URL("/auth/token", fleet.url), {
      method: "POST",
      headers: { Authorization: `Basic ${Buffer.from(encoded).toString("base64")}` },
      body: new URLSearchParams({ grant_type: "client_credentials" }),
    });
    expect(await basic.json()).toMatchObject({ token_type: "Bearer", expires_in: 3_600 });
    const json = await call("POST", "/auth/token", { body: fields });
    const token = text(json, "access_token");
    expect(await call("GET", "/dead-letters", { token })).toMatchObject({ status: 200 });
    for (const [more, status] of [
      [{ client_secret: "wrong" }, 401],
      [{ client_id: "nobody" }, 401],
      [{ scope: "everything" }, 403],
      [{ roles: ["administrator"] }, 422],
      [{ grant_type: "password" }, 422],
    ] as const) {
      const answer = await call("POST", "/auth/token", { body: { ...fields, ...more } });
      expect(answer.status).toBe(status);
    }
  });

  it("is added, given another secret and removed by an administrator", async () => {
    const id = `till-${crypto.randomUUID().slice(0, 8)}`;
    const body = { id, roles: ["service"] };
    const made = await call("POST", "/auth/clients", { token: staff, body });
    expect(made).toMatchObject({ status: 201, body: { id, tenant: "tropical" } });
    const token = await tokenOf(fleet.url, { id, secret: text(made, "secret") });
    expect(await call("GET", "/kitchen/pending", { token })).toMatchObject({ status: 200 });
    const second = await call("POST", `/auth/clients/${id}/secrets`, { token: staff });
    const first = `/auth/clients/${id}/secrets/${text(made, "name")}`;
    expect((await call("DELETE", first, { token: staff })).status).toBe(204);
    await tokenOf(fleet.url, { id, secret: text(second, "secret") });
    await expect(tokenOf(fleet.url, { id, secret: text(made, "secret") })).rejects.toThrow();
    expect((await call("DELETE", `/auth/clients/${id}`, { token: staff })).status).toBe(204);
    const { clients } = (await call("GET", "/auth/clients", { token: staff })).body;
    expect(clients).toEqual([]);
    const { status, body: told } = await call("GET", "/auth/login", { token: staff });
    expect({ status, told }).toMatchObject({
      status: 405,
      told: { detail: expect.stringContaining("it takes POST.") },
    });
    expect((await call("PATCH", "/auth/nothing", { token: staff })).status).toBe(404);
    expect((await call("GET", "/auth/login", {})).status).toBe(401);
  });
});

describe("the keys", () => {
  it("are public, and rotated by an administrator without a refused request", async () => {
    const before = await call("GET", "/.well-known/jwks.json");
    expect(before.headers.get("cache-control")).toBe("public, max-age=300");
    expect(JSON.stringify(before.body)).not.toContain(`"d"`);
    const rotated = await call("POST", "/auth/keys/rotate", { token: staff });
    expect(Date.parse(text(rotated, "signsFrom"))).toBeGreaterThan(Date.now() + 500_000);
    const after = (await call("GET", "/.well-known/jwks.json")).body["keys"] as { kid: string }[];
    expect(after.map(({ kid }) => kid)).toContain(text(rotated, "kid"));
    const newer = await tokenOf(fleet.url, secrets.clients.staff);
    for (const token of [staff, newer]) {
      expect((await call("GET", "/kitchen/pending", { token })).status).toBe(200);
    }
  });
});

/** Every route that a source file of a router declares, by its method. */
function routesOf(file: string): [string, string][] {
  const source = readFileSync(join(root, file), "utf8");
  const found = source.matchAll(/\.(get|post|put|delete|options|all)\(\s*"([^"]+)"/g);
  return [...found].map(([, method, path]) => [
    method === "all" ? "PATCH" : method!.toUpperCase(),
    path!.replaceAll(/:[a-z0-9]+/g, "x"),
  ]);
}

describe("without a token", () => {
  /** What carries credentials of its own in its body, or is public. */
  const open = new Set([
    "POST /auth/register",
    "POST /auth/confirm",
    "POST /auth/login",
    "POST /auth/refresh",
    "POST /auth/logout",
    "POST /auth/token",
    "GET /.well-known/jwks.json",
    "GET /healthz",
    "GET /kitchen/healthz",
    "GET /delivery/healthz",
    "GET /orderlog/healthz",
    // A page without any data: test/flow/registration.test.ts.
    "GET /mailbox",
    // The handshake of CloudEvents' webhooks.
    "OPTIONS /events",
    "OPTIONS /x/x/events",
  ]);
  const at = (prefix: string, file: string) =>
    routesOf(file).map(([method, path]) => [method, prefix + path] as [string, string]);
  const routes = [
    ...routesOf("src/ingress/router.ts"),
    ...at("", "services/gateway/auth.ts"),
    ...at("/kitchen", "services/station/worker.ts"),
    ...at("/delivery", "services/station/worker.ts"),
    ...at("/orderlog", "services/orderlog/worker.ts"),
    ...at("/api/chat", "services/chat/router.ts"),
    ...(["GET", "POST"].map((method) => [method, "/mailbox"]) as [string, string][]),
    ...(["/api/mailbox", "/api/avatars/x"].map((path) => ["GET", path]) as [string, string][]),
    ...(["/auth", "/auth/x", "/.well-known/x", "/", "/nowhere/at/all", "/kitchen"].map((path) => [
      "GET",
      path,
    ]) as [string, string][]),
    ...(["/auth/login", "/auth/token", "/.well-known/jwks.json"].map((path) => [
      "DELETE",
      path,
    ]) as [string, string][]),
  ].filter(([, path]) => path !== "*" && !path.endsWith("*"));

  it("all of the routes are found", () => {
    // What the orchestrator's router makes in loops is in test/ingress/closed-doors.test.ts.
    expect(routes.length).toBeGreaterThan(70);
    const found = new Set(routes.map(([method, path]) => `${method} ${path}`));
    for (const route of open) expect(found).toContain(route);
  });

  it("every route is 401, but for those that are open to all", async () => {
    for (const [method, path] of routes) {
      if (open.has(`${method} ${path}`)) continue;
      const body = method === "GET" || method === "OPTIONS" ? {} : { body: {} };
      for (const headers of [
        {},
        { Authorization: "Bearer x.y.z" },
        { Authorization: "Basic eDp5" },
      ]) {
        const answer = await call(method, path, { ...body, headers });
        expect(answer.status, `${method} ${path} ${JSON.stringify(headers)}`).toBe(401);
        expect(answer.headers.get("www-authenticate")).toBe("Bearer");
      }
    }
  });

  it("the open ones that ask for credentials of their own refuse what is none", async () => {
    for (const [path, body, status] of [
      ["/auth/login", { username: "nobody", password: "whatever" }, 401],
      ["/auth/confirm", { code: "x", password: "whatever" }, 401],
      ["/auth/refresh", { refresh_token: "x" }, 401],
      ["/auth/logout", { refresh_token: "x" }, 204],
      [
        "/auth/token",
        { grant_type: "client_credentials", client_id: "x", client_secret: "x" },
        401,
      ],
    ] as const) {
      expect((await call("POST", path, { body })).status, path).toBe(status);
      expect((await call("POST", path, { body: { ...body, more: 1 } })).status, path).toBe(422);
      expect((await call("POST", path, { body: "{" })).status, path).toBe(400);
      const large = { ...body, more: "x".repeat(20_000) };
      expect((await call("POST", path, { body: large })).status, path).toBe(413);
    }
  });
});
