-- The fifth migration on PostgreSQL: a second step of logging in, and programs without a browser.
-- sqlite-5.sql is the same tables for SQLite: keep the two in step.

-- ── Logging in ──────────────────────────────────────────────────────────────────────────────────

-- Secrets that codes are made from (RFC 6238). They must be known to check a code, and a key to seal them
-- with would lie in this same database.
CREATE TABLE totp (
  account   BIGINT  NOT NULL PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
  secret    BYTEA   NOT NULL,
  last_step BIGINT  NOT NULL,              -- of the last code that was taken: none up to it is taken again
  since     BIGINT  NOT NULL
);

-- For who has lost what shows the codes: each is good for once, and then its row is gone.
CREATE TABLE recovery_codes (
  account BIGINT  NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  digest  BYTEA   NOT NULL,
  PRIMARY KEY (account, digest)
);

-- Programs that wait for their owner to consent in a browser elsewhere (RFC 8628).
CREATE TABLE oauth_devices (
  digest       BYTEA   NOT NULL PRIMARY KEY, -- of the code that the program asks with
  user_digest  BYTEA   NOT NULL UNIQUE,      -- of the one that its owner types
  client       TEXT COLLATE "C" NOT NULL,
  client_name  TEXT COLLATE "C" NOT NULL,
  scopes       BIGINT  NOT NULL,
  pause_secs   BIGINT  NOT NULL,             -- between two questions, at least
  asked_at     BIGINT  NOT NULL,             -- when the last one came
  expires_at   BIGINT  NOT NULL,
  denied       BIGINT  NOT NULL,
  account      BIGINT  REFERENCES accounts (id) ON DELETE CASCADE -- who consents; NULL: nobody yet
);
CREATE INDEX oauth_devices_by_time ON oauth_devices (expires_at);
CREATE INDEX oauth_devices_by_account ON oauth_devices (account);
