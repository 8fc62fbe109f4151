import type { Caller } from "./caller.ts";

/** Keys are a caller's own: two callers may use the same one. */
export function dedupeByKey({ subject }: Caller, key: string): string {
  return JSON.stringify([subject, key]);
}

/** CloudEvents 1.0.2, section 3.1: source and id together are unique to the event. */
export function dedupeByCloudEvent(
  { subject }: Caller,
  { source, id }: { source: string; id: string },
): string {
  return JSON.stringify([subject, source, id]);
}
