import type { Problem } from "../contract/problem.ts";
import { isTerminal, TerminalError } from "../kernel/terminal-error.ts";

/** Shorter values occur by chance. */
const SHORTEST = 3;

/**
 * Shorter ones occur by chance within something longer: the three digits on the back of a card in what a
 * provider calls a payment. They are looked for as whole words of texts, and in no numbers.
 */
const LONG = 8;

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
    ]);
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}

/** What finds the values in a text; null where there is nothing to look for. */
function finderOf(values: readonly string[]): RegExp | null {
  const isLong = ({ length }: string): boolean => length >= LONG;
  const whole = formsOf(values.filter((value) => !isLong(value)));
  const anywhere = formsOf(values.filter(isLong));
  const alternatives = [
    ...anywhere.map((form) => ({ form, pattern: escaped(form) })),
    ...whole.map((form) => ({
      form,
      pattern: `(?<![\\p{L}\\p{N}])${escaped(form)}(?![\\p{L}\\p{N}])`,
    })),
  ];
  if (alternatives.length === 0) return null;
  // The longest first: what is left of it otherwise tells the rest.
  const patterns = alternatives.toSorted((a, b) => b.form.length - a.form.length);
  return new RegExp(patterns.map(({ pattern }) => pattern).join("|"), "gu");
}

/**
 * Whether JSON data gives one of the values away.
 *
 * @param text of the data
 */
export function holds(text: string, values: readonly string[]): boolean {
  // Taking it apart costs more than a look.
  if (!formsOf(values).some((form) => text.includes(form))) return false;
  return (
    JSON.stringify(scrubbedJson(JSON.parse(text), values)) !== JSON.stringify(JSON.parse(text))
  );
}

function scrubbedText(text: string, values: readonly string[]): string {
  const finder = finderOf(values);
  return finder === null ? text : text.replace(finder, INSTEAD);
}

/** JSON data without the values, wherever in its texts they stand. */
function scrubbedJson<Value>(value: Value, values: readonly string[]): Value {
  const text = JSON.stringify(value) as string | undefined;
  const finder = finderOf(values);
  if (text === undefined || finder === null) return value;
  const long = values.filter(({ length }) => length >= LONG);
  const scrubbed = (one: unknown): unknown => {
    if (typeof one === "string") return one.replace(finder, INSTEAD);
    if (typeof one === "number") {
      return long.some((digits) => String(one).includes(digits)) ? INSTEAD : one;
    }
    if (Array.isArray(one)) return one.map(scrubbed);
    if (typeof one !== "object" || one === null) return one;
    return Object.fromEntries(
      Object.entries(one).map(([key, member]) => [key.replace(finder, INSTEAD), scrubbed(member)]),
    );
  };
  return scrubbed(JSON.parse(text)) as Value;
}

/** A problem without the values. What kind it is is ours to say, and no secret, whatever theirs are. */
export function scrubbedProblem(met: Problem, values: readonly string[]): Problem {
  const { type, title, status } = met;
  return { ...scrubbedJson(met, values), type, title, status };
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
