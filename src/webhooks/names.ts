import { createHash } from "node:crypto";

/** What an event is called at an endpoint: the same on every repeat, and never another's. */
export function deliveryId(endpoint: string, source: string, message: string): string {
  return `msg_${hashOf(JSON.stringify([endpoint, source, message])).slice(0, 32)}`;
}

/** SHA-256, so that what is remembered of an erased instance doesn't name it. */
export function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("base64url");
}

export function newEndpointId(): string {
  return `ep_${crypto.randomUUID().replaceAll("-", "")}`;
}
