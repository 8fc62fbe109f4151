-- Who has administered what; written together with what it tells of. No secret is here, and no hash of one.
CREATE TABLE administration (
  -- Never given twice, even where the last one was forgotten.
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  tenant TEXT NOT NULL,
  subject TEXT NOT NULL,
  credential TEXT,
  what TEXT NOT NULL,
  -- JSON: about whom or what.
  about TEXT NOT NULL
);
CREATE INDEX administration_by_tenant ON administration (tenant, position);
CREATE INDEX administration_by_time ON administration (at);
