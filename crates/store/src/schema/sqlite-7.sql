-- The seventh migration on SQLite: what happened in an account as a whole, threads, uploads.
-- postgres-7.sql is the same tables for PostgreSQL: keep the two in step.

-- ── Who ─────────────────────────────────────────────────────────────────────────────────────────

-- When it was last changed what others may do in the account: by that, mailboxes come and go for them.
ALTER TABLE accounts ADD COLUMN shared_modseq INTEGER NOT NULL DEFAULT 0;
-- What left before is not known (any more).
ALTER TABLE accounts ADD COLUMN forgotten_modseq INTEGER NOT NULL DEFAULT 0;
UPDATE accounts SET forgotten_modseq = modseq;
-- Messages up to this one have their threads, of those that came before threads were kept. NULL: all of them
-- have; what came later and has none waits for the index too.
ALTER TABLE accounts ADD COLUMN threaded_upto INTEGER DEFAULT 0;

-- ── Mailboxes and what is in them ───────────────────────────────────────────────────────────────

ALTER TABLE mailboxes ADD COLUMN sort_order INTEGER NOT NULL DEFAULT 0;
ALTER TABLE mailboxes ADD COLUMN created_modseq INTEGER NOT NULL DEFAULT 0;
-- Of the last change of the mailbox itself: name, role, order, subscription, grants.
ALTER TABLE mailboxes ADD COLUMN changed_modseq INTEGER NOT NULL DEFAULT 0;

ALTER TABLE messages ADD COLUMN created_modseq INTEGER NOT NULL DEFAULT 0;

-- Where a message is. Messages are numbered in the order in which they come, so this grows at one end.
CREATE INDEX entries_by_message ON entries (message);

-- Messages that left a mailbox, each with its thread (0: it had none yet): eight octets and eight, big-endian.
CREATE TABLE departures (
  account  INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  modseq   INTEGER NOT NULL,
  mailbox  INTEGER NOT NULL,
  messages BLOB    NOT NULL,
  PRIMARY KEY (account, modseq, mailbox)
) STRICT, WITHOUT ROWID;

-- Mailboxes that are gone.
CREATE TABLE lost_mailboxes (
  account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  modseq  INTEGER NOT NULL,
  mailbox INTEGER NOT NULL,
  PRIMARY KEY (account, modseq, mailbox)
) STRICT, WITHOUT ROWID;

-- ── Threads ─────────────────────────────────────────────────────────────────────────────────────

-- See src/threads.rs. A thread is numbered by its first message.
CREATE TABLE threaded (
  message INTEGER NOT NULL PRIMARY KEY,
  thread  INTEGER NOT NULL
) STRICT;
CREATE INDEX threaded_by_thread ON threaded (thread);

-- By what messages find their thread: keyed hashes of base subject and message id.
CREATE TABLE thread_keys (
  account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  key     INTEGER NOT NULL,
  thread  INTEGER NOT NULL,
  PRIMARY KEY (account, key)
) STRICT, WITHOUT ROWID;

-- ── Octets ──────────────────────────────────────────────────────────────────────────────────────

-- What clients upload to make messages of it, kept for some hours.
CREATE TABLE uploads (
  id          INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  account     INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  blob        INTEGER NOT NULL,
  media_type  TEXT    NOT NULL,
  size_octets INTEGER NOT NULL,
  uploaded_at INTEGER NOT NULL
) STRICT;
CREATE INDEX uploads_by_account ON uploads (account, uploaded_at);
CREATE INDEX uploads_by_time ON uploads (uploaded_at);
