-- Where a user has her mail, and when the orchestrator was told of her: null until then.
ALTER TABLE users ADD COLUMN email TEXT;
ALTER TABLE users ADD COLUMN announced_at INTEGER;
-- Who has registered before has been welcome long since.
UPDATE users SET announced_at = created_at;
CREATE INDEX users_unannounced ON users (created_at) WHERE announced_at IS NULL;
