CREATE TABLE products (
  position INTEGER PRIMARY KEY,
  tenant TEXT NOT NULL,
  -- Empty for none: a key knows no NULL.
  jurisdiction TEXT NOT NULL,
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  description TEXT NOT NULL,
  -- In the currency's minor unit.
  amount INTEGER NOT NULL,
  currency TEXT NOT NULL,
  -- The SHA-256 of its bytes, in hexadecimal.
  picture TEXT,
  UNIQUE (tenant, jurisdiction, id)
);

CREATE VIRTUAL TABLE words USING fts5 (
  name, description, content = 'products', content_rowid = 'position',
  tokenize = 'unicode61 remove_diacritics 2'
);

CREATE TRIGGER products_inserted AFTER INSERT ON products BEGIN
  INSERT INTO words (rowid, name, description) VALUES (NEW.position, NEW.name, NEW.description);
END;

CREATE TRIGGER products_deleted AFTER DELETE ON products BEGIN
  INSERT INTO words (words, rowid, name, description)
    VALUES ('delete', OLD.position, OLD.name, OLD.description);
END;

CREATE TRIGGER products_updated AFTER UPDATE OF name, description ON products BEGIN
  INSERT INTO words (words, rowid, name, description)
    VALUES ('delete', OLD.position, OLD.name, OLD.description);
  INSERT INTO words (rowid, name, description) VALUES (NEW.position, NEW.name, NEW.description);
END;
