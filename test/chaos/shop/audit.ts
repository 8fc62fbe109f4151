import type { JournalEntry, View } from "../../../src/contract/view.ts";
import type { Done, Station, Told } from "./people.ts";
import type { Receipt } from "./receiver.ts";

/** All that was seen of a run, from outside, once nothing moved any more. */
export interface Seen {
  orders: Map<string, { view: View; journal: JournalEntry[] }>;
  told: Told[];
  done: Done[];
  receipts: Receipt[];
  /** Events in the order log, which always has a queue before it. */
  logged: number;
  /** Messages that each station has taken in, by `source id`. */
  taken: Record<Station, string[]>;
  /** Reports that each station has made. */
  reported: Record<Station, number>;
  /** What is still somewhere, by where; each should be 0. */
  left: Record<string, number>;
}

/** How often one message was sent, and how many of them never arrived. */
interface Traffic {
  sent: number;
  vanished: number;
}

export interface Audit {
  /** Each says what was promised and not kept. */
  violations: string[];
  /** Messages of orders to stations, and reports of stations to orders. */
  toStations: Traffic;
  toOrders: Traffic;
  webhooks: Traffic;
  orderLog: Traffic;
  /** Customers' events that were answered and aren't in the journal. */
  lost: number;
  /** Events that a journal applied more than once, jobs done twice, webhooks under two ids. */
  twice: number;
  stuck: number;
  events: number;
  delivered: number;
  cancelled: number;
  /** Times an order needed somebody to decide. */
  failures: number;
  /** Of those, how often because a deadline passed: somebody had not reported in time. */
  deadlines: number;
  /** Webhooks that came more than once. */
  repeats: number;
}

/** What an order's journal says when a station's transport has taken its ticket. */
const answers = {
  kitchen: "xstate.done.actor.orderPizzaFromKitchen",
  delivery: "xstate.done.actor.orderDelivery",
} as const;

const ENDS: ReadonlySet<View["state"]> = new Set(["delivered", "cancelled"]);
const isAbout = (entry: JournalEntry, ...types: string[]) => types.includes(entry.event.type);
const stateOf = ({ state }: JournalEntry): string => JSON.stringify(state);
const isFailed = (entry: JournalEntry | undefined): boolean =>
  entry !== undefined && stateOf(entry).includes('"errorIn');

/**
 * Holds what was seen against what was promised.
 *
 * @param options.isForgetful between orders and stations messages may vanish: they are counted, no more
 */
export function audit(seen: Seen, { isForgetful }: { isForgetful: boolean }): Audit {
  const violations: string[] = [];
  const found: Audit = {
    ...{ violations, lost: 0, twice: 0, stuck: 0, events: seen.told.length },
    ...{ delivered: 0, cancelled: 0, failures: 0, deadlines: 0, repeats: 0 },
    orderLog: { sent: 0, vanished: 0 },
    toStations: { sent: 0, vanished: 0 },
    toOrders: { sent: seen.reported.kitchen + seen.reported.delivery, vanished: 0 },
    webhooks: { sent: 0, vanished: 0 },
  };
  let arrived = 0;
  for (const [order, { view, journal }] of seen.orders) {
    checkSequence(order, journal, found);
    arrived += checkRepeats(order, journal, found);
    checkTold(order, journal, seen, found);
    checkEnd(order, view, found);
    checkDone(order, journal, seen, found);
    checkTickets(order, journal, seen, found);
    checkReceipts(order, journal, seen, found);
    found.failures += failuresIn(journal);
    found.deadlines += journal.filter(({ event }) => event.type.startsWith("xstate.after.")).length;
  }
  found.orderLog = { sent: found.webhooks.sent, vanished: found.webhooks.sent - seen.logged };
  found.toOrders.vanished = found.toOrders.sent - arrived;
  for (const { isSigned, delivery } of seen.receipts) {
    if (!isSigned) violations.push(`The webhook ${delivery} is not signed as it should be`);
  }
  found.repeats = seen.receipts.length - new Set(seen.receipts.map((one) => one.delivery)).size;
  const mustArrive = {
    webhooks: found.webhooks,
    ...(isForgetful
      ? {}
      : { "messages to stations": found.toStations, "reports to orders": found.toOrders }),
  };
  for (const [what, { sent, vanished }] of Object.entries(mustArrive)) {
    if (vanished > 0) violations.push(`${what}: ${vanished} of ${sent} never arrived`);
  }
  for (const [where, count] of Object.entries(seen.left)) {
    if (count > 0) violations.push(`${where}: ${count} left`);
  }
  return found;
}

function checkSequence(order: string, journal: readonly JournalEntry[], found: Audit): void {
  if (journal.every(({ seq }, index) => seq === index + 1)) return;
  found.violations.push(`${order}: the journal has gaps`);
}

/** @returns how many different reports have arrived */
function checkRepeats(order: string, journal: readonly JournalEntry[], found: Audit): number {
  const keys = journal.flatMap(({ event: { attributes } }) =>
    attributes?.["id"] === undefined ? [] : [`${String(attributes["source"])} ${attributes["id"]}`],
  );
  const distinct = new Set(keys).size;
  if (distinct < keys.length) {
    found.twice += keys.length - distinct;
    found.violations.push(`${order}: the same report is in the journal more than once`);
  }
  return distinct;
}

