import { refusal } from "./problem.ts";
import { checkShape } from "./shape.ts";

/** @throws ProblemError not-json, invalid-body naming the place */
export function parseJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw refusal("not-json", `The body is not JSON: ${whyNoJson(error)}`);
  }
  checkShape(value);
  return value;
}

/**
 * What is wrong with a text, by the error of `JSON.parse`. The error often quotes the text, which may hold
 * secrets: that is left out.
 */
export function whyNoJson(error: unknown): string {
  const { message } = error as Error;
  if (!message.endsWith("is not valid JSON")) return message;
  return /^Unexpected token '.'/su.exec(message)?.[0] ?? "It can't be read";
}

/** The media type of a Content-Type, without parameters, in lower case. */
export function mediaType(contentType: string | null | undefined): string {
  return (contentType ?? "").split(";", 1)[0]!.trim().toLowerCase();
}

export function isJsonType(type: string): boolean {
  return type === "application/json" || type === "text/json" || type.endsWith("+json");
}
