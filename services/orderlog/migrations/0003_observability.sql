-- Rows are of a tenant and a jurisdiction ('' for none), are found by their kind too, and end some day.
CREATE TABLE entries (
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant TEXT NOT NULL,
  jurisdiction TEXT NOT NULL,
  source TEXT NOT NULL,
  id TEXT NOT NULL,
  type TEXT NOT NULL,
  subject TEXT NOT NULL,
  -- When it happened: ISO 8601 in UTC, to the millisecond.
  time TEXT NOT NULL,
  data TEXT NOT NULL,
  -- When it was written down: milliseconds since the epoch.
  logged_at INTEGER NOT NULL,
  UNIQUE (tenant, jurisdiction, source, id)
);
INSERT INTO entries (position, tenant, jurisdiction, source, id, type, subject, time, data, logged_at)
  SELECT position, tenant, '', source, id, type, subject,
         coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', time), time), data,
         coalesce(CAST(strftime('%s', time) AS INTEGER), 0) * 1000
    FROM log;
DROP TABLE log;
CREATE INDEX entries_by_position ON entries (tenant, jurisdiction, position);
CREATE INDEX entries_by_subject ON entries (tenant, jurisdiction, subject, position);
CREATE INDEX entries_by_type ON entries (tenant, jurisdiction, type, position);
CREATE INDEX entries_by_time ON entries (tenant, jurisdiction, time);
CREATE INDEX entries_by_age ON entries (logged_at);
