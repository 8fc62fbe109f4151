-- What could not be delivered, from every queue and exchange; what instances keep parked is read from
-- `instances`. One row an event, however often it dies.
CREATE TABLE dead_letters (
  id TEXT PRIMARY KEY,
  -- Empty where the letter is too broken to tell.
  tenant TEXT NOT NULL,
  -- `queue:kitchen`, `rabbitmq:kitchen`, `webhook:…`
  origin TEXT NOT NULL,
  -- Of the message that brought it last: the same one again is no second death.
  message TEXT NOT NULL,
  subject TEXT,
  type TEXT,
  reason TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  body TEXT NOT NULL,
  history TEXT NOT NULL,
  -- dead, sending, sent or discarded
  status TEXT NOT NULL,
  filed_at INTEGER NOT NULL,
  changed_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX dead_letters_of ON dead_letters (tenant, status, filed_at, id);
CREATE INDEX dead_letters_about ON dead_letters (tenant, subject);

-- What an erased instance was about is gone from here as well.
CREATE TRIGGER letters_erased AFTER UPDATE ON instances
  WHEN NEW.status = 'erased' AND OLD.status <> 'erased' BEGIN
  DELETE FROM dead_letters WHERE tenant = OLD.tenant AND subject = OLD.workflow || '/' || OLD.id;
END;
