-- The seventh migration on PostgreSQL: what happened in an account as a whole, threads, uploads.
-- sqlite-7.sql is the same tables for SQLite: keep the two in step.

-- ── Who ─────────────────────────────────────────────────────────────────────────────────────────

-- When it was last changed what others may do in the account: by that, mailboxes come and go for them.
ALTER TABLE accounts ADD COLUMN shared_modseq BIGINT NOT NULL DEFAULT 0;
-- What left before is not known (any more).
ALTER TABLE accounts ADD COLUMN forgotten_modseq BIGINT NOT NULL DEFAULT 0;
UPDATE accounts SET forgotten_modseq = modseq;
-- Messages up to this one have their threads, of those that came before threads were kept. NULL: all of them
-- have; what came later and has none waits for the index too.
ALTER TABLE accounts ADD COLUMN threaded_upto BIGINT DEFAULT 0;

-- ── Mailboxes and what is in them ───────────────────────────────────────────────────────────────

ALTER TABLE mailboxes ADD COLUMN sort_order BIGINT NOT NULL DEFAULT 0;
ALTER TABLE mailboxes ADD COLUMN created_modseq BIGINT NOT NULL DEFAULT 0;
-- Of the last change of the mailbox itself: name, role, order, subscription, grants.
ALTER TABLE mailboxes ADD COLUMN changed_modseq BIGINT NOT NULL DEFAULT 0;

ALTER TABLE messages ADD COLUMN created_modseq BIGINT NOT NULL DEFAULT 0;

-- Where a message is. Messages are numbered in the order in which they come, so this grows at one end.
CREATE INDEX entries_by_message ON entries (message);

-- Messages that left a mailbox, each with its thread (0: it had none yet): eight octets and eight, big-endian.
CREATE TABLE departures (
  account  BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  modseq   BIGINT NOT NULL,
  mailbox  BIGINT NOT NULL,
  messages BYTEA    NOT NULL,
  PRIMARY KEY (account, modseq, mailbox)
);

-- Mailboxes that are gone.
CREATE TABLE lost_mailboxes (
  account BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  modseq  BIGINT NOT NULL,
  mailbox BIGINT NOT NULL,
  PRIMARY KEY (account, modseq, mailbox)
);

-- ── Threads ─────────────────────────────────────────────────────────────────────────────────────

-- See src/threads.rs. A thread is numbered by its first message.
CREATE TABLE threaded (
  message BIGINT NOT NULL PRIMARY KEY,
  thread  BIGINT NOT NULL
);
CREATE INDEX threaded_by_thread ON threaded (thread);

-- By what messages find their thread: keyed hashes of base subject and message id.
CREATE TABLE thread_keys (
  account BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  key     BIGINT NOT NULL,
  thread  BIGINT NOT NULL,
  PRIMARY KEY (account, key)
);

-- ── Octets ──────────────────────────────────────────────────────────────────────────────────────

-- What clients upload to make messages of it, kept for some hours.
CREATE TABLE uploads (
  id          BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account     BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  blob        BIGINT NOT NULL,
  media_type  TEXT COLLATE "C" NOT NULL,
  size_octets BIGINT NOT NULL,
  uploaded_at BIGINT NOT NULL
);
CREATE INDEX uploads_by_account ON uploads (account, uploaded_at);
CREATE INDEX uploads_by_time ON uploads (uploaded_at);

-- ── Sending by programs that keep what was sent with the account ────────────────────────────────

-- As whom an account writes (RFC 8621 §6). The first is its own address.
CREATE TABLE identities (
  id             BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account        BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  email          TEXT COLLATE "C" NOT NULL,
  details        TEXT COLLATE "C" NOT NULL,         -- JSON of IdentityDetails
  is_first       BIGINT NOT NULL,         -- 1: cannot be removed
  created_modseq BIGINT NOT NULL,
  changed_modseq BIGINT NOT NULL
);
CREATE INDEX identities_by_account ON identities (account);

-- Messages that were handed over for sending, or are to be later. States: see src/submissions.rs.
CREATE TABLE submissions (
  id             BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account        BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  identity       BIGINT NOT NULL,
  message        BIGINT NOT NULL,         -- need not exist any more
  thread         BIGINT NOT NULL,
  envelope       TEXT COLLATE "C" NOT NULL,         -- JSON of Envelope
  blob           BIGINT,                  -- what is to be sent; NULL: it was, or never will be
  send_at        BIGINT NOT NULL,
  due_at         BIGINT,                  -- next attempt to hand it over; NULL: none
  state          BIGINT NOT NULL,         -- SubmissionState::code
  journey        BYTEA,                     -- UUID; NULL: it was not handed over
  refusal        TEXT COLLATE "C",                     -- why it was not taken; NULL: nobody refused it
  created_modseq BIGINT NOT NULL,
  changed_modseq BIGINT NOT NULL
);
CREATE INDEX submissions_by_account ON submissions (account, id);
CREATE INDEX submissions_due ON submissions (due_at) WHERE due_at IS NOT NULL;

-- Identities and submissions that are gone.
CREATE TABLE lost_objects (
  account BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  modseq  BIGINT NOT NULL,
  kind    BIGINT NOT NULL,                -- 1 identity, 2 submission
  object  BIGINT NOT NULL,
  PRIMARY KEY (account, modseq, kind, object)
);

-- What people who are away answer (RFC 8621 §8), beside whatever their own rules do.
CREATE TABLE absences (
  account        BIGINT NOT NULL PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
  is_enabled     BIGINT NOT NULL,
  from_at        BIGINT,
  to_at          BIGINT,
  answer         TEXT COLLATE "C" NOT NULL,         -- JSON of AbsenceAnswer
  changed_modseq BIGINT NOT NULL
);
