import { CloudEvent } from "cloudevents";
import { subjectOf, type Address } from "../contract/address.ts";
import type { Envelope } from "../contract/envelope.ts";

export interface Message {
  /** Who speaks: the instance, or a service about it. */
  source: string;
  /** The same on every repeat. */
  id: string;
  type: string;
  data: unknown;
  /** Milliseconds since the epoch; the same on every repeat. */
  time: number;
  about: Address;
  jurisdiction?: DurableObjectJurisdiction | undefined;
}

/** Puts a CloudEvent about an instance into a queue. Resolves when the queue has taken it. */
export async function publish(queue: Queue, message: Message): Promise<void> {
  const event = new CloudEvent({
    id: message.id,
    source: message.source,
    type: message.type,
    subject: subjectOf(message.about),
    time: new Date(message.time).toISOString(),
    datacontenttype: "application/json",
    data: message.data,
  });
  const envelope: Envelope = {
    tenant: message.about.tenant,
    ...(message.jurisdiction === undefined ? {} : { jurisdiction: message.jurisdiction }),
    event: event.toJSON(),
  };
  await queue.send(envelope, { contentType: "json" });
}
