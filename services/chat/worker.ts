import { WorkerEntrypoint } from "cloudflare:workers";
import { refusal } from "../../src/contract/problem.ts";
import type { ChatCalls, RoomSummary } from "../contracts/chat.ts";
import type { Asker, Reply } from "../contracts/reply.ts";
import { replying } from "../replying.ts";
import { checkOrderId, personOf, WORKFLOW } from "./door.ts";
import { Room } from "./room.ts";
import { RoomCalls } from "./rooms.ts";
import { router, type ChatEnv } from "./router.ts";

export { Room };

/** What the gateway asks of the chat. */
export class Chat extends WorkerEntrypoint<ChatEnv> implements ChatCalls {
  summary({ caller }: Asker, order: string): Promise<Reply<RoomSummary>> {
    return replying("chat", async () => {
      const [workflow, id = "", ...more] = order.split("/");
      if (workflow !== WORKFLOW || more.length > 0) {
        throw refusal("not-found", `There is no room about ${order.slice(0, 300)}.`);
      }
      checkOrderId(id);
      // Who may see an order need have no part in what is said about it.
      personOf(caller);
      return new RoomCalls(this.env.ROOMS, caller, id).summary();
    });
  }

  override fetch(request: Request): Promise<Response> {
    return router.fetch(request, this.env) as Promise<Response>;
  }
}

/** Nothing is served but by the entrypoint: the Worker has no address of its own. */
export default { fetch: (): Response => new Response(null, { status: 404 }) };
