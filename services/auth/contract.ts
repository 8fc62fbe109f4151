import type { Problem } from "../../src/contract/problem.ts";
import type { PublicKey } from "../../src/contract/published-keys.ts";
import type { Granted } from "./access-token.ts";
import type { Client, NewClient, ShownSecret } from "./clients.ts";
import type { Login } from "./users.ts";

/** An error's class doesn't survive the way between two Workers: a problem goes as a value. */
export type Reply<Value> = { ok: true; value: Value } | { ok: false; problem: Problem };

/** Whose sessions are ended: all of a user's, or one. */
export type Revoked = { username: string } | { subject: string } | { session: string };

/**
 * What the gateway asks of the auth service, by service binding to its entrypoint `Auth`. What is for
 * administrators takes the Authorization header as it came: the service looks at it itself.
 */
export interface AuthCalls {
  /** @param address the client's, which is slowed down */
  register(login: Login, address: string): Promise<Reply<null>>;
  logIn(login: Login, address: string): Promise<Reply<Granted>>;
  refresh(refreshToken: string): Promise<Reply<Granted>>;
  logOut(refreshToken: string): Promise<Reply<null>>;
  grantToClient(client: ClientCredentials): Promise<Reply<Granted>>;
  keySet(): Promise<Reply<{ keys: PublicKey[] }>>;

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
  addSecret(authorization: string | null, id: string): Promise<Reply<ShownSecret>>;
  removeSecret(authorization: string | null, id: string, name: string): Promise<Reply<null>>;
}

export interface ClientCredentials {
  id: string;
  secret: string;
  /** Separated by spaces. */
  scope?: string | undefined;
}
