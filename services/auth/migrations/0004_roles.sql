-- JSON, a list: what a user may be. Who registers is a customer.
ALTER TABLE users ADD COLUMN roles TEXT NOT NULL DEFAULT '["customer"]';
