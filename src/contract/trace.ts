/** W3C Trace Context, section 3.2: version, trace, parent, flags. Later versions may have more behind. */
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/**
 * The trace that a request belongs to, with a span of its own: the one that the caller names, or where it
 * names none, or a malformed one, a new one (section 4.3).
 *
 * @returns a `traceparent` to go on with
 */
export function continueTrace(traceparent: string | null | undefined): string {
  const [, version, trace, parent, flags, more] = TRACEPARENT.exec(traceparent ?? "") ?? [];
  const isKnown =
    version !== undefined &&
    version !== "ff" &&
    !(version === "00" && more !== undefined) &&
    !/^0+$/.test(trace!) &&
    !/^0+$/.test(parent!);
  return isKnown ? `00-${trace}-${random(8)}-${flags}` : `00-${random(16)}-${random(8)}-00`;
}

function random(bytes: number): string {
  let text = "";
  for (const byte of crypto.getRandomValues(new Uint8Array(bytes))) {
    text += byte.toString(16).padStart(2, "0");
  }
  return text;
}
