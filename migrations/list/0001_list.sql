-- One row an instance. An erased one keeps what says that it is newer than anything still under way,
-- and nothing else. Without a rowid the key costs no index of its own.
CREATE TABLE instances (
  object TEXT PRIMARY KEY,
  tenant TEXT NOT NULL,
  workflow TEXT NOT NULL,
  id TEXT,
  jurisdiction TEXT,
  epoch INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  version TEXT,
  status TEXT NOT NULL,
  state TEXT,
  attributes TEXT,
  incidents TEXT,
  due INTEGER,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  -- What it is found by, as a JSON list: the triggers below keep a row of `labels` for each.
  labels TEXT NOT NULL
) WITHOUT ROWID;

-- For the sweeper.
CREATE INDEX instances_due ON instances (due) WHERE due IS NOT NULL;

-- Newest first within a label: what every search reads.
CREATE TABLE labels (
  tenant TEXT NOT NULL,
  workflow TEXT NOT NULL,
  label TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  object TEXT NOT NULL,
  PRIMARY KEY (tenant, workflow, label, created_at, object)
) WITHOUT ROWID;

-- How many rows `labels` has, so that counting never scans. Attributes have too many values for it.
CREATE TABLE counts (
  tenant TEXT NOT NULL,
  workflow TEXT NOT NULL,
  label TEXT NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (tenant, workflow, label)
) WITHOUT ROWID;

-- Incidents that somebody is to be told of.
CREATE TABLE alerts (
  at INTEGER NOT NULL,
  alert TEXT NOT NULL,
  object TEXT NOT NULL,
  tenant TEXT NOT NULL,
  workflow TEXT NOT NULL,
  id TEXT NOT NULL,
  incident TEXT NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  -- When it is to be sent; null for never again.
  due INTEGER,
  PRIMARY KEY (at, alert)
) WITHOUT ROWID;
CREATE INDEX alerts_due ON alerts (due) WHERE due IS NOT NULL;

CREATE TRIGGER instances_inserted AFTER INSERT ON instances BEGIN
  INSERT INTO labels
    SELECT NEW.tenant, NEW.workflow, value, NEW.created_at, NEW.object FROM json_each(NEW.labels);
END;

CREATE TRIGGER instances_updated AFTER UPDATE ON instances
  WHEN OLD.labels <> NEW.labels OR OLD.created_at <> NEW.created_at BEGIN
  DELETE FROM labels
    WHERE tenant = OLD.tenant AND workflow = OLD.workflow AND created_at = OLD.created_at
      AND object = OLD.object AND label IN (
        SELECT value FROM json_each(OLD.labels)
          WHERE OLD.created_at <> NEW.created_at
            OR value NOT IN (SELECT value FROM json_each(NEW.labels)));
  INSERT INTO labels
    SELECT NEW.tenant, NEW.workflow, value, NEW.created_at, NEW.object FROM json_each(NEW.labels)
      WHERE OLD.created_at <> NEW.created_at
        OR value NOT IN (SELECT value FROM json_each(OLD.labels));
END;

CREATE TRIGGER instances_deleted AFTER DELETE ON instances BEGIN
  DELETE FROM labels
    WHERE tenant = OLD.tenant AND workflow = OLD.workflow AND created_at = OLD.created_at
      AND object = OLD.object AND label IN (SELECT value FROM json_each(OLD.labels));
END;

CREATE TRIGGER labels_inserted AFTER INSERT ON labels WHEN NEW.label NOT LIKE 'attribute:%' BEGIN
  INSERT INTO counts VALUES (NEW.tenant, NEW.workflow, NEW.label, 1)
    ON CONFLICT DO UPDATE SET count = count + 1;
END;

CREATE TRIGGER labels_deleted AFTER DELETE ON labels WHEN OLD.label NOT LIKE 'attribute:%' BEGIN
  UPDATE counts SET count = count - 1
    WHERE tenant = OLD.tenant AND workflow = OLD.workflow AND label = OLD.label;
END;

CREATE TRIGGER incident_appeared AFTER INSERT ON labels
  WHEN NEW.label LIKE 'incident:%' AND NEW.label <> 'incident:any' BEGIN
  INSERT INTO alerts (at, alert, object, tenant, workflow, id, incident, due)
    SELECT updated.revision, lower(hex(randomblob(16))), updated.object, updated.tenant,
        updated.workflow, updated.id, incident.value, updated.revision
      FROM instances AS updated, json_each(updated.incidents) AS incident
      WHERE updated.object = NEW.object
        AND 'incident:' || (incident.value ->> 'kind') = NEW.label
      LIMIT 1;
END;

-- What an erased instance was about is gone from here as well.
CREATE TRIGGER instance_erased AFTER UPDATE ON instances
  WHEN NEW.status = 'erased' AND OLD.status <> 'erased' BEGIN
  DELETE FROM alerts WHERE object = NEW.object;
END;
