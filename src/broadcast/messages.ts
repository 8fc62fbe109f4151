import { CloudEvent } from "cloudevents";
import type { Receipt } from "../contract/requests.ts";
import type { JournalEntry, View } from "../contract/view.ts";

/** What a watcher is sent: CloudEvents in the JSON format, about one instance. */
export interface Subject {
  workflow: string;
  id: string;
}

export function viewMessage(view: View): string {
  const id = `${view.epoch}-${view.seq}-view`;
  return message(view, id, "durachart.view", view.updatedAt, view);
}

export function transitionMessage(subject: Subject, entry: JournalEntry): string {
  return message(subject, `${entry.epoch}-${entry.seq}`, "durachart.transition", entry.at, entry);
}

/**
 * Asks a watcher whether it has read so far; the answer is `confirm <mark>`.
 *
 * @param upTo `{epoch}-{seq}` of what it was sent last
 */
export function confirmMessage(subject: Subject, upTo: string, mark: number, at: number): string {
  const time = new Date(at).toISOString();
  return message(subject, `${upTo}-confirm`, "durachart.confirm", time, { seq: mark });
}

/** What became of an event that a watcher sent over its socket. */
export function receiptMessage(
  subject: Subject,
  of: { source?: string; id?: string },
  { ok: _, ...receipt }: Receipt,
  at: number,
): string {
  const time = new Date(at).toISOString();
  return message(subject, crypto.randomUUID(), "durachart.receipt", time, { of, ...receipt });
}

function message(
  { workflow, id: about }: Subject,
  id: string,
  type: string,
  time: string,
  data: unknown,
) {
  const subject = `${workflow}/${about}`;
  const datacontenttype = "application/json";
  const event = new CloudEvent({
    id,
    source: `/${subject}`,
    type,
    subject,
    time,
    datacontenttype,
    data,
  });
  return JSON.stringify(event);
}
