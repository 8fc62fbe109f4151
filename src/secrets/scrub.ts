import { isTerminal, TerminalError } from "../kernel/terminal-error.ts";

/** Shorter values occur by chance. */
const SHORTEST = 3;

const INSTEAD = "[secret]";

/** A value as it is, and as texts carry it. */
function formsOf(values: readonly string[]): string[] {
  return values
    .filter(({ length }) => length >= SHORTEST)
    .flatMap((value) => [
      value,
      JSON.stringify(value).slice(1, -1),
      encodeURIComponent(value.toWellFormed()),
      Buffer.from(value).toString("base64").replace(/=+$/, ""),
      Buffer.from(value).toString("base64url"),
    ])
    .toSorted((a, b) => b.length - a.length);
}

/** Whether a text gives one of the values away. */
export function holds(text: string, values: readonly string[]): boolean {
  return formsOf(values).some((form) => text.includes(form));
}

function scrubbedText(text: string, values: readonly string[]): string {
  let scrubbed = text;
  for (const form of formsOf(values)) scrubbed = scrubbed.replaceAll(form, INSTEAD);
  return scrubbed;
}

/** JSON data without the values, wherever in its texts they stand. */
export function scrubbedJson<Value>(value: Value, values: readonly string[]): Value {
  const text = JSON.stringify(value) as string | undefined;
  if (text === undefined || !holds(text, values)) return value;
  return JSON.parse(scrubbedText(text, values)) as Value;
}

/** An error that says nothing of the values: neither do its stack and what caused it. */
export function scrubbedError(thrown: unknown, values: readonly string[]): unknown {
  if (values.length === 0) return thrown;
  if (!(thrown instanceof Error)) {
    return typeof thrown === "string" ? scrubbedText(thrown, values) : scrubbedJson(thrown, values);
  }
  const message = scrubbedText(thrown.message, values);
  const error = isTerminal(thrown) ? new TerminalError(message) : new Error(message);
  error.name = scrubbedText(thrown.name, values);
  error.stack = scrubbedText(thrown.stack ?? "", values);
  return error;
}
