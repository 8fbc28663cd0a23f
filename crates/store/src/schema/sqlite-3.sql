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

-- ── Logging in ──────────────────────────────────────────────────────────────────────────────────

-- Counts the passwords that the account has had: a session ends with the password that opened it.
ALTER TABLE credentials ADD COLUMN version INTEGER NOT NULL DEFAULT 0;

-- Wrong guesses of late, by where they came from and whom they were aimed at; shared by nodes. Written
-- every few seconds for all guesses together, never once per guess.
CREATE TABLE login_guesses (
  place   BLOB    NOT NULL PRIMARY KEY,    -- keyed hash of an address, an account, or both
  guesses INTEGER NOT NULL,                -- at last_at; one is forgotten every ten minutes
  last_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX login_guesses_by_time ON login_guesses (last_at);

-- Who logged in, or tried to: one row for all that is alike in one day.
CREATE TABLE logins (
  account   INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  day       INTEGER NOT NULL,              -- since 1970, UTC
  protocol  INTEGER NOT NULL,
  address   TEXT    NOT NULL,              -- the client's; '' when it is not known
  tls       INTEGER NOT NULL,
  mechanism TEXT    NOT NULL,              -- by its SASL name; 'login' for a protocol's own command
  client    TEXT    NOT NULL,              -- app password or OAuth client; '' for the main password
  outcome   INTEGER NOT NULL,              -- 0: let in; otherwise why not
  count     INTEGER NOT NULL,
  last_at   INTEGER NOT NULL,
  PRIMARY KEY (account, day, protocol, address, tls, mechanism, client, outcome)
) STRICT, WITHOUT ROWID;
CREATE INDEX logins_by_time ON logins (account, last_at);

-- Passwords for one program each. They are random and long, so a fast keyed hash hides them.
CREATE TABLE app_passwords (
  id           INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  account      INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  name         TEXT    NOT NULL,
  digest       BLOB    NOT NULL,
  scopes       INTEGER NOT NULL,           -- 1 IMAP, 2 POP3, 4 submission, 8 ManageSieve
  created_at   INTEGER NOT NULL,
  last_used_at INTEGER,                    -- NULL: never
  UNIQUE (account, name),
  UNIQUE (account, digest)
) STRICT;

-- Programs that registered themselves (RFC 7591), to be given access to accounts.
CREATE TABLE oauth_clients (
  id            TEXT NOT NULL PRIMARY KEY,
  name          TEXT NOT NULL,
  redirect_uris TEXT NOT NULL,             -- JSON
  created_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- An account's consent to one program. Tokens live and die with it.
CREATE TABLE oauth_grants (
  id           INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  account      INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  client       TEXT NOT NULL,
  client_name  TEXT NOT NULL,              -- as it was shown when consent was given
  scopes       INTEGER NOT NULL,
  created_at   INTEGER NOT NULL,
  last_used_at INTEGER NOT NULL
) STRICT;
CREATE INDEX oauth_grants_by_account ON oauth_grants (account);

-- On the way from the consent page to the program (RFC 6749 §4.1.2), good for a minute and for once.
CREATE TABLE oauth_codes (
  digest       BLOB NOT NULL PRIMARY KEY,
  account      INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  client       TEXT NOT NULL,
  client_name  TEXT NOT NULL,
  redirect_uri TEXT NOT NULL,
  challenge    TEXT NOT NULL,              -- RFC 7636, S256
  scopes       INTEGER NOT NULL,
  expires_at   INTEGER NOT NULL,
  grant_made   INTEGER                        -- NULL: not used yet
) STRICT, WITHOUT ROWID;

-- Random, so a fast keyed hash hides them.
CREATE TABLE oauth_tokens (
  digest     BLOB NOT NULL PRIMARY KEY,
  of_grant   INTEGER NOT NULL REFERENCES oauth_grants (id) ON DELETE CASCADE,
  kind       INTEGER NOT NULL,                -- 1: access, 2: refresh
  spent      INTEGER NOT NULL,                -- 1: exchanged for the next; seen again, all of them end
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX oauth_tokens_by_grant ON oauth_tokens (of_grant);
CREATE INDEX oauth_tokens_by_time ON oauth_tokens (expires_at);
