import { isJsonType, mediaType, parseJson } from "../contract/json.ts";
import { refusal } from "../contract/problem.ts";

export function isJson(contentType: string): boolean {
  return isJsonType(mediaType(contentType));
}

/**
 * An event's data, whose bytes came by themselves: JSON as its value, text as a string, all else as base64.
 *
 * @throws ProblemError not-json, invalid-body, unsupported-media-type
 */
export function dataOfBytes(bytes: Uint8Array, contentType: string): unknown {
  const type = mediaType(contentType);
  if (isJsonType(type)) return parseJson(textOf(bytes));
  if (type.startsWith("text/")) return textOf(bytes);
  return base64Of(bytes);
}

export function base64Of(bytes: Uint8Array): string {
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
}

/** @throws ProblemError not-json where the bytes are no UTF-8 */
export function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch {
    throw refusal("not-json", "The body is not UTF-8.");
  }
}
