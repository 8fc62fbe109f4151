import type { JournalEntry, View } from "../../src/contract/view.ts";
import type { Delivery } from "./sink.ts";

/** An event whose sender was told that it was taken. */
export interface Acknowledged {
  instance: string;
  type: string;
  key: string;
}

/** All that was seen of a run, from outside. */
export interface Observed {
  acknowledged: Acknowledged[];
  journals: Map<string, JournalEntry[]>;
  views: Map<string, View>;
  deliveries: Delivery[];
  /** What each watcher was shown, in order: the seqs of one instance. */
  watched: { instance: string; seqs: number[] }[];
}

export interface Verdict {
  /** Each says what was promised and not kept; empty where all was. */
  violations: string[];
  lost: number;
  doubled: number;
  early: number;
  missed: number;
  forgotten: number;
  gaps: number;
  stuck: number;
  events: number;
  timers: number;
  messages: number;
}

/** Holds what was seen against what was promised. */
export function check(seen: Observed): Verdict {
  const violations: string[] = [];
  const say = (text: string): void => void (violations.length < 20 && violations.push(text));
  const verdict: Verdict = {
    ...{ violations, lost: 0, doubled: 0, early: 0, missed: 0, forgotten: 0, gaps: 0, stuck: 0 },
    ...{ events: seen.acknowledged.length, timers: 0, messages: 0 },
  };
  const applied = new Map<string, number>();
  for (const [instance, journal] of seen.journals) {
    for (const [index, { seq }] of journal.entries()) {
      if (seq === index + 1) continue;
      verdict.gaps += 1;
      say(`${instance}: entry ${index + 1} of the journal has seq ${seq}`);
      break;
    }
    for (const { event } of journal) {
      const { key } = (event.data ?? {}) as { key?: string };
      if (key !== undefined) applied.set(key, (applied.get(key) ?? 0) + 1);
    }
    checkTimers(instance, journal, verdict, say);
  }
  for (const { instance, key } of seen.acknowledged) {
    if (applied.has(key)) continue;
    verdict.lost += 1;
    say(`${instance}: ${key} was acknowledged and is not in the journal`);
  }
  for (const [key, times] of applied) {
    if (times === 1) continue;
    verdict.doubled += 1;
    say(`${key} was applied ${times} times`);
  }
  checkDeliveries(seen, verdict, say);
  for (const { instance, seqs } of seen.watched) {
    const head = seen.journals.get(instance)?.length ?? 0;
    const isWhole = seqs.every((seq, index) => seq === index + 1);
    if (isWhole && seqs.length === head) continue;
    verdict.gaps += 1;
    say(
      `A watcher of ${instance} saw a gap or a double, or not the end (${seqs.length} of ${head})`,
    );
  }
  for (const [instance, view] of seen.views) {
    const { retrying, incidents, timerCount, actors } = view;
    if (retrying.length + incidents.length + timerCount + actors.length === 0) continue;
    verdict.stuck += 1;
    say(`${instance} is stuck: ${JSON.stringify({ retrying, incidents, timerCount, actors })}`);
  }
  return verdict;
}

function checkTimers(
  instance: string,
  journal: readonly JournalEntry[],
  verdict: Verdict,
  say: (text: string) => void,
): void {
  const due = new Map<string, number>();
  const fired = new Map<string, number>();
  for (const { event, at } of journal) {
    const { id, delay } = (event.data ?? {}) as { id: string; delay: number };
    if (event.type === "REMIND") due.set(id, Date.parse(at) + delay);
    if (event.type !== "REMINDED") continue;
    fired.set(id, (fired.get(id) ?? 0) + 1);
    if (Date.parse(at) >= due.get(id)!) continue;
    verdict.early += 1;
    say(`${instance}: timer ${id} fired ${due.get(id)! - Date.parse(at)} ms early`);
  }
  verdict.timers += due.size;
  for (const id of due.keys()) {
    const times = fired.get(id) ?? 0;
    if (times === 1) continue;
    if (times === 0) verdict.missed += 1;
    else verdict.doubled += 1;
    say(`${instance}: timer ${id} fired ${times} times`);
  }
}

/** Each message that a transition asked for arrived, under one id of its own, and in their order. */
function checkDeliveries(seen: Observed, verdict: Verdict, say: (text: string) => void): void {
  const idsOf = new Map<string, Set<string>>();
  const ownerOf = new Map<string, string>();
  const newest = new Map<string, number>();
  for (const { path, id, key } of seen.deliveries) {
    const message = `${path} ${key}`;
    const ids = idsOf.get(message) ?? new Set();
    idsOf.set(message, ids.add(id));
    const owner = ownerOf.get(id);
    if (owner !== undefined && owner !== message) {
      verdict.doubled += 1;
      say(`The id ${id} was given to ${owner} and to ${message}`);
    }
    if (owner === undefined && path !== "/work") checkOrder(path, id, newest, verdict, say);
    ownerOf.set(id, message);
  }
  for (const [instance, journal] of seen.journals) {
    for (const { event, outcome } of journal) {
      if (event.type !== "COUNT" || outcome !== "applied") continue;
      const { key } = event.data as { key: string };
      for (const path of ["/told", "/counted"]) {
        verdict.messages += 1;
        const ids = idsOf.get(`${path} ${key}`)?.size ?? 0;
        if (ids === 1) continue;
        if (ids === 0) verdict.forgotten += 1;
        else verdict.doubled += 1;
        say(`${instance}: the message ${path} of ${key} arrived under ${ids} ids`);
      }
    }
  }
}

function checkOrder(
  path: string,
  id: string,
  newest: Map<string, number>,
  verdict: Verdict,
  say: (text: string) => void,
): void {
  const [, instance, effect] = /^(.*)\/\d+-(\d+)$/.exec(id)!;
  const lane = `${path} ${instance}`;
  const key = Number(effect);
  if (key < (newest.get(lane) ?? 0)) {
    verdict.gaps += 1;
    say(`${id} arrived at ${path} after a later one`);
  }
  newest.set(lane, Math.max(key, newest.get(lane) ?? 0));
}
