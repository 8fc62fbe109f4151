/** Text that is markup already; nothing else makes one. */
class Markup {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  toString(): string {
    return this.text;
  }
}

export type { Markup };

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** HTML in which every value is escaped, but what was made by this itself. Attributes must be quoted. */
export function html(
  parts: TemplateStringsArray,
  ...values: readonly (string | number | Markup | readonly Markup[])[]
): Markup {
  const texts = values.map((value) => {
    if (value instanceof Markup) return value.text;
    if (Array.isArray(value)) return value.join("");
    return String(value).replace(/[&<>"']/g, (character) => ESCAPES[character]!);
  });
  return new Markup(String.raw({ raw: parts }, ...texts));
}

/**
 * One line of plain text: without control characters and line breaks, of which a header could be made, and
 * without characters that turn the direction of what follows them.
 *
 * @param most characters, beyond which it is cut off
 */
export function oneLine(value: string, most: number): string {
  const line = value
    .toWellFormed()
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ")
    .replace(/ {2,}/g, " ")
    .trim();
  const characters = Array.from(line);
  return characters.length <= most ? line : `${characters.slice(0, most - 1).join("")}…`;
}
