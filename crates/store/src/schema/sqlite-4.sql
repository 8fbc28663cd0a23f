-- The fourth migration on SQLite.
-- postgres-4.sql is the same tables for PostgreSQL: keep the two in step.

-- ── Mailboxes and what is in them ───────────────────────────────────────────────────────────────

-- Messages with more entries than one: how many more. Most have one, and a copy or an expunge of ten
-- thousand messages is not to write their summaries anew for a count.
CREATE TABLE copies (
  message INTEGER NOT NULL PRIMARY KEY,
  more    INTEGER NOT NULL CHECK (more > 0)
) STRICT;
INSERT INTO copies (message, more) SELECT id, places - 1 FROM messages WHERE places > 1;
ALTER TABLE messages DROP COLUMN places;

-- The index is merged in small steps with what is written to it: see src/search/mod.rs.
INSERT INTO search (search, rank) VALUES ('automerge', 0);
