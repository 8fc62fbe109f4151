import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stockTheShop } from "../../src/cli/assortment.ts";
import { configPaths, databases, quietly } from "../../src/cli/fleet.ts";
import { makeSecrets, mintToken, variablesOf } from "../../src/cli/secrets.ts";
import { copyTheShop } from "../support/shop-copy.ts";

const own = "services/auth/wrangler.toml";
const configs = configPaths.filter((path) => path !== own);
const folder = mkdtempSync(join(tmpdir(), "durachart-outside-"));
const { publicKey, privateKey } = await generateKeyPair("RS256");
// Without `alg`, as Microsoft's are.
const keySet = JSON.stringify({
  keys: [{ ...(await exportJWK(publicKey)), kid: "theirs", use: "sig" }],
});
const provider = createServer((_, response) => response.end(keySet));
const secrets = makeSecrets();

/** What the deployment is told of the provider. */
const settings = () => ({
  ...{ TOKEN_ISSUER: "https://provider.test/", TOKEN_AUDIENCE: "api://shop", TOKEN_KEYS: "" },
  TOKEN_KEYS_URL: `http://127.0.0.1:${(provider.address() as AddressInfo).port}/keys`,
  ...{ TOKEN_ALGORITHMS: "RS256", TOKEN_TYPE: "JWT" },
  TOKEN_CLAIMS: JSON.stringify({ tenant: "tid", roles: "groups" }),
});

/** A token as a provider makes it that was there before us. */
const tokenOf = (sub: string, groups: string[]) =>
  new SignJWT({ tid: "tropical", groups })
    .setProtectedHeader({ alg: "RS256", typ: "JWT", kid: "theirs" })
    .setIssuer("https://provider.test/")
    .setAudience("api://shop")
    .setSubject(sub)
    .setIssuedAt()
    .setExpirationTime("10m")
    .sign(privateKey);

let close = (): Promise<unknown> => Promise.resolve();
let shop = "";

/** As docs/auth.md says it: the service is not there, and nobody is bound to it. */
function leaveOutTheAuthService(): void {
  copyTheShop(folder);
  for (const config of configs) {
    const blocks = readFileSync(join(folder, config), "utf8").split(/^(?=\[)/m);
    const left = blocks.filter((block) => !block.includes('service = "durachart-auth"'));
    writeFileSync(join(folder, config), left.join(""));
  }
  const isOfIt = /^ {2}"services\/auth\/|"ACCOUNTS"/;
  const fleet = join(folder, "src/cli/fleet.ts");
  const lines = readFileSync(fleet, "utf8").split("\n");
  writeFileSync(fleet, lines.filter((line) => !isOfIt.test(line)).join("\n"));
}

async function call(
  token: string,
  method: string,
  path: string,
  body?: unknown,
  at: string = shop,
) {
  const response = await fetch(new URL(path, at), {
    method,
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Record<string, never> };
}

async function freePort(): Promise<string> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return String(port);
}

beforeAll(async () => {
  Object.assign(process.env, quietly);
  const { createTestHarness } = await import("wrangler");
  leaveOutTheAuthService();
  await once(provider.listen(0, "127.0.0.1"), "listening");
  const variables = { ...secrets.variables, ...settings() };
  const harness = createTestHarness({
    root: folder,
    workers: configs.map((configPath) => ({
      configPath,
      secrets: variablesOf(configPath, variables),
    })),
  });
  close = () => harness.close();
  shop = (await harness.listen()).url.href;
  for (const { worker, database, configPath } of databases) {
    if (configPath !== own) await harness.getWorker(worker).applyD1Migrations(database);
  }
  await stockTheShop(shop, await tokenOf("furnisher", ["service"]));
});

afterAll(async () => {
  await close();
  provider.close();
  rmSync(folder, { recursive: true, force: true });
});

describe("an outside provider in the place of the auth service", () => {
  it("opens every door of the shop to its own people, each as who they are", async () => {
    const carla = await tokenOf("auth0|carla", ["customer"]);
    const started = await call(carla, "POST", "/api/orders", {
      id: "outside",
      event: { type: "ADD_PIZZA", data: { id: "p", pizza: "mango-tango" } },
    });
    expect(started.status).toBe(201);
    expect((await call(carla, "GET", "/api/orders/outside")).body).toMatchObject({
      order: { workflow: "orders" },
      chat: { status: "ok" },
    });
    const said = { id: "m-1", text: "hello" };
    expect((await call(carla, "POST", "/api/chat/orders/outside/messages", said)).status).toBe(201);
    expect((await call(carla, "GET", "/api/kitchen/pending")).status).toBe(403);
    expect((await call(carla, "GET", "/kitchen/pending")).status).toBe(403);
    const staff = await tokenOf("auth0|staff", ["service"]);
    for (const path of ["/api/kitchen/pending", "/delivery/pending", "/api/log", "/orders"]) {
      expect({ path, status: (await call(staff, "GET", path)).status }).toEqual({
        ...{ path, status: 200 },
      });
    }
    const dora = await tokenOf("auth0|dora", ["customer"]);
    expect((await call(dora, "GET", "/orders/outside")).status).toBe(404);
  });

  it("leaves them closed to the tokens of anybody else", async () => {
    const ours = await mintToken(secrets, { subject: "olga", roles: ["operator"] }, "10m");
    for (const path of ["/orders", "/api/orders/outside", "/kitchen/pending", "/api/log"]) {
      expect({ path, status: (await call(ours, "GET", path)).status }).toEqual({
        ...{ path, status: 401 },
      });
    }
    const login = { username: "carla", password: "mango tango" };
    expect((await call("", "POST", "/auth/login", login)).status).toBe(401);
    const carla = await tokenOf("auth0|carla", ["customer"]);
    for (const path of ["/auth/login", "/auth/register", "/auth/token"]) {
      expect((await call(carla, "POST", path, login)).status, path).toBe(405);
    }
    expect((await call(carla, "POST", "/auth/keys/rotate")).status).toBe(404);
    expect((await call(carla, "GET", "/auth/clients")).status).toBe(404);
    expect((await call(carla, "GET", "/.well-known/jwks.json")).status).toBe(404);
    expect((await call("", "GET", "/.well-known/jwks.json")).status).toBe(401);
  });

  it("is what npm run dev says of tokens, and furnishes the shop by one of it", async () => {
    const furnisher = await tokenOf("furnisher", ["service"]);
    const port = await freePort();
    const env = { ...process.env, ...settings(), PORT: port, DURACHART_TOKEN: furnisher };
    const child = spawn(process.execPath, [join(folder, "src/cli/dev.ts")], { env });
    let said = "";
    const greeted = new Promise<void>((resolve, reject) => {
      for (const stream of [child.stdout, child.stderr]) {
        stream.on("data", (part: Buffer) => {
          said += part.toString();
          if (said.includes("The shop is open")) resolve();
        });
      }
      child.once("exit", () => reject(new Error(said)));
    });
    try {
      await greeted;
      expect(said).toContain("Tokens come from the provider");
      const carla = await tokenOf("auth0|carla", ["customer"]);
      const path = "/api/catalog/products?q=mango";
      const found = await call(carla, "GET", path, undefined, `http://localhost:${port}`);
      expect(found.status).toBe(200);
      expect(JSON.stringify(found.body)).toContain("mango-tango");
    } finally {
      child.kill("SIGTERM");
      if (child.exitCode === null) await once(child, "exit");
    }
  }, 120_000);
});
