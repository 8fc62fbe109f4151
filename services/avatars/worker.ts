import { WorkerEntrypoint } from "cloudflare:workers";
import { realmOf, realmOfOwn, type Whose } from "../../src/contract/realm.ts";
import { errorResponse } from "../../src/ingress/respond.ts";
import type { AvatarCalls, DrawingCalls } from "../contracts/avatars.ts";
import type { Asker, Reply } from "../contracts/reply.ts";
import { replying } from "../replying.ts";
import { keepAvatar, showAvatar } from "./store.ts";

/** What registrations may ask, by the orchestrator's binding and no other. */
export class Drawing extends WorkerEntrypoint implements DrawingCalls {
  draw(whose: Whose, subject: string): Promise<Reply<{ path: string }>> {
    return replying("avatars", async () => {
      return { path: await keepAvatar(this.env, realmOfOwn(whose), subject) };
    });
  }
}

/** What the gateway may ask. It has verified who is asking. */
export class Avatars extends WorkerEntrypoint implements AvatarCalls {
  async avatar({ caller }: Asker, subject: string, ifNoneMatch: string | null): Promise<Response> {
    try {
      return await showAvatar(this.env, realmOf(caller), subject, ifNoneMatch);
    } catch (error) {
      return errorResponse(error);
    }
  }
}

export default {
  /** Nothing is served over HTTP: the Worker has no address of its own. */
  fetch: (): Response => new Response(null, { status: 404 }),
};
