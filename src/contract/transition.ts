import type { JournalEntry } from "./view.ts";

/**
 * An entry of an instance's journal as it is exported: a CloudEvent whose `id` is `{epoch}-{seq}`, and
 * whose `source` names the instance, so that a repeat is known.
 */
export interface Transition {
  specversion: "1.0";
  id: string;
  /** `/{workflow}/{id}` */
  source: string;
  type: "durachart.transition";
  /** `{workflow}/{id}` */
  subject: string;
  /** ISO 8601 */
  time: string;
  datacontenttype: "application/json";
  /** An extension of ours. */
  tenant: string;
  /**
   * Where the entry is larger than the queue or the stream takes: the event's data and attributes, and what it changed of
   * context and actors, are left out; the instance's history has them.
   */
  isshortened?: true;
  data: JournalEntry;
}

/** Where transitions go. */
export interface TransitionExport {
  /** Resolves when they are safe there; they may come more than once. At most a hundred, of one instance. */
  send(transitions: readonly Transition[]): Promise<void>;
}
