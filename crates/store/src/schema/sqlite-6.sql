-- The sixth migration on SQLite: app passwords by SCRAM.
-- postgres-6.sql is the same table for PostgreSQL: keep the two in step.

-- ── Logging in ──────────────────────────────────────────────────────────────────────────────────

-- What a SCRAM proof of an app password is compared with. The client hears one salt and one count before it
-- proves anything, so a row counts only while these are what the account's credentials have. App passwords
-- that are older than this table have no row before they have logged in by PLAIN.
CREATE TABLE app_password_keys (
  app_password INTEGER NOT NULL PRIMARY KEY REFERENCES app_passwords (id) ON DELETE CASCADE,
  salt         BLOB    NOT NULL,
  iterations   INTEGER NOT NULL,
  stored_key   BLOB    NOT NULL,
  server_key   BLOB    NOT NULL
) STRICT;
