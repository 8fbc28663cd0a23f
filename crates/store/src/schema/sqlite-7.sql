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

-- ── Sending by programs that keep what was sent with the account ────────────────────────────────

-- As whom an account writes (RFC 8621 §6). The first is its own address.
CREATE TABLE identities (
  id             INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  account        INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  email          TEXT    NOT NULL,
  details        TEXT    NOT NULL,         -- JSON of IdentityDetails
  is_first       INTEGER NOT NULL,         -- 1: cannot be removed
  created_modseq INTEGER NOT NULL,
  changed_modseq INTEGER NOT NULL
) STRICT;
CREATE INDEX identities_by_account ON identities (account);

-- Messages that were handed over for sending, or are to be later. States: see src/submissions.rs.
CREATE TABLE submissions (
  id             INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  account        INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  identity       INTEGER NOT NULL,
  message        INTEGER NOT NULL,         -- need not exist any more
  thread         INTEGER NOT NULL,
  envelope       TEXT    NOT NULL,         -- JSON of Envelope
  blob           INTEGER,                  -- what is to be sent; NULL: it was, or never will be
  send_at        INTEGER NOT NULL,
  due_at         INTEGER,                  -- next attempt to hand it over; NULL: none
  state          INTEGER NOT NULL,         -- SubmissionState::code
  journey        BLOB,                     -- UUID; NULL: it was not handed over
  refusal        TEXT,                     -- why it was not taken; NULL: nobody refused it
  created_modseq INTEGER NOT NULL,
  changed_modseq INTEGER NOT NULL
) STRICT;
CREATE INDEX submissions_by_account ON submissions (account, id);
CREATE INDEX submissions_due ON submissions (due_at) WHERE due_at IS NOT NULL;

-- Identities and submissions that are gone.
CREATE TABLE lost_objects (
  account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  modseq  INTEGER NOT NULL,
  kind    INTEGER NOT NULL,                -- 1 identity, 2 submission
  object  INTEGER NOT NULL,
  PRIMARY KEY (account, modseq, kind, object)
) STRICT, WITHOUT ROWID;

-- What people who are away answer (RFC 8621 §8), beside whatever their own rules do.
CREATE TABLE absences (
  account        INTEGER NOT NULL PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
  is_enabled     INTEGER NOT NULL,
  from_at        INTEGER,
  to_at          INTEGER,
  answer         TEXT    NOT NULL,         -- JSON of AbsenceAnswer
  changed_modseq INTEGER NOT NULL
) STRICT;
