import { cloudEventOf } from "../cloudevents/outgoing.ts";
import { realmOfOwn } from "../contract/realm.ts";
import { webhooksOf } from "../contract/webhooks.ts";
import type { TransportOf } from "../egress/transport.ts";
import { TerminalError } from "../kernel/terminal-error.ts";

/** What one event may have, as JSON: as much as a queue takes. */
const MAX_BYTES = 128_000;

/**
 * To the endpoints that the tenant has registered and that want the event's type. It is delivered for
 * the sender when the tenant's object, bound as WEBHOOKS, has it for every one of them: from there on
 * each endpoint is tried by itself.
 */
export function toWebhooks(): TransportOf<unknown> {
  return (env) => ({
    keeps: true,
    send: async (message) => {
      const { about, jurisdiction } = message;
      const scope = realmOfOwn({ tenant: about.tenant, jurisdiction });
      const webhooks = webhooksOf(env, scope);
      if (webhooks === undefined) {
        throw new Error("The object class Webhooks is not bound: bind it as WEBHOOKS.");
      }
      const body = JSON.stringify(cloudEventOf(message));
      const bytes = new TextEncoder().encode(body).byteLength;
      if (bytes > MAX_BYTES) {
        throw new TerminalError(
          `${message.type} has ${bytes} bytes; a webhook takes ${MAX_BYTES} at most`,
        );
      }
      await webhooks.receive(scope, body);
    },
  });
}
