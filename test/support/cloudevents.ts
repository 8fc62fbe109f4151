import { readCloudEvents } from "../../src/cloudevents/http.ts";
import type { ReceivedEvent } from "../../src/cloudevents/received.ts";
import { ProblemError, type Problem } from "../../src/contract/problem.ts";

export const required = { specversion: "1.0", id: "a-1", source: "/kitchen", type: "PIZZA_READY" };

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

export const structuredText = (
  body: string,
  type = "application/cloudevents+json",
): ReceivedEvent => {
  const arrived = readCloudEvents(new Headers({ "Content-Type": type }), bytes(body));
  if ("batch" in arrived) throw new Error("A batch");
  return arrived.event;
};
export const structured = (attributes: object, type?: string): ReceivedEvent =>
  structuredText(JSON.stringify({ ...required, ...attributes }), type);

export const binary = (
  attributes: Record<string, string>,
  body: string | Uint8Array = "",
  contentType: string | null = "application/json",
): ReceivedEvent => {
  const headers = new Headers(contentType === null ? {} : { "Content-Type": contentType });
  for (const [name, value] of Object.entries({ ...required, ...attributes })) {
    headers.set(`ce-${name}`, value);
  }
  const arrived = readCloudEvents(headers, typeof body === "string" ? bytes(body) : body);
  if ("batch" in arrived) throw new Error("A batch");
  return arrived.event;
};

export function problemOf(act: () => unknown): Problem {
  try {
    act();
  } catch (error) {
    if (error instanceof ProblemError) return error.problem;
    throw error;
  }
  throw new Error("It was taken");
}
