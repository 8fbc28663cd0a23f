-- The fourth migration on PostgreSQL.
-- sqlite-4.sql is the same tables for SQLite: keep the two in step.

-- ── Mailboxes and what is in them ───────────────────────────────────────────────────────────────

-- Messages with more entries than one: how many more. Most have one, and a copy or an expunge of ten
-- thousand messages is not to write their summaries anew for a count.
CREATE TABLE copies (
  message BIGINT NOT NULL PRIMARY KEY,
  more    BIGINT NOT NULL CHECK (more > 0)
);
INSERT INTO copies (message, more) SELECT id, places - 1 FROM messages WHERE places > 1;
ALTER TABLE messages DROP COLUMN places;
