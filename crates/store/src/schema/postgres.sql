-- The schema on PostgreSQL. sqlite.sql is the same tables for SQLite: keep the two in step.
--
-- Units: times are microseconds since 1970; sizes are octets. 0 and 1 are false and true.
-- A column is nullable only where absence means something, and then a comment says what.
-- Ids are never used twice (identity columns). Text is compared octet by octet (C collation), as
-- SQLite does. Rows that change with every delivery leave room on their page for their successor.
--
--   domains ─┬─ accounts ─┬─ credentials
--            └─ aliases   ├─ mailboxes ── entries ──┐
--                         ├─ keywords               ├── messages ── blobs ── blob_chunks
--                         └─ subscriptions          │                  │
--                                                tombstones          queue ── journeys

-- One row: which migrations this database has seen.
CREATE TABLE schema_version (
  only_row BIGINT NOT NULL PRIMARY KEY CHECK (only_row = 1),
  version  BIGINT NOT NULL
);

-- `invented-keys`: what SCRAM keys of unknown logins are derived from.
CREATE TABLE secrets (
  name  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  value BYTEA NOT NULL
);

-- `uid_validity`: the last one given. It starts at the second in which the database was made, so
-- that a database made anew never repeats what clients remember of the old one.
CREATE TABLE counters (
  name  TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
  value BIGINT NOT NULL
);

-- ── Who ─────────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE domains (
  id         BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name       TEXT COLLATE "C"    NOT NULL UNIQUE,      -- lower case, A-labels
  catch_all  TEXT COLLATE "C",                         -- address; NULL: unknown local parts are refused
  created_at BIGINT NOT NULL
);

