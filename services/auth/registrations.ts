import { envelopeOf } from "../../src/cloudevents/outgoing.ts";
import { isAddress } from "../mailer/shapes.ts";
import type { Settings } from "./settings.ts";

/** Told of in one go. */
const MOST = 50;

interface Registered {
  id: string;
  name: string;
  email: string | null;
  tenant: string;
  jurisdiction: DurableObjectJurisdiction | null;
  created_at: number;
}

/**
 * Tells the orchestrator of who has registered, so that what follows begins (`machines/registration`). It
 * may tell twice, should it end in between: one registration is one instance, and begins once.
 */
export async function announceRegistrations(settings: Settings, now: number): Promise<void> {
  const { database, events } = settings;
  if (events === undefined) return;
  const { results } = await database
    .prepare(
      `SELECT id, name, email, tenant, jurisdiction, created_at FROM users
         WHERE announced_at IS NULL ORDER BY created_at LIMIT ?`,
    )
    .bind(MOST)
    .all<Registered>();
  if (results.length === 0) return;
  await events.sendBatch(
    results.map((user) => ({ body: startOf(user), contentType: "json" as const })),
  );
  await database
    .prepare("UPDATE users SET announced_at = ? WHERE id IN (SELECT value FROM json_each(?))")
    .bind(now, JSON.stringify(results.map(({ id }) => id)))
    .run();
}

function startOf({ id, tenant, jurisdiction, created_at: time, ...user }: Registered) {
  const email = addressIn(user);
  return envelopeOf({
    ...{ source: "/auth", id: `registration-${id}`, type: "durachart.start", time },
    data: { user: `user:${id}`, name: user.name, ...(email === null ? {} : { email }) },
    about: { tenant, workflow: "registrations", id },
    jurisdiction: jurisdiction ?? undefined,
  });
}

/** Where a user has her mail: what she said, or her name where that is an address. */
export function addressIn({ name, email }: { name: string; email: string | null }): string | null {
  return email ?? (isAddress(name) ? name : null);
}
