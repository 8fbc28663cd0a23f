-- The fifth migration on SQLite: a second step of logging in, and programs without a browser.
-- postgres-5.sql is the same tables for PostgreSQL: keep the two in step.

-- ── Logging in ──────────────────────────────────────────────────────────────────────────────────

-- Secrets that codes are made from (RFC 6238). They must be known to check a code, and a key to seal them
-- with would lie in this same database.
CREATE TABLE totp (
  account   INTEGER NOT NULL PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
  secret    BLOB    NOT NULL,
  last_step INTEGER NOT NULL,              -- of the last code that was taken: none up to it is taken again
  since     INTEGER NOT NULL
) STRICT;

-- For who has lost what shows the codes: each is good for once, and then its row is gone.
CREATE TABLE recovery_codes (
  account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  digest  BLOB    NOT NULL,
  PRIMARY KEY (account, digest)
) STRICT, WITHOUT ROWID;

-- Programs that wait for their owner to consent in a browser elsewhere (RFC 8628).
CREATE TABLE oauth_devices (
  digest       BLOB    NOT NULL PRIMARY KEY, -- of the code that the program asks with
  user_digest  BLOB    NOT NULL UNIQUE,      -- of the one that its owner types
  client       TEXT    NOT NULL,
  client_name  TEXT    NOT NULL,
  scopes       INTEGER NOT NULL,
  pause_secs   INTEGER NOT NULL,             -- between two questions, at least
  asked_at     INTEGER NOT NULL,             -- when the last one came
  expires_at   INTEGER NOT NULL,
  denied       INTEGER NOT NULL,
  account      INTEGER REFERENCES accounts (id) ON DELETE CASCADE -- who consents; NULL: nobody yet
) STRICT, WITHOUT ROWID;
CREATE INDEX oauth_devices_by_time ON oauth_devices (expires_at);
CREATE INDEX oauth_devices_by_account ON oauth_devices (account);
