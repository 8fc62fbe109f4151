import type { TransportOf } from "../egress/transport.ts";
import { memberOf, type Order } from "./broker.ts";
import { httpTransport } from "./http.ts";
import { MEMBERS, memberAt, type RabbitSettings } from "./pool.ts";

/**
 * To a queue of RabbitMQ where the deployment has one, by AMQP (`RABBITMQ_URL`) or by its HTTP API
 * (`RABBITMQ_HTTP_URL`); otherwise by another transport.
 *
 * @param to the queue's name
 */
export function overRabbitMQ(
  to: string,
  otherwise: TransportOf<unknown>,
  { members = MEMBERS }: { members?: number } = {},
): TransportOf<unknown> {
  return (env) => {
    const settings = env as RabbitSettings;
    if (settings.RABBITMQ_URL !== undefined) {
      return {
        send: (message) => {
          const order: Order = { to, message };
          const member = memberAt(settings, memberOf(message, members));
          return member.publish(JSON.stringify(order));
        },
      };
    }
    const { RABBITMQ_HTTP_URL } = settings;
    return RABBITMQ_HTTP_URL === undefined ? otherwise(env) : httpTransport(RABBITMQ_HTTP_URL, to);
  };
}
