-- Who has registered and has yet to confirm. A row is a registration for an hour; of who never confirms
-- nothing is left. The code that the mail brings is not here: it is derived from the id and AUTH_SECRET.
CREATE TABLE registrations (
  -- The user's, once she has confirmed.
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  -- null where no account may come of it.
  password TEXT,
  tenant TEXT NOT NULL,
  jurisdiction TEXT,
  created_at INTEGER NOT NULL,
  -- The template of the mail; null where the address has had enough of them.
  mail TEXT,
  mailed_at INTEGER
) WITHOUT ROWID;
CREATE INDEX registrations_by_name ON registrations (name, created_at);
CREATE INDEX registrations_by_time ON registrations (created_at);
