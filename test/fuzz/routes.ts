import { readdirSync, readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { configPaths, root } from "../../src/cli/fleet.ts";

/** A route of one of the shop's Workers, as its own router has it. */
export interface Route {
  /** The Worker's folder: `gateway`, `kitchen`, … or `orchestrator`. */
  worker: string;
  /** `ALL` for one that takes whatever its neighbours don't. */
  method: string;
  /** As it is reached through the gateway, parameters named: `/kitchen/pending`, `/:workflow/:id`. */
  path: string;
  /** What other routes of the same path take. */
  taken: readonly string[];
}

type Entry = [method: string, pattern: RegExp, handlers: unknown[], path: string];
interface Table {
  routes: Entry[];
}

/** Sources that make a router. One more than these has routes that nobody would find. */
const withRouters = new Set([
  "services/chat/router.ts",
  "services/gateway/auth.ts",
  "services/orderlog/worker.ts",
  "services/station/worker.ts",
  "src/ingress/router.ts",
]);

/** Where the gateway shows a Worker's routes. */
const prefixes: Record<string, string> = {
  orchestrator: "",
  gateway: "",
  auth: "",
  kitchen: "/kitchen",
  delivery: "/delivery",
  orderlog: "/orderlog",
  chat: "/api/chat",
  // Reached by RPC alone: the gateway maps their addresses.
  catalog: "",
  support: "",
  mailer: "",
  avatars: "",
};

/** What the gateway answers under `/api` without a router: it maps addresses to its neighbours' methods. */
const mapped = [
  ...["GET /api/catalog/products", "GET /api/catalog/products/:id"],
  ...["PUT /api/catalog/products/:id", "DELETE /api/catalog/products/:id"],
  ...["GET /api/catalog/products/:id/stock", "PUT /api/catalog/products/:id/stock"],
  ...["PUT /api/catalog/products/:id/picture", "GET /api/catalog/pictures/:hash"],
  ...["POST /api/orders", "GET /api/orders/:id", "POST /api/orders/:id/events"],
  ...["POST /api/support/questions", "GET /api/support/documents"],
  ...["PUT /api/support/documents/:id", "DELETE /api/support/documents/:id"],
  ...["GET /api/avatars/:subject", "GET /api/mailbox", "ALL /api/*"],
  ...["GET /api/log", "GET /api/kitchen/pending", "POST /api/kitchen/finish-next"],
].map((route): Route => {
  const [method = "", path = ""] = route.split(" ");
  return { worker: "gateway", method, path, taken: [] };
});

/** What the runtime has and Node hasn't: enough for the Workers' modules to be loaded. */
const runtime = `
  export class DurableObject {}
  export class WorkerEntrypoint {}
  export class RpcTarget {}
  export const waitUntil = () => {};
  export const connect = () => {};
  export const env = {};
`;

const made: Table[] = [];

/** Itty's own, noting each router that is made. */
function noteRouters(): void {
  (globalThis as { fuzzedRouters?: Table[] }).fuzzedRouters = made;
  const itty = import.meta.resolve("itty-router");
  const noting = `
    export * from ${JSON.stringify(`${itty}?own`)};
    import { Router as Own } from ${JSON.stringify(`${itty}?own`)};
    export const Router = (options) => {
      const router = Own(options);
      globalThis.fuzzedRouters.push(router);
      return router;
    };`;
  const asModule = (source: string) => `data:text/javascript,${encodeURIComponent(source)}`;
  registerHooks({
    resolve(specifier, context, next) {
      if (specifier.startsWith("cloudflare:")) {
        return { url: asModule(runtime), shortCircuit: true };
      }
      if (specifier === "itty-router") return { url: asModule(noting), shortCircuit: true };
      return next(specifier, context);
    },
  });
}

/**
 * Every route of every Worker of the shop, from the routers themselves.
 *
 * @throws Error where a Worker or a router is not known here: its routes would not be fuzzed
 */
export async function allRoutes(): Promise<Route[]> {
  const sources = ["src", "services"].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts"))
      .map((file) => join(folder, file)),
  );
  const unknown = sources.filter(
    (file) =>
      /\bRouter\b.*from "itty-router"/.test(readFileSync(join(root, file), "utf8")) &&
      !withRouters.has(file),
  );
  if (unknown.length > 0) {
    throw new Error(`${unknown.join(", ")} makes a router. Name it in test/fuzz/routes.ts.`);
  }
  noteRouters();
  const found: Route[] = [];
  for (const configPath of configPaths) {
    const folder = dirname(configPath);
    const worker = folder === "." ? "orchestrator" : folder.split("/").at(-1)!;
    const prefix = prefixes[worker];
    if (prefix === undefined) {
      throw new Error(`${configPath} is a new Worker. Name its prefix in test/fuzz/routes.ts.`);
    }
    const [, main] = /^main = "(.+)"$/m.exec(readFileSync(join(root, configPath), "utf8"))!;
    made.length = 0;
    await import(pathToFileURL(join(root, folder, main!)).href);
    if (worker === "gateway") {
      // It is made anew for each request.
      const { authRouter } = await import("../../services/gateway/auth.ts");
      authRouter({} as never);
    }
    for (const { routes } of made) found.push(...routes.map((one) => routeOf(worker, prefix, one)));
  }
  found.push(...mapped);
  return found.map((route) => ({ ...route, taken: takenBeside(route, found) }));
}

function routeOf(worker: string, prefix: string, [method, , , path]: Entry): Route {
  const whole = path.startsWith("/") ? path : `/${path}`;
  return { worker, method, path: prefix + whole, taken: [] };
}

function takenBeside(route: Route, all: readonly Route[]): string[] {
  return all
    .filter(({ path, method }) => path === route.path && method !== "ALL")
    .map(({ method }) => method);
}
