-- The third migration on SQLite: more ways in, and more for clients to keep. postgres-3.sql is the
-- same tables for PostgreSQL: keep the two in step.

-- Asked for with every message: whom the account wrote to last.
CREATE INDEX senders_written ON senders (account, last_at) WHERE written > 0;

-- What was never tried need not wait for what failed before: see src/queue.rs.
CREATE INDEX queue_fresh ON queue (due_at) WHERE attempts = 0 AND due_at IS NOT NULL;
