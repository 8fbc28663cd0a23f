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
