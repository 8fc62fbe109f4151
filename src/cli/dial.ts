import { connect as connectTcp, isIP } from "node:net";
import { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import type { Dial } from "../rabbitmq/stream-client.ts";

/** TCP or TLS from Node. */
export const dialFromNode: Dial = ({ host, port, isTls }) => {
  const socket = isTls
    ? connectTls({ host, port, ...(isIP(host) ? {} : { servername: host }) })
    : connectTcp({ host, port });
  socket.setNoDelay(true);
  // Whoever reads is told by the stream; without a listener Node would end the process.
  socket.on("error", () => {});
  const { readable, writable } = Duplex.toWeb(socket);
  return {
    readable: readable as unknown as ReadableStream<Uint8Array>,
    writable: writable as unknown as WritableStream<Uint8Array>,
    close: () => void socket.destroy(),
  };
};