-- Every write to what an account owns begins by updating its row here (modseq): that lock puts the
-- writers of one account in a row, which is what makes cheaper isolation safe on PostgreSQL.
CREATE TABLE accounts (
  id            BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  domain        BIGINT NOT NULL REFERENCES domains (id),
  address       TEXT COLLATE "C"    NOT NULL,          -- as written at creation
  address_key   TEXT COLLATE "C"    NOT NULL UNIQUE,   -- folded: what logins and recipients are compared with
  display_name  TEXT COLLATE "C"    NOT NULL,
  disabled      BIGINT NOT NULL,
  quota_octets  BIGINT,                   -- NULL: unlimited
  used_octets   BIGINT NOT NULL,          -- sum over its mailboxes; copies count
  message_count BIGINT NOT NULL,          -- sum over its mailboxes
  modseq        BIGINT NOT NULL,          -- last one given to a change in this account
  created_at    BIGINT NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX accounts_by_domain ON accounts (domain);

CREATE TABLE credentials (
  account          BIGINT NOT NULL PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
  argon2           TEXT COLLATE "C"    NOT NULL,       -- PHC string
  scram_salt       BYTEA    NOT NULL,
  scram_iterations BIGINT NOT NULL,
  scram_stored_key BYTEA    NOT NULL,
  scram_server_key BYTEA    NOT NULL
);

CREATE TABLE aliases (
  domain      BIGINT NOT NULL REFERENCES domains (id),
  address_key TEXT COLLATE "C"    NOT NULL,
  target_key  TEXT COLLATE "C"    NOT NULL,
  address     TEXT COLLATE "C"    NOT NULL,
  target      TEXT COLLATE "C"    NOT NULL,
  PRIMARY KEY (address_key, target_key)
);
CREATE INDEX aliases_by_domain ON aliases (domain);

-- One POP3 session per account (RFC 1939 §4).
CREATE TABLE maildrop_locks (
  account    BIGINT NOT NULL PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
  holder     BYTEA    NOT NULL,
  held_until BIGINT NOT NULL
);

-- ── Mailboxes and what is in them ───────────────────────────────────────────────────────────────

-- The counters always equal what a count over entries would give.
CREATE TABLE mailboxes (
  id             BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account        BIGINT NOT NULL REFERENCES accounts (id),
  name           TEXT COLLATE "C"    NOT NULL,         -- levels parted by '/'
  role           BIGINT,                  -- Role::code; NULL: none
  uid_validity   BIGINT NOT NULL,
  uid_next       BIGINT NOT NULL,
  total          BIGINT NOT NULL,
  unseen         BIGINT NOT NULL,
  deleted        BIGINT NOT NULL,
  octets         BIGINT NOT NULL,
  highest_modseq BIGINT NOT NULL,
  forgotten_modseq BIGINT NOT NULL,       -- tombstones up to here were dropped
  keywords       BYTEA    NOT NULL,         -- ever used here: numbers, two octets each, ascending
  UNIQUE (account, name)
) WITH (fillfactor = 50);
CREATE UNIQUE INDEX mailboxes_by_role ON mailboxes (account, role) WHERE role IS NOT NULL;

CREATE TABLE subscriptions (
  account BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  name    TEXT COLLATE "C"    NOT NULL,                -- need not exist (RFC 9051 §6.3.7)
  PRIMARY KEY (account, name)
);

-- Keywords have one number in all of an account, so that a copy takes them along as they are.
CREATE TABLE keywords (
  account BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  number  BIGINT NOT NULL,
  name    TEXT COLLATE "C"    NOT NULL,                -- as first written
  PRIMARY KEY (account, number)
);

-- Content that an account has. `places` counts the entries; with the last one the row goes.
CREATE TABLE messages (
  id      BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account BIGINT NOT NULL,
  blob    BIGINT NOT NULL,
  places  BIGINT NOT NULL,
  indexed BIGINT NOT NULL,                -- 0 waits, 1 its words are in the index, 2 left out
  journey BYTEA,                            -- UUID; NULL: it came by APPEND
  summary BYTEA    NOT NULL                 -- Summary::encode
);
CREATE INDEX messages_not_indexed ON messages (account, id) WHERE indexed <> 1;

-- A message's place in a mailbox: narrow, in the order in which it is listed. Size and time are
-- repeated here so that listing a mailbox reads nothing else.
CREATE TABLE entries (
  mailbox     BIGINT NOT NULL REFERENCES mailboxes (id),
  uid         BIGINT NOT NULL,
  message     BIGINT NOT NULL,
  modseq      BIGINT NOT NULL,
  flags       BIGINT NOT NULL,            -- SystemFlags
  keywords    BYTEA    NOT NULL,            -- numbers, two octets each, ascending
  size_octets BIGINT NOT NULL,
  received_at BIGINT NOT NULL,
  saved_at    BIGINT NOT NULL,
  PRIMARY KEY (mailbox, uid)
);
CREATE INDEX entries_by_modseq ON entries (mailbox, modseq);

-- What was expunged, as ranges of UIDs.
CREATE TABLE tombstones (
  mailbox   BIGINT NOT NULL REFERENCES mailboxes (id) ON DELETE CASCADE,
  modseq    BIGINT NOT NULL,
  first_uid BIGINT NOT NULL,
  last_uid  BIGINT NOT NULL,
  PRIMARY KEY (mailbox, modseq, first_uid)
);

-- ── Octets ──────────────────────────────────────────────────────────────────────────────────────

-- `refs` counts the rows of messages and queue that name a blob. One that nobody names is swept
-- some time after `idle_since`, so that a blob just staged, or just found here by its hash, stays.
CREATE TABLE blobs (
  id          BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  hash        BYTEA    NOT NULL UNIQUE,     -- BLAKE3 of the content
  size_octets BIGINT NOT NULL,
  refs        BIGINT NOT NULL,
  idle_since  BIGINT NOT NULL,
  complete    BIGINT NOT NULL,            -- all chunks are stored
  object      TEXT COLLATE "C",                        -- name in the object store; NULL: chunks are in blob_chunks
  chunk_ends  BYTEA                         -- where each chunk of the object ends, eight octets each; NULL as above
);
CREATE INDEX blobs_idle ON blobs (idle_since) WHERE refs = 0;

-- Pieces of 256 KiB of content, each one octet (0 plain, 1 zstd) and what it says.
CREATE TABLE blob_chunks (
  place  BIGINT NOT NULL PRIMARY KEY,     -- blob × 65,536 + number of the chunk
  octets BYTEA    NOT NULL
);

-- ── The road ────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE journeys (
  id           BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  uuid         BYTEA    NOT NULL UNIQUE,
  started_at   BIGINT NOT NULL,
  ended_at     BIGINT,                    -- NULL while rows are in the queue
  reverse_path TEXT COLLATE "C"    NOT NULL,           -- '' is the null reverse-path
  message_id   BYTEA,                       -- NULL: the message has none
  size_octets  BIGINT NOT NULL,
  pending      BIGINT NOT NULL,           -- rows in the queue
  events       TEXT COLLATE "C"    NOT NULL            -- JSON, one event a line, in order
);
CREATE INDEX journeys_by_message_id ON journeys (message_id) WHERE message_id IS NOT NULL;

-- One row per recipient that is not done. States: see src/queue.rs.
CREATE TABLE queue (
  id              BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  journey         BYTEA    NOT NULL,
  blob            BIGINT NOT NULL,
  domain          TEXT COLLATE "C"    NOT NULL,
  recipient       TEXT COLLATE "C"    NOT NULL,        -- JSON of Recipient
  envelope        TEXT COLLATE "C"    NOT NULL,        -- JSON of what else the envelope says
  size_octets     BIGINT NOT NULL,
  state           BIGINT NOT NULL,        -- 0 waiting, 1 leased, 2 held
  due_at          BIGINT,                 -- next attempt, or end of the lease; NULL: held
  token           BYTEA,                    -- of the lease; NULL: not leased
  leased_by       TEXT COLLATE "C",                    -- node; NULL: not leased
  attempts        BIGINT NOT NULL,
  created_at      BIGINT NOT NULL,
  next_attempt_at BIGINT NOT NULL,
  expires_at      BIGINT NOT NULL,
  delay_warned    BIGINT NOT NULL,
  last_reason     BYTEA    NOT NULL         -- UTF-8
);
CREATE INDEX queue_due ON queue (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX queue_by_journey ON queue (journey, domain);
CREATE INDEX queue_by_domain ON queue (domain, next_attempt_at);

-- ── Search ──────────────────────────────────────────────────────────────────────────────────────

-- The words are cut in src/search/words.rs, which says what they look like.
CREATE TABLE search (
  message BIGINT   NOT NULL PRIMARY KEY,
  words   TSVECTOR NOT NULL
);
CREATE INDEX search_by_words ON search USING gin (words);
