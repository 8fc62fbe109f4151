/**
 * A context as JSON text, key by key: what is needed to store it, and to see what a step changed
 * even where the chart has altered a value in place.
 */
export type ContextTexts = ReadonlyMap<string, string>;

export function contextTexts(context: Record<string, unknown>): ContextTexts {
  const texts = new Map<string, string>();
  for (const key of Object.keys(context)) {
    const text = JSON.stringify(context[key]) as string | undefined;
    if (text !== undefined) texts.set(key, text);
  }
  return texts;
}

/** The context as one JSON text. */
export function joinContext(texts: ContextTexts): string {
  let joined = "";
  for (const [key, text] of texts) joined += `${joined && ","}${JSON.stringify(key)}:${text}`;
  return `{${joined}}`;
}

/** A `Changes` document as JSON text. Unlike a JSON merge patch it can tell null from absent. */
export function changesText(
  before: { status: string; texts: ContextTexts } | undefined,
  after: { status: string; texts: ContextTexts },
): string {
  let set = "";
  for (const [key, text] of after.texts) {
    if (before?.texts.get(key) !== text) set += `${set && ","}${JSON.stringify(key)}:${text}`;
  }
  const unset: string[] = [];
  for (const key of before?.texts.keys() ?? []) if (!after.texts.has(key)) unset.push(key);
  const status = before?.status === after.status ? "" : `"status":${JSON.stringify(after.status)}`;
  if (set === "" && unset.length === 0) return `{${status}}`;
  return `{${status && `${status},`}"context":{"set":{${set}},"unset":${JSON.stringify(unset)}}}`;
}
