import { connect } from "cloudflare:sockets";
import type { Dial } from "./stream-client.ts";

/** TCP, or TLS with the platform's certificates, from a Worker. */
export const dialOverSockets: Dial = ({ host, port, isTls }) => {
  const socket = connect(
    { hostname: host, port },
    { secureTransport: isTls ? "on" : "off", allowHalfOpen: false },
  );
  return {
    readable: socket.readable as ReadableStream<Uint8Array>,
    writable: socket.writable as WritableStream<Uint8Array>,
    close: () => void socket.close().catch(() => {}),
  };
};
