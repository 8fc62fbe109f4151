-- What became of each mail, by the event that asked for it.
CREATE TABLE mails (
  tenant TEXT NOT NULL,
  jurisdiction TEXT NOT NULL,
  source TEXT NOT NULL,
  id TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('claimed', 'sent', 'unaddressed')),
  -- Whose it is until `leased_until`; empty when nobody is at it.
  claim TEXT NOT NULL,
  leased_until INTEGER NOT NULL,
  -- When the provider was first asked without a clear refusal since.
  asked_at INTEGER,
  noted_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, jurisdiction, source, id)
) WITHOUT ROWID;
CREATE INDEX mails_by_age ON mails (noted_at);

-- The local provider: what it was given, each key once.
CREATE TABLE mailbox (
  key TEXT NOT NULL PRIMARY KEY,
  tenant TEXT NOT NULL,
  jurisdiction TEXT NOT NULL,
  recipient TEXT NOT NULL,
  subject TEXT NOT NULL,
  text TEXT NOT NULL,
  html TEXT NOT NULL,
  at INTEGER NOT NULL
);
CREATE INDEX mailbox_by_realm ON mailbox (tenant, jurisdiction, at);
CREATE INDEX mailbox_by_age ON mailbox (at);
