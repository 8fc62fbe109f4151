import { WorkerEntrypoint } from "cloudflare:workers";
import type { Caller } from "../../src/contract/caller.ts";
import { log } from "../../src/contract/log.ts";
import { refusal } from "../../src/contract/problem.ts";
import type { KeyPublisher, PublicKey, PublishedKeys } from "../../src/contract/published-keys.ts";
import type { Whose } from "../../src/contract/realm.ts";
import type { Granted } from "./access-token.ts";
import { notedDeeds, tendAdministration } from "./administration.ts";
import { callerOf, requireAdministrator } from "./administrators.ts";
import * as clients from "./clients.ts";
import type { Client, NewClient, ShownSecret } from "./clients.ts";
import type {
  AddressCalls,
  AuthCalls,
  ClientCredentials,
  Confirmation,
  DeedPage,
  NotedDeed,
  Revoked,
} from "../contracts/auth.ts";
import type { Reply } from "../contracts/reply.ts";
import { replying } from "../replying.ts";
import { confirm, mailRegistrations, tendRegistrations } from "./confirmations.ts";
import { findPerson, setRoles, type Person } from "./people.ts";
import { announceRegistrations } from "./registrations.ts";
import { publicKeySet, publishedTo } from "./published.ts";
import { endSession, endSessionsOf, logOut, refreshSession, tendSessions } from "./sessions.ts";
import { settingsOf, type AuthEnv, type Settings } from "./settings.ts";
import { rotateKeys, tendKeys } from "./signing-keys.ts";
import { tendThrottle } from "./throttle.ts";
import { addressOf, logIn, register, userNamed, type Login, type Registration } from "./users.ts";

/** What every door may ask: the public keys, and which sessions were ended. It issues nothing. */
export class Keys extends WorkerEntrypoint<AuthEnv> implements KeyPublisher {
  published(): Promise<PublishedKeys> {
    return publishedTo(settingsOf(this.env), Date.now());
  }
}

/** What the mailer may ask. */
export class Addresses extends WorkerEntrypoint<AuthEnv> implements AddressCalls {
  addressOf(whose: Whose, subject: string): Promise<Reply<string | null>> {
    return replying("auth service", () => addressOf(settingsOf(this.env), whose, subject));
  }
}

