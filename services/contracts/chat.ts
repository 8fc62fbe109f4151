import type { Asker, Reply } from "./reply.ts";

/** Which part somebody has in an order's room. */
export type Part = "customer" | "shop" | "courier";

/** A message as all see it. */
export interface ChatMessage {
  /** 1, 2, 3 … in one room, without gaps. */
  seq: number;
  /** The sender's own id of it: said twice, it is there once. */
  id: string;
  from: { subject: string; part: Part };
  /** Plain text; 1 to 2,000 characters. */
  text: string;
  /** ISO 8601. */
  at: string;
}

/** An order's room at a glance. */
export interface RoomSummary {
  order: string;
  messages: number;
  last: ChatMessage | null;
  /** Who has it open. */
  present: { subject: string; part: Part }[];
  /** Where its WebSocket is, behind the gateway: `/api/chat/orders/{id}/stream`. */
  stream: string;
}

/**
 * What the gateway asks of the chat by RPC, of its entrypoint `Chat`; its WebSockets, tickets and history go
 * there as requests (`fetch` of the same entrypoint). Who may enter an order's room is who may see the
 * order: the orchestrator says.
 */
export interface ChatCalls {
  /** @param order `{workflow}/{id}`, which the asker is known to see */
  summary(asker: Asker, order: string): Promise<Reply<RoomSummary>>;
}
