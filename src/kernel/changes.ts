import type { Attributes } from "../contract/attributes.ts";
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

/** A state by the texts that are stored. */
interface State {
  status: string;
  texts: ContextTexts;
  /** As in `Stored`. */
  rest: string;
  nextKey: number;
}

/** What an event has changed beside the machine's own state. */
interface BesideTheState {
  /** JSON of each actor with a row that is new or changed; null where it is gone. */
  actors: ReadonlyMap<number, string | null>;
  /** JSON of `TimerChanges`; empty where there are none. */
  timers: string;
  /** JSON of the `JournalledEffect`s that were asked for; empty where there are none. */
  effects: string;
  /** The event's own. */
  attributes?: Attributes | undefined;
  /** What its sender proved itself by. */
  credential?: string | undefined;
}

/**
 * A `Changes` document as JSON text. Unlike a JSON merge patch it can tell null from absent. What only
 * we need to put the state together again stands under `inner`.
 */
export function changesText(
  before: State | undefined,
  after: State,
  { actors, timers, effects, attributes, credential }: BesideTheState,
): string {
  const parts: string[] = [];
  if (before?.status !== after.status) parts.push(`"status":${JSON.stringify(after.status)}`);
  const context = contextChanges(before?.texts, after.texts);
  if (context !== "") parts.push(`"context":${context}`);
  if (actors.size > 0) {
    const members = [...actors].map(([key, text]) => `"${key}":${text ?? "null"}`);
    parts.push(`"actors":{${members.join(",")}}`);
  }
  if (attributes !== undefined) parts.push(`"attributes":${JSON.stringify(attributes)}`);
  if (credential !== undefined) parts.push(`"credential":${JSON.stringify(credential)}`);
  const inner: string[] = [];
  if (before?.nextKey !== after.nextKey) inner.push(`"nextKey":${after.nextKey}`);
  if (before?.rest !== after.rest) inner.push(`"rest":${after.rest}`);
  if (timers !== "") inner.push(`"timers":${timers}`);
  if (effects !== "") inner.push(`"effects":${effects}`);
  if (inner.length > 0) parts.push(`"inner":{${inner.join(",")}}`);
  return `{${parts.join(",")}}`;
}

function contextChanges(before: ContextTexts | undefined, after: ContextTexts): string {
  let set = "";
  for (const [key, text] of after) {
    if (before?.get(key) !== text) set += `${set && ","}${JSON.stringify(key)}:${text}`;
  }
  const unset: string[] = [];
  for (const key of before?.keys() ?? []) if (!after.has(key)) unset.push(key);
  if (set === "" && unset.length === 0) return "";
  return `{"set":{${set}},"unset":${JSON.stringify(unset)}}`;
}
