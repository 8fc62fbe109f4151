CREATE TABLE log (
  position INTEGER PRIMARY KEY,
  tenant TEXT NOT NULL,
  source TEXT NOT NULL,
  id TEXT NOT NULL,
  type TEXT NOT NULL,
  subject TEXT NOT NULL,
  time TEXT NOT NULL,
  data TEXT NOT NULL,
  UNIQUE (tenant, source, id)
);
CREATE INDEX log_by_subject ON log (tenant, subject, position);

CREATE TABLE dead_letters (
  position INTEGER PRIMARY KEY,
  message TEXT NOT NULL UNIQUE,
  tenant TEXT,
  queue TEXT NOT NULL,
  reason TEXT NOT NULL,
  body TEXT NOT NULL,
  filed_at TEXT NOT NULL
);
CREATE INDEX dead_letters_by_tenant ON dead_letters (tenant, position);
