import { log } from "../contract/log.ts";
import { Webhook } from "standardwebhooks";

/** Where incidents are reported to; without both, nothing is sent. */
export interface AlertSettings {
  /** https; http for this machine alone. */
  ALERT_URL?: string;
  /** `whsec_` and base64: what alerts are signed with, by Standard Webhooks. */
  ALERT_SECRET?: string;
}

interface AlertRow {
  at: number;
  alert: string;
  tenant: string;
  workflow: string;
  id: string;
  incident: string;
  attempts: number;
}

/** Alerts that are sent side by side, and how often in one run. */
const AT_ONCE = 20;
const MAX_ROUNDS = 5;

const TIMEOUT = 10_000;
const HOUR = 3_600_000;

/** After so long nobody is told any more; a while later the row goes as well. */
const GIVE_UP = 24 * HOUR;
const KEEP = 7 * 24 * HOUR;

/**
 * Sends the alerts that are due, at least once, each under an id of its own that stays the same. One
 * that fails is tried again after one minute, two, four … up to an hour, for a day.
 */
export async function sendAlerts(
  databases: readonly D1Database[],
  settings: AlertSettings,
  now: number,
): Promise<void> {
  const target = targetOf(settings);
  if (target === null) return;
  for (const database of databases) {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const alerts = await claim(database, now);
      const sent = await Promise.all(alerts.map((alert) => send(alert, target, now)));
      await forget(
        database,
        alerts.filter((_, index) => sent[index]),
      );
      if (alerts.length < AT_ONCE) break;
    }
  }
}

/** Forgets what is too old to be told. */
export async function clearAlerts(databases: readonly D1Database[], now: number): Promise<void> {
  for (const database of databases) {
    await database
      .prepare("DELETE FROM alerts WHERE at < ?")
      .bind(now - KEEP)
      .run();
  }
}

interface Target {
  url: string;
  webhook: Webhook;
}

function targetOf({ ALERT_URL, ALERT_SECRET }: AlertSettings): Target | null {
  if (!ALERT_URL || !ALERT_SECRET) return null;
  try {
    const { protocol, hostname } = new URL(ALERT_URL);
    const isLocal = hostname === "localhost" || hostname === "127.0.0.1";
    if (protocol !== "https:" && !(protocol === "http:" && isLocal)) {
      throw new Error("it must be https");
    }
    return { url: ALERT_URL, webhook: new Webhook(ALERT_SECRET) };
  } catch (error) {
    log.error("Alerts can't be sent: ALERT_URL or ALERT_SECRET is of no use", { error });
    return null;
  }
}

/** What is claimed is tried again by itself, should this process die. Two claims never meet one row. */
async function claim(database: D1Database, now: number): Promise<AlertRow[]> {
  const { results } = await database
    .prepare(
      `UPDATE alerts SET attempts = attempts + 1,
           due = CASE WHEN at < ?1 - ${GIVE_UP} THEN NULL
             ELSE ?1 + min(${HOUR}, 60000 * (1 << min(attempts, 10))) END
         WHERE (at, alert) IN
           (SELECT at, alert FROM alerts WHERE due <= ?1 ORDER BY due LIMIT ${AT_ONCE})
         RETURNING at, alert, tenant, workflow, id, incident, attempts`,
    )
    .bind(now)
    .all<AlertRow>();
  return results;
}

/** @returns whether it was taken */
async function send(
  { at, alert, tenant, workflow, id, incident, attempts }: AlertRow,
  { url, webhook }: Target,
  now: number,
): Promise<boolean> {
  try {
    const body = JSON.stringify({
      ...{ type: "incident", workflow, id, tenant },
      ...{ incident: JSON.parse(incident) as unknown, at: new Date(at).toISOString() },
    });
    const response = await fetch(url, {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        "webhook-id": alert,
        "webhook-timestamp": String(Math.floor(now / 1_000)),
        "webhook-signature": webhook.sign(alert, new Date(now), body),
      },
      body,
      // Who redirects would learn what was meant for another.
      redirect: "manual",
      signal: AbortSignal.timeout(TIMEOUT),
    });
    await response.body?.cancel();
    if (response.ok) return true;
    log.warn(`An alert was answered ${response.status}`, { alert, attempts });
  } catch (error) {
    log.warn("An alert could not be sent", { alert, attempts, error });
  }
  return false;
}

async function forget(database: D1Database, alerts: readonly AlertRow[]): Promise<void> {
  if (alerts.length === 0) return;
  const keys = JSON.stringify(alerts.map(({ at, alert }) => ({ at, alert })));
  await database
    .prepare(
      `DELETE FROM alerts WHERE (at, alert) IN
         (SELECT value ->> 'at', value ->> 'alert' FROM json_each(?))`,
    )
    .bind(keys)
    .run();
}
