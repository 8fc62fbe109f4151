/** Where a broker is, and who we are to it. */
export interface Endpoint {
  host: string;
  port: number;
  isTls: boolean;
  vhost: string;
  username: string;
  password: string;
}

/**
 * @param url `amqp://` or `amqps://user:password@host:port/vhost`, as RabbitMQ's URI specification has it
 * @throws Error that doesn't repeat the password
 */
export function endpointOf(url: string): Endpoint {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed === null || !/^amqps?:$/.test(parsed.protocol) || parsed.hostname === "") {
    throw new Error("RABBITMQ_URL must be amqp:// or amqps://user:password@host:port/vhost.");
  }
  const isTls = parsed.protocol === "amqps:";
  return {
    host: parsed.hostname.replace(/^\[|\]$/g, ""),
    port: parsed.port === "" ? (isTls ? 5671 : 5672) : Number(parsed.port),
    isTls,
    vhost: decodeURIComponent(parsed.pathname.slice(1)) || "/",
    username: decodeURIComponent(parsed.username) || "guest",
    password: decodeURIComponent(parsed.password) || "guest",
  };
}
