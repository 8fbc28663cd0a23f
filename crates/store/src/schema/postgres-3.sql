-- The third migration on PostgreSQL: more ways in, and more for clients to keep. sqlite-3.sql is the
-- same tables for SQLite: keep the two in step.

-- Asked for with every message: whom the account wrote to last.
CREATE INDEX senders_written ON senders (account, last_at) WHERE written > 0;

-- ── Moving in ───────────────────────────────────────────────────────────────────────────────────

-- What imports have brought, so that another import of it brings nothing, whatever its owner has
-- done with it since: moved it, or deleted it.
CREATE TABLE imported (
  account BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  print   BYTEA  NOT NULL,                 -- 16 octets of a hash of the mailbox's name and the content
  PRIMARY KEY (account, print)
);

-- How far the import of a mailbox of another server has come.
CREATE TABLE import_marks (
  account BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  source  BYTEA  NOT NULL,                 -- hash of server, login, mailbox, UIDVALIDITY and target
  uid     BIGINT NOT NULL,                 -- theirs; up to it all is done
  PRIMARY KEY (account, source)
);
