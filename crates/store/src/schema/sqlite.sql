-- The schema on SQLite. postgres.sql is the same tables for PostgreSQL: keep the two in step.
--
-- Units: times are microseconds since 1970; sizes are octets. 0 and 1 are false and true.
-- A column is nullable only where absence means something, and then a comment says what.
-- Ids are never used twice (AUTOINCREMENT).
--
--   domains ─┬─ accounts ─┬─ credentials
--            └─ aliases   ├─ mailboxes ── entries ──┐
--                         ├─ keywords               ├── messages ── blobs ── blob_chunks
--                         └─ subscriptions          │                  │
--                                                tombstones          queue ── journeys

-- One row: which migrations this database has seen.
CREATE TABLE schema_version (
  only_row INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
  version  INTEGER NOT NULL
) STRICT;

-- `invented-keys`: what SCRAM keys of unknown logins are derived from.
CREATE TABLE secrets (
  name  TEXT NOT NULL PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- `uid_validity`: the last one given. It starts at the second in which the database was made, so
-- that a database made anew never repeats what clients remember of the old one.
CREATE TABLE counters (
  name  TEXT    NOT NULL PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- ── Who ─────────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE domains (
  id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  name       TEXT    NOT NULL UNIQUE,      -- lower case, A-labels
  catch_all  TEXT,                         -- address; NULL: unknown local parts are refused
  created_at INTEGER NOT NULL
) STRICT;

-- Every write to what an account owns begins by updating its row here (modseq): that lock puts the
-- writers of one account in a row, which is what makes cheaper isolation safe on PostgreSQL.
CREATE TABLE accounts (
  id            INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  domain        INTEGER NOT NULL REFERENCES domains (id),
  address       TEXT    NOT NULL,          -- as written at creation
  address_key   TEXT    NOT NULL UNIQUE,   -- folded: what logins and recipients are compared with
  display_name  TEXT    NOT NULL,
  disabled      INTEGER NOT NULL,
  quota_octets  INTEGER,                   -- NULL: unlimited
  used_octets   INTEGER NOT NULL,          -- sum over its mailboxes; copies count
  message_count INTEGER NOT NULL,          -- sum over its mailboxes
  modseq        INTEGER NOT NULL,          -- last one given to a change in this account
  created_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX accounts_by_domain ON accounts (domain);

CREATE TABLE credentials (
  account          INTEGER NOT NULL PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
  argon2           TEXT    NOT NULL,       -- PHC string
  scram_salt       BLOB    NOT NULL,
  scram_iterations INTEGER NOT NULL,
  scram_stored_key BLOB    NOT NULL,
  scram_server_key BLOB    NOT NULL
) STRICT;

CREATE TABLE aliases (
  domain      INTEGER NOT NULL REFERENCES domains (id),
  address_key TEXT    NOT NULL,
  target_key  TEXT    NOT NULL,
  address     TEXT    NOT NULL,
  target      TEXT    NOT NULL,
  PRIMARY KEY (address_key, target_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX aliases_by_domain ON aliases (domain);

-- One POP3 session per account (RFC 1939 §4).
CREATE TABLE maildrop_locks (
  account    INTEGER NOT NULL PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
  holder     BLOB    NOT NULL,
  held_until INTEGER NOT NULL
) STRICT;

-- ── Mailboxes and what is in them ───────────────────────────────────────────────────────────────

-- The counters always equal what a count over entries would give.
CREATE TABLE mailboxes (
  id             INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  account        INTEGER NOT NULL REFERENCES accounts (id),
  name           TEXT    NOT NULL,         -- levels parted by '/'
  role           INTEGER,                  -- Role::code; NULL: none
  uid_validity   INTEGER NOT NULL,
  uid_next       INTEGER NOT NULL,
  total          INTEGER NOT NULL,
  unseen         INTEGER NOT NULL,
  deleted        INTEGER NOT NULL,
  octets         INTEGER NOT NULL,
  highest_modseq INTEGER NOT NULL,
  forgotten_modseq INTEGER NOT NULL,       -- tombstones up to here were dropped
  keywords       BLOB    NOT NULL,         -- ever used here: numbers, two octets each, ascending
  UNIQUE (account, name)
) STRICT;
CREATE UNIQUE INDEX mailboxes_by_role ON mailboxes (account, role) WHERE role IS NOT NULL;

CREATE TABLE subscriptions (
  account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  name    TEXT    NOT NULL,                -- need not exist (RFC 9051 §6.3.7)
  PRIMARY KEY (account, name)
) STRICT, WITHOUT ROWID;

-- Keywords have one number in all of an account, so that a copy takes them along as they are.
CREATE TABLE keywords (
  account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  number  INTEGER NOT NULL,
  name    TEXT    NOT NULL,                -- as first written
  PRIMARY KEY (account, number)
) STRICT, WITHOUT ROWID;

-- Content that an account has. `places` counts the entries; with the last one the row goes.
CREATE TABLE messages (
  id      INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  account INTEGER NOT NULL,
  blob    INTEGER NOT NULL,
  places  INTEGER NOT NULL,
  indexed INTEGER NOT NULL,                -- 0 waits, 1 its words are in the index, 2 left out
  journey BLOB,                            -- UUID; NULL: it came by APPEND
  summary BLOB    NOT NULL                 -- Summary::encode
) STRICT;
CREATE INDEX messages_not_indexed ON messages (account, id) WHERE indexed <> 1;

-- A message's place in a mailbox: narrow, in the order in which it is listed. Size and time are
-- repeated here so that listing a mailbox reads nothing else.
CREATE TABLE entries (
  mailbox     INTEGER NOT NULL REFERENCES mailboxes (id),
  uid         INTEGER NOT NULL,
  message     INTEGER NOT NULL,
  modseq      INTEGER NOT NULL,
  flags       INTEGER NOT NULL,            -- SystemFlags
  keywords    BLOB    NOT NULL,            -- numbers, two octets each, ascending
  size_octets INTEGER NOT NULL,
  received_at INTEGER NOT NULL,
  saved_at    INTEGER NOT NULL,
  PRIMARY KEY (mailbox, uid)
) STRICT, WITHOUT ROWID;
CREATE INDEX entries_by_modseq ON entries (mailbox, modseq);

-- What was expunged, as ranges of UIDs.
CREATE TABLE tombstones (
  mailbox   INTEGER NOT NULL REFERENCES mailboxes (id) ON DELETE CASCADE,
  modseq    INTEGER NOT NULL,
  first_uid INTEGER NOT NULL,
  last_uid  INTEGER NOT NULL,
  PRIMARY KEY (mailbox, modseq, first_uid)
) STRICT, WITHOUT ROWID;

-- ── Octets ──────────────────────────────────────────────────────────────────────────────────────

-- `refs` counts the rows of messages and queue that name a blob. One that nobody names is swept
-- some time after `idle_since`, so that a blob just staged, or just found here by its hash, stays.
CREATE TABLE blobs (
  id          INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  hash        BLOB    NOT NULL UNIQUE,     -- BLAKE3 of the content
  size_octets INTEGER NOT NULL,
  refs        INTEGER NOT NULL,
  idle_since  INTEGER NOT NULL,
  complete    INTEGER NOT NULL,            -- all chunks are stored
  object      TEXT,                        -- name in the object store; NULL: chunks are in blob_chunks
  chunk_ends  BLOB                         -- where each chunk of the object ends, eight octets each; NULL as above
) STRICT;
CREATE INDEX blobs_idle ON blobs (idle_since) WHERE refs = 0;

-- Pieces of 256 KiB of content, each one octet (0 plain, 1 zstd) and what it says.
CREATE TABLE blob_chunks (
  place  INTEGER NOT NULL PRIMARY KEY,     -- blob × 65,536 + number of the chunk
  octets BLOB    NOT NULL
) STRICT;

-- ── The road ────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE journeys (
  id           INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  uuid         BLOB    NOT NULL UNIQUE,
  started_at   INTEGER NOT NULL,
  ended_at     INTEGER,                    -- NULL while rows are in the queue
  reverse_path TEXT    NOT NULL,           -- '' is the null reverse-path
  message_id   BLOB,                       -- NULL: the message has none
  size_octets  INTEGER NOT NULL,
  pending      INTEGER NOT NULL,           -- rows in the queue
  events       TEXT    NOT NULL            -- JSON, one event a line, in order
) STRICT;
CREATE INDEX journeys_by_message_id ON journeys (message_id) WHERE message_id IS NOT NULL;

-- One row per recipient that is not done. States: see src/queue.rs.
CREATE TABLE queue (
  id              INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  journey         BLOB    NOT NULL,
  blob            INTEGER NOT NULL,
  domain          TEXT    NOT NULL,
  recipient       TEXT    NOT NULL,        -- JSON of Recipient
  envelope        TEXT    NOT NULL,        -- JSON of what else the envelope says
  size_octets     INTEGER NOT NULL,
  state           INTEGER NOT NULL,        -- 0 waiting, 1 leased, 2 held
  due_at          INTEGER,                 -- next attempt, or end of the lease; NULL: held
  token           BLOB,                    -- of the lease; NULL: not leased
  leased_by       TEXT,                    -- node; NULL: not leased
  attempts        INTEGER NOT NULL,
  created_at      INTEGER NOT NULL,
  next_attempt_at INTEGER NOT NULL,
  expires_at      INTEGER NOT NULL,
  delay_warned    INTEGER NOT NULL,
  last_reason     BLOB    NOT NULL         -- UTF-8
) STRICT;
CREATE INDEX queue_due ON queue (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX queue_by_journey ON queue (journey, domain);
CREATE INDEX queue_by_domain ON queue (domain, next_attempt_at);

-- ── Search ──────────────────────────────────────────────────────────────────────────────────────

-- rowid is messages.id; the words are cut in src/search/words.rs, which says what they look like.
CREATE VIRTUAL TABLE search USING fts5 (
  words, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii'
);
