-- The third migration on SQLite: more ways in, and more for clients to keep. postgres-3.sql is the
-- same tables for PostgreSQL: keep the two in step.

-- Asked for with every message: whom the account wrote to last.
CREATE INDEX senders_written ON senders (account, last_at) WHERE written > 0;

-- ── Moving in ───────────────────────────────────────────────────────────────────────────────────

-- What imports have brought, so that another import of it brings nothing, whatever its owner has
-- done with it since: moved it, or deleted it.
CREATE TABLE imported (
  account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  print   BLOB    NOT NULL,                -- 16 octets of a hash of the mailbox's name and the content
  PRIMARY KEY (account, print)
) STRICT, WITHOUT ROWID;

-- How far the import of a mailbox of another server has come.
CREATE TABLE import_marks (
  account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  source  BLOB    NOT NULL,                -- hash of server, login, mailbox, UIDVALIDITY and target
  uid     INTEGER NOT NULL,                -- theirs; up to it all is done
  PRIMARY KEY (account, source)
) STRICT, WITHOUT ROWID;
