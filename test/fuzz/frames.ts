/** A WebSocket frame (RFC 6455, 5.2), right or wrong as it is asked for. */
export function frame(
  opcode: number,
  payload: Buffer,
  { final = true, masked = true, reserved = 0 } = {},
): Buffer {
  const { length } = payload;
  const first = (final ? 0x80 : 0) | reserved | opcode;
  const mask = masked ? 0x80 : 0;
  const head =
    length < 126
      ? Buffer.from([first, mask | length])
      : length < 65_536
        ? Buffer.from([first, mask | 126, length >> 8, length & 0xff])
        : Buffer.concat([Buffer.from([first, mask | 127, 0, 0, 0, 0]), lengthOf(length)]);
  // A mask of zeros leaves the payload as it is.
  return Buffer.concat([head, ...(masked ? [Buffer.alloc(4)] : []), payload]);
}

/** @param code zero for none */
export function closeFrame(code: number): Buffer {
  return frame(0x8, code === 0 ? Buffer.alloc(0) : Buffer.from([code >> 8, code & 0xff]));
}

function lengthOf(length: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(length);
  return bytes;
}
