-- Times are milliseconds since the epoch. No password, secret or token is here in plain.
CREATE TABLE signing_keys (
  generation INTEGER PRIMARY KEY,
  kid TEXT NOT NULL UNIQUE,
  public TEXT NOT NULL,
  -- The private key under AES-256-GCM; null once it signs no more.
  wrapped TEXT,
  signs_from INTEGER NOT NULL,
  withdrawn_at INTEGER
);

CREATE TABLE users (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  password TEXT NOT NULL,
  tenant TEXT NOT NULL,
  jurisdiction TEXT,
  created_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE sessions (
  sid TEXT PRIMARY KEY,
  user TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  refreshed_at INTEGER NOT NULL,
  ends_at INTEGER NOT NULL,
  revoked_at INTEGER,
  reason TEXT
) WITHOUT ROWID;
CREATE INDEX sessions_by_user ON sessions (user, ends_at);
CREATE INDEX sessions_by_end ON sessions (ends_at);

CREATE TABLE refresh_tokens (
  hash TEXT PRIMARY KEY,
  sid TEXT NOT NULL,
  ends_at INTEGER NOT NULL,
  used_at INTEGER,
  -- What the next token was derived with, for as long as a lost answer may be repeated.
  nonce TEXT
) WITHOUT ROWID;
CREATE INDEX refresh_tokens_by_end ON refresh_tokens (ends_at);

-- Sessions whose access tokens may still live.
CREATE TABLE revocations (sid TEXT PRIMARY KEY, at INTEGER NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX revocations_by_time ON revocations (at);

CREATE TABLE clients (
  id TEXT PRIMARY KEY,
  sid TEXT NOT NULL,
  tenant TEXT NOT NULL,
  jurisdiction TEXT,
  roles TEXT NOT NULL,
  scopes TEXT NOT NULL,
  lifetime INTEGER NOT NULL,
  created_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE client_secrets (
  client TEXT NOT NULL,
  hash TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (client, hash)
) WITHOUT ROWID;

-- Failed logins; who and from where only as a keyed hash.
CREATE TABLE attempts (
  key TEXT PRIMARY KEY,
  failures INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  until INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX attempts_by_time ON attempts (last_at);

-- Where a user has logged in from before.
CREATE TABLE known_addresses (key TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX known_addresses_by_time ON known_addresses (at);
