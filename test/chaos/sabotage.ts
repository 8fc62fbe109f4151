/**
 * Builds that break a promise on purpose: a checker that finds nothing in them finds nothing at all.
 * Each replaces a line of the bundled Worker, and fails where that line is no longer there.
 */
export const sabotages = {
  "outbox after the commit": {
    find: /for \(const key of added\) (\w+)\.effects\.insert\(effects\.get\(key\)\);/g,
    put: "for (const key of added) setTimeout(() => $1.effects.insert(effects.get(key)), 40);",
  },
  "dedupe off": {
    find: /(\w+)\.record\(entry, (\w+), key, live\.identity, live\.head\);/g,
    put: "$1.record(entry, $2, null, live.identity, live.head);",
  },
  "timers in memory": {
    find: /"timers":\$\{JSON\.stringify\(timers\)\}\$\{(\w+)\}\}/g,
    put: '"timers":[]${$1}}',
  },
  "leases ignored": {
    find: /this\.#ledger\.update\(\{ \.\.\.row, status: "waiting", due: now \}\);/g,
    put: "this.#ledger.update({ ...row, due: now + 3e4 });",
  },
  "the list's alarm": {
    find: /const also = this\.#alsoDue\(live\);/g,
    put: "const also = Infinity;",
  },
  "the list noted before it is told": {
    find: /await queue\.send\(\{ \.\.\.project\(\), revision \}, \{ contentType: "json" \}\);/g,
    put: "storage.transactionSync(() => this.#keep({ ...mark, revision, sentAt })); $&",
  },
  "the list's order": {
    find: /WHERE \(excluded\.epoch, excluded\.seq, excluded\.revision\) > \(epoch, seq, revision\)/g,
    put: "",
  },
} as const;

export type Sabotage = keyof typeof sabotages;

/** @throws where it isn't there exactly once */
export function replaceOnce(script: string, find: RegExp, put: string): string {
  const count = [...script.matchAll(find)].length;
  if (count === 1) return script.replace(find, put);
  throw new Error(`Expected this once in the bundle, found it ${count} times: ${find.source}`);
}
