import type { ApiRequest } from "./api.ts";

/** `/api/orders/…` is the orchestrator's `/orders/…`. */
export function orders({ request, url, env }: ApiRequest): Promise<Response> {
  const there = new URL(url);
  there.pathname = url.pathname.replace(/^\/api/, "");
  return env.ORCHESTRATOR.fetch(new Request(there, request));
}
