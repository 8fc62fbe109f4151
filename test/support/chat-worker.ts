import { router, type ChatEnv } from "../../services/chat/router.ts";
import { durachart } from "../../src/index.ts";
import { workflows } from "../../machines/index.ts";

/** Orders and their chat in one Worker, for the test that kills it: `/chat/…`, and in `/written` what D1 has. */
const app = durachart({ workflows });

type Env = ChatEnv & Parameters<typeof app.fetch>[1];

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const url = new URL(request.url);
    if (url.pathname === "/written") {
      const rows = env.CHAT_DB.prepare("SELECT id, seq FROM messages ORDER BY seq");
      return Response.json((await rows.all()).results);
    }
    if (!url.pathname.startsWith("/chat/")) return app.fetch(request, env);
    url.pathname = url.pathname.replace("/chat", "");
    const ORCHESTRATOR = {
      fetch: (address: string, init: RequestInit) => app.fetch(new Request(address, init), env),
    } as unknown as Fetcher;
    return router.fetch(new Request(url, request), { ...env, ORCHESTRATOR }) as Promise<Response>;
  },
  queue: app.queue,
};
export const { Instance, Tenant } = app;
export { Room } from "../../services/chat/room.ts";
