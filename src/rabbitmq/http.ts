import type { Message } from "../contract/message.ts";
import type { Transport } from "../egress/transport.ts";
import type { AMQPProperties } from "@cloudamqp/amqp-client/amqp-properties";
import { publicationOf } from "./message.ts";

/**
 * Publishes by the management API, for brokers that can't be reached by TCP. One request a message, in
 * no order; `routed` says that a queue has taken it. How soon it is on a disk this API doesn't promise.
 *
 * @param base `https://user:password@host/vhost`
 */
export function httpTransport(base: string, to: string): Transport {
  return {
    send: async (message, signal) => {
      const { address, authorization } = apiOf(base);
      const { exchange, routingKey, ...rest } = publicationOf(to, message);
      const response = await fetch(`${address}/${encodeURIComponent(exchange)}/publish`, {
        method: "POST",
        redirect: "manual",
        headers: { Authorization: authorization, "Content-Type": "application/json" },
        body: JSON.stringify({
          routing_key: routingKey,
          properties: propertiesOf(rest.properties, message),
          payload: new TextDecoder().decode(rest.body),
          payload_encoding: "string",
        }),
        ...(signal === undefined ? {} : { signal }),
      });
      const text = await response.text();
      // 400 and 404 too are worth another try: the topology may be yet to come.
      if (response.status !== 200) {
        throw new Error(`RabbitMQ's API answered ${response.status}: ${text.slice(0, 500)}`);
      }
      if ((JSON.parse(text) as { routed?: boolean }).routed === true) return;
      throw new Error(
        `RabbitMQ has no queue for ${routingKey} at the exchange "${exchange}"; declare the topology: npm run rabbitmq -- declare`,
      );
    },
  };
}

function propertiesOf({ contentType, messageId, headers }: AMQPProperties, { time }: Message) {
  return {
    delivery_mode: 2,
    content_type: contentType,
    message_id: messageId,
    timestamp: Math.floor(time / 1_000),
    headers,
  };
}

/** @throws Error that doesn't repeat the password */
function apiOf(base: string): { address: string; authorization: string } {
  const url = URL.canParse(base) ? new URL(base) : null;
  const isLocal = url !== null && /^(?:localhost|127\.0\.0\.1|\[::1\])$/.test(url.hostname);
  if (url === null || !(url.protocol === "https:" || (url.protocol === "http:" && isLocal))) {
    throw new Error("RABBITMQ_HTTP_URL must be https://user:password@host/vhost.");
  }
  const vhost = decodeURIComponent(url.pathname.slice(1)) || "/";
  const who = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  return {
    address: `${url.origin}/api/exchanges/${encodeURIComponent(vhost)}`,
    authorization: `Basic ${btoa(who)}`,
  };
}
