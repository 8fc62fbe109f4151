import type { Whose } from "../../src/contract/realm.ts";
import type { Asker, Reply } from "./reply.ts";

/** What registrations ask, by service binding to the entrypoint `Drawing`. May be said again. */
export interface DrawingCalls {
  /** Draws a user's picture from her id, and keeps it. @returns where the gateway has it */
  draw(whose: Whose, subject: string): Promise<Reply<{ path: string }>>;
}

/** What the gateway asks, by service binding to the entrypoint `Avatars`. */
export interface AvatarCalls {
  /** The picture of a user of the asker's realm as HTTP has it: 200, 304 or 404. */
  avatar(asker: Asker, subject: string, ifNoneMatch: string | null): Promise<Response>;
}
