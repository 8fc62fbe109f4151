-- Rows are of a tenant and a jurisdiction ('' for none), are found by their kind too, and end some day.
CREATE TABLE entries (
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant TEXT NOT NULL,
  jurisdiction TEXT NOT NULL DEFAULT '',
  source TEXT NOT NULL,
  id TEXT NOT NULL,
  type TEXT NOT NULL,
  subject TEXT NOT NULL,
  -- When it happened: ISO 8601 in UTC, to the millisecond.
  time TEXT NOT NULL,
  data TEXT NOT NULL,
  -- When it was written down: milliseconds since the epoch. What ran before names neither of the two.
  logged_at INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000 AS INTEGER)),
  UNIQUE (tenant, jurisdiction, source, id)
);
INSERT INTO entries (position, tenant, jurisdiction, source, id, type, subject, time, data, logged_at)
  SELECT position, tenant, '', source, id, type, subject,
         coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', time), time), data,
         coalesce(CAST(strftime('%s', time) AS INTEGER), 0) * 1000
    FROM log;
DROP TABLE log;
ALTER TABLE entries RENAME TO log;
CREATE INDEX log_by_position ON log (tenant, jurisdiction, position);
CREATE INDEX log_by_subject ON log (tenant, jurisdiction, subject, position);
CREATE INDEX log_by_type ON log (tenant, jurisdiction, type, position);
CREATE INDEX log_by_time ON log (tenant, jurisdiction, time);
CREATE INDEX log_by_age ON log (logged_at);
