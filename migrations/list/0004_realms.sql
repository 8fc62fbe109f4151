-- Whose a row is, is a tenant and a jurisdiction: src/contract/realm-rows.ts narrows every query to both.

-- Labels and counts knew the tenant alone.
ALTER TABLE labels ADD COLUMN jurisdiction TEXT;
UPDATE labels SET jurisdiction =
  (SELECT jurisdiction FROM instances WHERE instances.object = labels.object)
  WHERE object IN (SELECT object FROM instances WHERE jurisdiction IS NOT NULL);

DROP TRIGGER instances_inserted;
CREATE TRIGGER instances_inserted AFTER INSERT ON instances BEGIN
  INSERT INTO labels (tenant, workflow, label, created_at, object, jurisdiction)
    SELECT NEW.tenant, NEW.workflow, value, NEW.created_at, NEW.object, NEW.jurisdiction
      FROM json_each(NEW.labels);
END;

DROP TRIGGER instances_updated;
CREATE TRIGGER instances_updated AFTER UPDATE ON instances
  WHEN OLD.labels <> NEW.labels OR OLD.created_at <> NEW.created_at BEGIN
  DELETE FROM labels
    WHERE tenant = OLD.tenant AND workflow = OLD.workflow AND created_at = OLD.created_at
      AND object = OLD.object AND label IN (
        SELECT value FROM json_each(OLD.labels)
          WHERE OLD.created_at <> NEW.created_at
            OR value NOT IN (SELECT value FROM json_each(NEW.labels)));
  INSERT INTO labels (tenant, workflow, label, created_at, object, jurisdiction)
    SELECT NEW.tenant, NEW.workflow, value, NEW.created_at, NEW.object, NEW.jurisdiction
      FROM json_each(NEW.labels)
      WHERE OLD.created_at <> NEW.created_at
        OR value NOT IN (SELECT value FROM json_each(OLD.labels));
END;

-- A key knows no NULL: without a jurisdiction it is empty here.
DROP TRIGGER labels_inserted;
DROP TRIGGER labels_deleted;
DROP TABLE counts;
CREATE TABLE counts (
  tenant TEXT NOT NULL,
  jurisdiction TEXT NOT NULL,
  workflow TEXT NOT NULL,
  label TEXT NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (tenant, jurisdiction, workflow, label)
) WITHOUT ROWID;
INSERT INTO counts (tenant, jurisdiction, workflow, label, count)
  SELECT tenant, coalesce(jurisdiction, ''), workflow, label, count(*) FROM labels
    WHERE label NOT LIKE 'attribute:%'
    GROUP BY tenant, coalesce(jurisdiction, ''), workflow, label;

CREATE TRIGGER labels_inserted AFTER INSERT ON labels WHEN NEW.label NOT LIKE 'attribute:%' BEGIN
  INSERT INTO counts (tenant, jurisdiction, workflow, label, count)
    VALUES (NEW.tenant, coalesce(NEW.jurisdiction, ''), NEW.workflow, NEW.label, 1)
    ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER labels_deleted AFTER DELETE ON labels WHEN OLD.label NOT LIKE 'attribute:%' BEGIN
  UPDATE counts SET count = count - 1
    WHERE tenant = OLD.tenant AND jurisdiction = coalesce(OLD.jurisdiction, '')
      AND workflow = OLD.workflow AND label = OLD.label;
END;

-- Letters knew the tenant alone, but what is filed says which jurisdiction it was on its way to. What names
-- none that there is, or is too deep for SQLite to tell, is nobody's, for administrators to look at.
ALTER TABLE dead_letters ADD COLUMN jurisdiction TEXT;
UPDATE dead_letters SET jurisdiction = body ->> '$.jurisdiction'
  WHERE json_valid(body) AND body ->> '$.jurisdiction' IN ('eu', 'fedramp', 'fedramp-high', 'us');
UPDATE dead_letters SET tenant = ''
  WHERE NOT json_valid(body)
    OR (jurisdiction IS NULL AND body ->> '$.jurisdiction' IS NOT NULL);

DROP TRIGGER letters_erased;
CREATE TRIGGER letters_erased AFTER UPDATE ON instances
  WHEN NEW.status = 'erased' AND OLD.status <> 'erased' BEGIN
  DELETE FROM dead_letters
    WHERE tenant = OLD.tenant AND jurisdiction IS OLD.jurisdiction
      AND subject = OLD.workflow || '/' || OLD.id;
END;
