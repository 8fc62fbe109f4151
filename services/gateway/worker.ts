import { passedTo } from "./answers.ts";
import { api, type GatewayEnv } from "./api.ts";
import { authRouter } from "./auth.ts";
import { openMailbox } from "./mailbox.ts";

/** First path segments that belong to a neighbour; all else is the orchestrator's. */
const neighbours = {
  kitchen: "KITCHEN",
  delivery: "DELIVERY",
  orderlog: "ORDERLOG",
} as const satisfies Record<string, keyof GatewayEnv>;

/**
 * One address for the whole shop. It forwards by service binding and holds no logic: each Worker
 * behind it asks for credentials itself.
 */
export default {
  async fetch(request: Request, env: GatewayEnv): Promise<Response> {
    const url = new URL(request.url);
    const [, first = "", ...rest] = url.pathname.split("/");
    if (first === "api") return api(request, env);
    if (request.method === "GET" && url.pathname === "/mailbox") return openMailbox(url, env);
    if (env.AUTH !== undefined && (first === "auth" || first === ".well-known")) {
      const answer = (await authRouter(env.AUTH).fetch(request)) as Response | undefined;
      if (answer !== undefined) return answer;
    }
    if (!Object.hasOwn(neighbours, first)) return env.ORCHESTRATOR.fetch(request);
    const neighbour = env[neighbours[first as keyof typeof neighbours]];
    return passedTo(neighbour, request, url, `/${rest.join("/")}`);
  },
};
