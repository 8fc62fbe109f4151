-- The last seal of the instance's journal that the list was told of: what it has been since, it must follow.
ALTER TABLE instances ADD COLUMN head TEXT;
