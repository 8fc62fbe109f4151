-- What was said, as the rooms write it behind. `jurisdiction` is '' where the realm has none: a key knows no NULL.
CREATE TABLE messages (
  tenant TEXT NOT NULL,
  jurisdiction TEXT NOT NULL,
  "order" TEXT NOT NULL,
  seq INTEGER NOT NULL,
  id TEXT NOT NULL,
  subject TEXT NOT NULL,
  part TEXT NOT NULL,
  text TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (tenant, jurisdiction, "order", seq)
) WITHOUT ROWID;