/** What somebody was answered is there, as often as it was answered. */
function checkTold(
  order: string,
  journal: readonly JournalEntry[],
  { told }: Seen,
  found: Audit,
): void {
  const own = told.filter((one) => one.order === order);
  for (const type of new Set(["ADD_PIZZA", "CONFIRM_PIZZA", ...own.map((one) => one.type)])) {
    const answered = own.filter((one) => one.type === type).length;
    const written = journal.filter((entry) => isAbout(entry, type)).length;
    if (written === answered) continue;
    if (written < answered) found.lost += answered - written;
    else found.twice += written - answered;
    found.violations.push(`${order}: ${type} was answered ${answered} times, is there ${written}`);
  }
}

function checkEnd(order: string, view: View, found: Audit): void {
  const { state, pending, actors, incidents, retrying, timerCount } = view;
  if (state === "delivered") found.delivered += 1;
  if (state === "cancelled") found.cancelled += 1;
  const open = pending + actors.length + incidents.length + retrying.length + timerCount;
  if (ENDS.has(state) && open === 0) return;
  found.stuck += 1;
  const rest = { state, pending, incidents, retrying };
  found.violations.push(`${order} is stuck: ${JSON.stringify(rest)}`);
}

/** Each job was done once, and nobody got what wasn't ready. */
function checkDone(
  order: string,
  journal: readonly JournalEntry[],
  { done }: Seen,
  found: Audit,
): void {
  for (const type of ["PIZZA_READY", "PIZZA_DELIVERED"]) {
    const times = done.filter((one) => one.order === order && one.type === type).length;
    const applied = journal.filter(
      (entry) => isAbout(entry, type) && entry.outcome === "applied",
    ).length;
    if (times > 1 || applied > 1) {
      found.twice += 1;
      found.violations.push(`${order}: ${type} was done ${times} times, applied ${applied}`);
    } else if (applied > times) {
      found.violations.push(`${order}: ${type} was applied, and nobody has done it`);
    }
  }
}

/** Each ticket that an order was told is with its station was taken in there, under one id. */
function checkTickets(
  order: string,
  journal: readonly JournalEntry[],
  { taken }: Seen,
  found: Audit,
): void {
  const isCalledOff = (entry: JournalEntry, index: number, from: RegExp): boolean =>
    entry.state === "cancelled" &&
    index > 0 &&
    journal[index - 1]!.state !== "cancelled" &&
    from.test(stateOf(journal[index - 1]!));
  const wanted = {
    kitchen:
      count(journal, answers.kitchen) +
      journal.filter((entry, index) => isCalledOff(entry, index, /bakePizza|deliverPizza/)).length,
    delivery:
      count(journal, answers.delivery) +
      journal.filter((entry, index) => isCalledOff(entry, index, /deliverPizza/)).length,
  };
  const asked = {
    kitchen: entriesInto(journal, "sendingOrderToKitchen"),
    delivery: entriesInto(journal, "sendingOrderToDelivery"),
  };
  for (const station of ["kitchen", "delivery"] as const) {
    const came = taken[station].filter((key) => key.startsWith(`/orders/${order} `)).length;
    found.toStations.sent += wanted[station];
    found.toStations.vanished += Math.max(0, wanted[station] - came);
    // Who was left while it asked may have asked or not; each asking has one id.
    const calledOff = wanted[station] - count(journal, answers[station]);
    if (came <= asked[station] + calledOff) continue;
    found.twice += came - asked[station] - calledOff;
    found.violations.push(
      `${order}: the ${station} was asked ${asked[station]} times, by ${came} messages`,
    );
  }
}

function entriesInto(journal: readonly JournalEntry[], state: string): number {
  return journal.filter(
    (entry, index) =>
      stateOf(entry).includes(state) &&
      !(index > 0 && stateOf(journal[index - 1]!).includes(state)),
  ).length;
}

function count(journal: readonly JournalEntry[], type: string): number {
  return journal.filter((entry) => isAbout(entry, type)).length;
}

/** Each of them is announced; what fails while it waits for a decision fails anew. */
function failuresIn(journal: readonly JournalEntry[]): number {
  return journal.filter(
    (entry, index) =>
      isFailed(entry) &&
      (!isFailed(journal[index - 1]) ||
        (isAbout(entry, "PIZZA_FAILED", "DELIVERY_FAILED") && entry.outcome === "applied")),
  ).length;
}

/** Every event that the order emitted came at least once, under one id. */
function checkReceipts(
  order: string,
  journal: readonly JournalEntry[],
  { receipts }: Seen,
  found: Audit,
): void {
  const applied = (type: string) =>
    journal.filter((entry) => isAbout(entry, type) && entry.outcome === "applied").length;
  const end = journal.at(-1)?.state;
  const emitted: Record<string, number> = {
    "order.confirmed": applied("CONFIRM_PIZZA"),
    "order.baked": applied("PIZZA_READY"),
    "order.failed": failuresIn(journal),
    "order.delivered": journal.some(({ state }) => state === "delivered") ? 1 : 0,
    "order.cancelled":
      end === "cancelled" || journal.some(({ state }) => state === "cancelled") ? 1 : 0,
  };
  const own = receipts.filter(({ event }) => event.subject === `orders/${order}`);
  for (const [type, wanted] of Object.entries(emitted)) {
    const came = own.filter(({ event }) => event.type === type);
    const events = new Set(came.map(({ event }) => `${event.source} ${event.id}`)).size;
    const deliveries = new Set(came.map(({ delivery }) => delivery)).size;
    found.webhooks.sent += wanted;
    found.webhooks.vanished += Math.max(0, wanted - events);
    if (events > wanted || deliveries > events) {
      found.twice += 1;
      const said = `${deliveries} webhooks for ${events} events`;
      found.violations.push(`${order}: ${type} was emitted ${wanted} times, came as ${said}`);
    }
  }
}
