-- The third migration on PostgreSQL: more ways in, and more for clients to keep. sqlite-3.sql is the
-- same tables for SQLite: keep the two in step.

-- Asked for with every message: whom the account wrote to last.
CREATE INDEX senders_written ON senders (account, last_at) WHERE written > 0;

-- What was never tried need not wait for what failed before: see src/queue.rs.
CREATE INDEX queue_fresh ON queue (due_at) WHERE attempts = 0 AND due_at IS NOT NULL;

-- ── Trust ───────────────────────────────────────────────────────────────────────────────────────

-- A policy that is in use is renewed ahead of its end; this says which are.
ALTER TABLE sts_policies ADD COLUMN used_at BIGINT NOT NULL DEFAULT 0;

-- How a rotation goes: since when the DNS has shown a key's record, and what is in the way.
ALTER TABLE signing_keys ADD COLUMN shown_at BIGINT;
ALTER TABLE signing_keys ADD COLUMN trouble TEXT COLLATE "C" NOT NULL DEFAULT '';

-- Messages that failed DMARC, to be told to the domains they claim to be from (RFC 9991). One row for
-- what failed in the same way.
CREATE TABLE failures (
  domain   TEXT COLLATE "C" NOT NULL,               -- whose policy it was
  way      BYTEA NOT NULL,                   -- digest of how and from where
  what     TEXT COLLATE "C" NOT NULL,               -- JSON, of the first
  times    BIGINT NOT NULL,
  first_at BIGINT NOT NULL,
  PRIMARY KEY (domain, way)
);
CREATE INDEX failures_first ON failures (first_at);

-- ── Sharing ─────────────────────────────────────────────────────────────────────────────────────

-- What others may do in a mailbox (src/sharing.rs).
CREATE TABLE grants (
  mailbox  BIGINT  NOT NULL REFERENCES mailboxes (id) ON DELETE CASCADE,
  grantee  BIGINT  REFERENCES accounts (id) ON DELETE CASCADE, -- NULL: anyone
  negative BIGINT  NOT NULL,            -- 1: these rights are denied
  rights   BIGINT  NOT NULL             -- Rights
);
CREATE UNIQUE INDEX grants_once ON grants (mailbox, COALESCE(grantee, 0), negative);
CREATE INDEX grants_by_grantee ON grants (grantee);

-- What clients keep with mailboxes and with the server (RFC 5464; src/metadata.rs).
CREATE TABLE metadata (
  mailbox BIGINT  REFERENCES mailboxes (id) ON DELETE CASCADE, -- NULL: the server's
  account BIGINT  REFERENCES accounts (id) ON DELETE CASCADE,  -- NULL: shared by all who see the mailbox
  name    TEXT COLLATE "C" NOT NULL,             -- in lower case
  value   BYTEA NOT NULL
);
CREATE UNIQUE INDEX metadata_once ON metadata (COALESCE(mailbox, 0), COALESCE(account, 0), name);
CREATE INDEX metadata_by_account ON metadata (account);

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

-- ── Logging in ──────────────────────────────────────────────────────────────────────────────────

-- Counts the passwords that the account has had: a session ends with the password that opened it.
ALTER TABLE credentials ADD COLUMN version BIGINT NOT NULL DEFAULT 0;

-- Wrong guesses of late, by where they came from and whom they were aimed at; shared by nodes. Written
-- every few seconds for all guesses together, never once per guess.
CREATE TABLE login_guesses (
  place   BYTEA  NOT NULL PRIMARY KEY,    -- keyed hash of an address, an account, or both
  guesses BIGINT NOT NULL,                -- at last_at; one is forgotten every ten minutes
  last_at BIGINT NOT NULL
);
CREATE INDEX login_guesses_by_time ON login_guesses (last_at);

-- Who logged in, or tried to: one row for all that is alike in one day.
CREATE TABLE logins (
  account   BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  day       BIGINT NOT NULL,              -- since 1970, UTC
  protocol  BIGINT NOT NULL,
  address   TEXT COLLATE "C" NOT NULL,              -- the client's; '' when it is not known
  tls       BIGINT NOT NULL,
  mechanism TEXT COLLATE "C" NOT NULL,              -- by its SASL name; 'login' for a protocol's own command
  client    TEXT COLLATE "C" NOT NULL,              -- app password or OAuth client; '' for the main password
  outcome   BIGINT NOT NULL,              -- 0: let in; otherwise why not
  count     BIGINT NOT NULL,
  last_at   BIGINT NOT NULL,
  PRIMARY KEY (account, day, protocol, address, tls, mechanism, client, outcome)
);
CREATE INDEX logins_by_time ON logins (account, last_at);

-- Passwords for one program each. They are random and long, so a fast keyed hash hides them.
CREATE TABLE app_passwords (
  id           BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account      BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  name         TEXT COLLATE "C" NOT NULL,
  digest       BYTEA  NOT NULL,
  scopes       BIGINT NOT NULL,           -- 1 IMAP, 2 POP3, 4 submission, 8 ManageSieve
  created_at   BIGINT NOT NULL,
  last_used_at BIGINT,                    -- NULL: never
  UNIQUE (account, name),
  UNIQUE (account, digest)
);

-- Programs that registered themselves (RFC 7591), to be given access to accounts.
CREATE TABLE oauth_clients (
  id            TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  name          TEXT COLLATE "C" NOT NULL,
  redirect_uris TEXT COLLATE "C" NOT NULL,             -- JSON
  created_at    BIGINT NOT NULL
);

-- An account's consent to one program. Tokens live and die with it.
CREATE TABLE oauth_grants (
  id           BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account      BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  client       TEXT COLLATE "C" NOT NULL,
  client_name  TEXT COLLATE "C" NOT NULL,              -- as it was shown when consent was given
  scopes       BIGINT NOT NULL,
  created_at   BIGINT NOT NULL,
  last_used_at BIGINT NOT NULL
);
CREATE INDEX oauth_grants_by_account ON oauth_grants (account);

-- On the way from the consent page to the program (RFC 6749 §4.1.2), good for a minute and for once.
CREATE TABLE oauth_codes (
  digest       BYTEA NOT NULL PRIMARY KEY,
  account      BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  client       TEXT COLLATE "C" NOT NULL,
  client_name  TEXT COLLATE "C" NOT NULL,
  redirect_uri TEXT COLLATE "C" NOT NULL,
  challenge    TEXT COLLATE "C" NOT NULL,              -- RFC 7636, S256
  scopes       BIGINT NOT NULL,
  expires_at   BIGINT NOT NULL,
  grant_made   BIGINT                        -- NULL: not used yet
);

-- Random, so a fast keyed hash hides them.
CREATE TABLE oauth_tokens (
  digest     BYTEA NOT NULL PRIMARY KEY,
  of_grant   BIGINT NOT NULL REFERENCES oauth_grants (id) ON DELETE CASCADE,
  kind       BIGINT NOT NULL,                -- 1: access, 2: refresh
  spent      BIGINT NOT NULL,                -- 1: exchanged for the next; seen again, all of them end
  expires_at BIGINT NOT NULL
);
CREATE INDEX oauth_tokens_by_grant ON oauth_tokens (of_grant);
CREATE INDEX oauth_tokens_by_time ON oauth_tokens (expires_at);
