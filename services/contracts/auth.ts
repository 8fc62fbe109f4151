import type { Caller } from "../../src/contract/caller.ts";
import type { PublicKey } from "../../src/contract/published-keys.ts";
import type { Whose } from "../../src/contract/realm.ts";
import type { Granted } from "../auth/access-token.ts";
import type { Client, NewClient, ShownSecret } from "../auth/clients.ts";
import type { Person } from "../auth/people.ts";
import type { Login, Registration } from "../auth/users.ts";
import type { Reply } from "./reply.ts";

/** Whose sessions are ended: all of a user's, or one. */
export type Revoked = { username: string } | { subject: string } | { session: string };

/**
 * What the gateway asks of the auth service, by service binding to its entrypoint `Auth`. What is for
 * administrators takes the Authorization header as it came: the service looks at it itself.
 */
export interface AuthCalls {
  /** @param address the client's, which is slowed down */
  register(registration: Registration, address: string): Promise<Reply<null>>;
  /** Makes the account that was registered, and logs in. */
  confirm(confirmation: Confirmation, address: string): Promise<Reply<Granted>>;
  logIn(login: Login, address: string): Promise<Reply<Granted>>;
  refresh(refreshToken: string): Promise<Reply<Granted>>;
  logOut(refreshToken: string): Promise<Reply<null>>;
  grantToClient(client: ClientCredentials): Promise<Reply<Granted>>;
  keySet(): Promise<Reply<{ keys: PublicKey[] }>>;
  /** Who is asking, by the Authorization header of a request. */
  whoIs(authorization: string | null): Promise<Reply<Caller>>;

  /** Whether whoever asks is an administrator: before anything of a request is read. */
  admit(authorization: string | null): Promise<Reply<null>>;
  rotateKeys(
    authorization: string | null,
    withdraw: boolean,
  ): Promise<Reply<{ kid: string; signsFrom: number }>>;
  revoke(authorization: string | null, whose: Revoked): Promise<Reply<{ ended: number }>>;
  listClients(authorization: string | null): Promise<Reply<Client[]>>;
  addClient(authorization: string | null, client: NewClient): Promise<Reply<Client & ShownSecret>>;
  removeClient(authorization: string | null, id: string): Promise<Reply<null>>;
  /** A user of the administrator's tenant. */
  findPerson(authorization: string | null, username: string): Promise<Reply<Person>>;
  /** @param roles all that she has from now on */
  setRoles(
    authorization: string | null,
    username: string,
    roles: readonly string[],
  ): Promise<Reply<Person>>;
  /** What administrators of the tenant have done, oldest first. */
  deeds(authorization: string | null, page: DeedPage): Promise<Reply<NotedDeed[]>>;
  addSecret(authorization: string | null, id: string): Promise<Reply<ShownSecret>>;
  removeSecret(authorization: string | null, id: string, name: string): Promise<Reply<null>>;
}

/** What an administrator does to her tenant's accounts, clients and keys; about whom or what. */
export type Deed =
  | { what: "keys.rotated"; about: { key: string } }
  | { what: "keys.withdrawn"; about: Record<string, never> }
  | { what: "sessions.ended"; about: { subject: string } | { session: string } }
  | { what: "client.added"; about: NewClientDeed }
  | { what: "client.removed"; about: { client: string } }
  | { what: "secret.added" | "secret.removed"; about: { client: string; secret: string } }
  | { what: "roles.set"; about: { subject: string; username: string; roles: readonly string[] } };

/** A client as it was made; its secret by name. */
interface NewClientDeed {
  client: string;
  roles: readonly string[];
  scopes: readonly string[];
  /** Seconds. */
  lifetime: number;
  secret: string;
}

/** A deed as it is read. */
export type NotedDeed = Deed & {
  /** Ever higher, in the order in which deeds were done. */
  position: number;
  /** ISO 8601. */
  time: string;
  /** By whom: the token's subject. */
  subject: string;
  /** What she proved herself by: `token:{jti}`. */
  credential: string | null;
};

/** As in an address: `after`, a position, and `limit`. */
export type DeedPage = Readonly<Record<string, string>>;

export interface Confirmation {
  /** As it was mailed. */
  code: string;
  /** The one that was registered with. */
  password: string;
}

export interface ClientCredentials {
  id: string;
  secret: string;
  /** Separated by spaces. */
  scope?: string | undefined;
}

/** What the mailer asks, by service binding to the entrypoint `Addresses`. */
export interface AddressCalls {
  /** @returns where a user of the realm has her mail; null where that is not known */
  addressOf(whose: Whose, subject: string): Promise<Reply<string | null>>;
}