/** What the gateway may ask. */
export class Auth extends WorkerEntrypoint<AuthEnv> implements AuthCalls {
  register(registration: Registration, address: string): Promise<Reply<null>> {
    return this.#reply(async (settings, now) => {
      await register(settings, registration, address, now);
      // Behind the answer, which takes as long where the name was taken.
      this.ctx.waitUntil(tellOfRegistrations(settings, now));
      return null;
    });
  }

  confirm(confirmation: Confirmation, address: string): Promise<Reply<Granted>> {
    return this.#reply(async (settings, now) => {
      const granted = await confirm(settings, confirmation, address, now);
      this.ctx.waitUntil(tellOfRegistrations(settings, now));
      return granted;
    });
  }

  logIn(login: Login, address: string): Promise<Reply<Granted>> {
    return this.#reply((settings, now) => logIn(settings, login, address, now));
  }

  refresh(refreshToken: string): Promise<Reply<Granted>> {
    return this.#reply((settings, now) => refreshSession(settings, refreshToken, now));
  }

  logOut(refreshToken: string): Promise<Reply<null>> {
    return this.#reply(async (settings, now) => {
      await logOut(settings, refreshToken, now);
      return null;
    });
  }

  grantToClient(client: ClientCredentials): Promise<Reply<Granted>> {
    return this.#reply((settings, now) => clients.grantToClient(settings, client, now));
  }

  keySet(): Promise<Reply<{ keys: PublicKey[] }>> {
    return this.#reply(publicKeySet);
  }

  whoIs(authorization: string | null): Promise<Reply<Caller>> {
    return this.#reply((settings) => callerOf(settings, authorization, this.env));
  }

  admit(authorization: string | null): Promise<Reply<null>> {
    return this.#administer(authorization, null, async () => null);
  }

  rotateKeys(authorization: string | null, withdraw: boolean) {
    return this.#administer(authorization, "rotateKeys", async (settings, caller, now) => {
      // The keys are the deployment's, not a tenant's.
      if (caller.tenant === settings.tenant) return rotateKeys(settings, now, withdraw, caller);
      throw refusal("forbidden", `Keys are rotated by administrators of ${settings.tenant}.`);
    });
  }

  revoke(authorization: string | null, whose: Revoked): Promise<Reply<{ ended: number }>> {
    return this.#administer(authorization, "revoke", async (settings, caller, now) => {
      const { tenant } = caller;
      const reason = "ended by an administrator";
      if ("session" in whose) {
        await requireOwnSession(settings, tenant, whose.session);
        await endSession(settings, whose.session, reason, now, caller);
        return { ended: 1 };
      }
      const client = "subject" in whose ? /^client:(.+)$/.exec(whose.subject)?.[1] : undefined;
      if (client !== undefined) {
        const sid = await clients.sessionOfClient(settings, tenant, client);
        await endSession(settings, sid, reason, now, caller);
        return { ended: 1 };
      }
      const id =
        "username" in whose
          ? await userNamed(settings, tenant, whose.username)
          : await userWith(settings, tenant, whose.subject);
      if (id === null) throw refusal("not-found", "There is no such user.");
      return { ended: await endSessionsOf(settings, id, reason, now, caller) };
    });
  }

  listClients(authorization: string | null): Promise<Reply<Client[]>> {
    return this.#administer(authorization, "listClients", (settings, { tenant }) =>
      clients.listClients(settings, tenant),
    );
  }

  addClient(authorization: string | null, client: NewClient): Promise<Reply<Client & ShownSecret>> {
    return this.#administer(authorization, "addClient", (settings, caller, now) =>
      clients.addClient(settings, caller, client, now),
    );
  }

  removeClient(authorization: string | null, id: string): Promise<Reply<null>> {
    return this.#administer(authorization, "removeClient", async (settings, caller, now) => {
      await clients.removeClient(settings, caller, id, now);
      return null;
    });
  }

  findPerson(authorization: string | null, username: string): Promise<Reply<Person>> {
    return this.#administer(authorization, "findPerson", (settings, { tenant }) =>
      findPerson(settings, tenant, username),
    );
  }

  setRoles(
    authorization: string | null,
    username: string,
    roles: readonly string[],
  ): Promise<Reply<Person>> {
    return this.#administer(authorization, "setRoles", (settings, caller, now) =>
      setRoles(settings, caller, username, roles, now),
    );
  }

  deeds(authorization: string | null, page: DeedPage): Promise<Reply<NotedDeed[]>> {
    return this.#administer(authorization, "deeds", (settings, { tenant }) =>
      notedDeeds(settings, tenant, page),
    );
  }

  addSecret(authorization: string | null, id: string): Promise<Reply<ShownSecret>> {
    return this.#administer(authorization, "addSecret", (settings, caller, now) =>
      clients.addSecret(settings, caller, id, now),
    );
  }

  removeSecret(authorization: string | null, id: string, name: string): Promise<Reply<null>> {
    return this.#administer(authorization, "removeSecret", async (settings, caller, now) => {
      await clients.removeSecret(settings, caller, id, name, now);
      return null;
    });
  }

  /** For the role `administrator`; the service verifies its own tokens, and trusts no gateway. */
  #administer<Value>(
    authorization: string | null,
    what: string | null,
    work: (settings: Settings, caller: Caller, now: number) => Promise<Value>,
  ): Promise<Reply<Value>> {
    return this.#reply(async (settings, now) => {
      const caller = await requireAdministrator(settings, authorization, this.env);
      const value = await work(settings, caller, now);
      if (what === null) return value;
      const { tenant, subject, credential } = caller;
      log.info("An administrator called the auth service", { what, tenant, subject, credential });
      return value;
    });
  }

  #reply<Value>(work: (settings: Settings, now: number) => Promise<Value>): Promise<Reply<Value>> {
    return replying("auth service", () => work(settingsOf(this.env), Date.now()));
  }
}

/** The mailer of who has to confirm, the orchestrator of who has. What fails the cron makes up for. */
async function tellOfRegistrations(settings: Settings, now: number): Promise<void> {
  const told = [mailRegistrations(settings, now), announceRegistrations(settings, now)];
  for (const result of await Promise.allSettled(told)) {
    if (result.status === "fulfilled") continue;
    log.error("Others could not be told of a registration", { error: result.reason });
  }
}

/** @throws ProblemError not-found where the session is another tenant's */
async function requireOwnSession(
  { database }: Settings,
  tenant: string,
  sid: string,
): Promise<void> {
  if (clients.isSessionOfFirst(tenant, sid)) return;
  const row = await database
    .prepare(
      `SELECT users.tenant FROM sessions JOIN users ON users.id = sessions.user WHERE sid = ?1
         UNION ALL SELECT tenant FROM clients WHERE sid = ?1`,
    )
    .bind(sid)
    .first<{ tenant: string }>();
  if (row?.tenant !== tenant) throw refusal("not-found", "There is no such session.");
}

async function userWith(
  { database }: Settings,
  tenant: string,
  subject: string,
): Promise<string | null> {
  const row = await database
    .prepare("SELECT id FROM users WHERE 'user:' || id = ? AND tenant = ?")
    .bind(subject, tenant)
    .first<{ id: string }>();
  return row?.id ?? null;
}

export default {
  /** Nothing is served over HTTP: the Worker has no address of its own. */
  fetch: (): Response => new Response(null, { status: 404 }),

  /** By cron. One that fails must not keep the others from theirs. */
  scheduled: async (_: ScheduledController, env: AuthEnv): Promise<void> => {
    const settings = settingsOf(env);
    const now = Date.now();
    const results = await Promise.allSettled([
      tendKeys(settings, now),
      tendSessions(settings, now),
      tendThrottle(settings, now),
      tendAdministration(settings, now),
      tendRegistrations(settings, now),
      mailRegistrations(settings, now),
      announceRegistrations(settings, now),
    ]);
    for (const result of results) {
      if (result.status === "rejected") log.error("Tending failed", { error: result.reason });
    }
  },
};
