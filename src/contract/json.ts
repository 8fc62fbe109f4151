import { refusal } from "./problem.ts";
import { checkShape } from "./shape.ts";

/** @throws ProblemError not-json, invalid-body naming the place */
export function parseJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw refusal("not-json", `The body is not JSON: ${(error as Error).message}`);
  }
  checkShape(value);
  return value;
}

/** The media type of a Content-Type, without parameters, in lower case. */
export function mediaType(contentType: string | null | undefined): string {
  return (contentType ?? "").split(";", 1)[0]!.trim().toLowerCase();
}

export function isJsonType(type: string): boolean {
  return type === "application/json" || type === "text/json" || type.endsWith("+json");
}
