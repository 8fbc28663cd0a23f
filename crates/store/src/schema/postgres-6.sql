-- The sixth migration on PostgreSQL: app passwords by SCRAM.
-- sqlite-6.sql is the same table for SQLite: keep the two in step.

-- ── Logging in ──────────────────────────────────────────────────────────────────────────────────

-- What a SCRAM proof of an app password is compared with. The client hears one salt and one count before it
-- proves anything, so a row counts only while these are what the account's credentials have. App passwords
-- that are older than this table have no row before they have logged in by PLAIN.
CREATE TABLE app_password_keys (
  app_password BIGINT  NOT NULL PRIMARY KEY REFERENCES app_passwords (id) ON DELETE CASCADE,
  salt         BYTEA   NOT NULL,
  iterations   BIGINT  NOT NULL,
  stored_key   BYTEA   NOT NULL,
  server_key   BYTEA   NOT NULL
);
