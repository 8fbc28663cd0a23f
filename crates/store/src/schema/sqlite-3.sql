-- The third migration on SQLite: more ways in, and more for clients to keep. postgres-3.sql is the
-- same tables for PostgreSQL: keep the two in step.

-- Asked for with every message: whom the account wrote to last.
CREATE INDEX senders_written ON senders (account, last_at) WHERE written > 0;

-- What was never tried need not wait for what failed before: see src/queue.rs.
CREATE INDEX queue_fresh ON queue (due_at) WHERE attempts = 0 AND due_at IS NOT NULL;

-- ── Trust ───────────────────────────────────────────────────────────────────────────────────────

-- A policy that is in use is renewed ahead of its end; this says which are.
ALTER TABLE sts_policies ADD COLUMN used_at INTEGER NOT NULL DEFAULT 0;

-- How a rotation goes: since when the DNS has shown a key's record, and what is in the way.
ALTER TABLE signing_keys ADD COLUMN shown_at INTEGER;
ALTER TABLE signing_keys ADD COLUMN trouble TEXT NOT NULL DEFAULT '';

-- Messages that failed DMARC, to be told to the domains they claim to be from (RFC 9991). One row for
-- what failed in the same way.
CREATE TABLE failures (
  domain   TEXT NOT NULL,               -- whose policy it was
  way      BLOB NOT NULL,                   -- digest of how and from where
  what     TEXT NOT NULL,               -- JSON, of the first
  times    INTEGER NOT NULL,
  first_at INTEGER NOT NULL,
  PRIMARY KEY (domain, way)
) STRICT, WITHOUT ROWID;
CREATE INDEX failures_first ON failures (first_at);

-- ── Sharing ─────────────────────────────────────────────────────────────────────────────────────

-- What others may do in a mailbox (src/sharing.rs).
CREATE TABLE grants (
  mailbox  INTEGER NOT NULL REFERENCES mailboxes (id) ON DELETE CASCADE,
  grantee  INTEGER REFERENCES accounts (id) ON DELETE CASCADE, -- NULL: anyone
  negative INTEGER NOT NULL,            -- 1: these rights are denied
  rights   INTEGER NOT NULL             -- Rights
) STRICT;
CREATE UNIQUE INDEX grants_once ON grants (mailbox, COALESCE(grantee, 0), negative);
CREATE INDEX grants_by_grantee ON grants (grantee);

-- What clients keep with mailboxes and with the server (RFC 5464; src/metadata.rs).
CREATE TABLE metadata (
  mailbox INTEGER REFERENCES mailboxes (id) ON DELETE CASCADE, -- NULL: the server's
  account INTEGER REFERENCES accounts (id) ON DELETE CASCADE,  -- NULL: shared by all who see the mailbox
  name    TEXT NOT NULL,             -- in lower case
  value   BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX metadata_once ON metadata (COALESCE(mailbox, 0), COALESCE(account, 0), name);
CREATE INDEX metadata_by_account ON metadata (account);

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
