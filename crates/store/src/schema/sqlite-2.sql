-- The second migration on SQLite: who really sent it. postgres-2.sql is the same tables for
-- PostgreSQL: keep the two in step.

-- ── Vouching for our own mail ───────────────────────────────────────────────────────────────────

-- Keys that sign for a domain (RFC 6376). Rotation: published (in the DNS, not used yet) → signing →
-- retired (not used, in the DNS still, for mail on its way) → gone.
CREATE TABLE signing_keys (
  id          INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  domain      INTEGER NOT NULL REFERENCES domains (id) ON DELETE CASCADE,
  selector    TEXT    NOT NULL,
  algorithm   INTEGER NOT NULL,            -- SigningAlgorithm::code
  private_key BLOB    NOT NULL,            -- PKCS #8, DER
  record      TEXT    NOT NULL,            -- what the DNS is to say at selector._domainkey
  state       INTEGER NOT NULL,            -- 0 published, 1 signing, 2 retired
  created_at  INTEGER NOT NULL,
  changed_at  INTEGER NOT NULL,            -- when it came into its state
  UNIQUE (domain, selector)
) STRICT;

-- ── What is known of senders and words ──────────────────────────────────────────────────────────

-- One row per account and identity of a sender. `ham` and `spam` are messages that the reader has
-- judged; `seen` are messages delivered; `written` are messages that the account sent there.
CREATE TABLE senders (
  account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  kind    INTEGER NOT NULL,                -- SenderKind::code
  name    TEXT    NOT NULL,
  ham     INTEGER NOT NULL,
  spam    INTEGER NOT NULL,
  seen    INTEGER NOT NULL,
  written INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  PRIMARY KEY (account, kind, name)
) STRICT, WITHOUT ROWID;

-- In how many messages a word was. Account 0 is everybody's.
CREATE TABLE words (
  account INTEGER NOT NULL,
  word    INTEGER NOT NULL,                -- eight octets of its hash
  ham     INTEGER NOT NULL,
  spam    INTEGER NOT NULL,
  PRIMARY KEY (account, word)
) STRICT, WITHOUT ROWID;

-- How many messages were learned. Account 0 is everybody's.
CREATE TABLE corpora (
  account INTEGER NOT NULL PRIMARY KEY,
  ham     INTEGER NOT NULL,
  spam    INTEGER NOT NULL
) STRICT;

-- What each message was learned as, so that it is learned once and can be learned anew.
CREATE TABLE learned (
  message INTEGER NOT NULL PRIMARY KEY,
  account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  spam    INTEGER NOT NULL
) STRICT;

-- A reader's judgements that are still to be learned from; of one message the last counts.
CREATE TABLE lessons (
  id      INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  message INTEGER NOT NULL UNIQUE,
  spam    INTEGER NOT NULL
) STRICT;

-- Who was asked to come again, and since when.
CREATE TABLE greylist (
  origin   BLOB    NOT NULL PRIMARY KEY,   -- hash of network, sender and recipient
  first_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- ── Reports between domains ─────────────────────────────────────────────────────────────────────

-- What is to be reported to other domains, counted. One row for what is alike.
CREATE TABLE observations (
  kind   INTEGER NOT NULL,                 -- ReportKind::code
  domain TEXT    NOT NULL,                 -- whose policy it was
  day    INTEGER NOT NULL,                 -- since 1970, UTC
  digest BLOB    NOT NULL,                 -- of `what`
  what   TEXT    NOT NULL,                 -- JSON
  times  INTEGER NOT NULL,
  last_at INTEGER NOT NULL,                -- when it was seen last
  PRIMARY KEY (kind, domain, day, digest)
) STRICT, WITHOUT ROWID;

-- Reports that others sent about our domains.
CREATE TABLE reports (
  id           INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  kind         INTEGER NOT NULL,
  domain       TEXT    NOT NULL,           -- ours
  organization TEXT    NOT NULL,           -- theirs
  name         TEXT    NOT NULL,           -- the report's own id
  begins_at    INTEGER NOT NULL,
  ends_at      INTEGER NOT NULL,
  received_at  INTEGER NOT NULL,
  passed       INTEGER NOT NULL,           -- messages or sessions that went well
  failed       INTEGER NOT NULL,           -- and those that did not
  what         TEXT    NOT NULL,           -- JSON
  UNIQUE (kind, domain, organization, name)
) STRICT;
CREATE INDEX reports_by_domain ON reports (domain, ends_at);

-- Messages in mailboxes here that may be such reports and are still to be read.
CREATE TABLE report_mail (
  message  INTEGER NOT NULL PRIMARY KEY,
  attempts INTEGER NOT NULL                -- begun; one that ends the program is given up
) STRICT;

-- Policies of other domains about TLS to them (RFC 8461 §3.2), kept for as long as they say.
CREATE TABLE sts_policies (
  domain     TEXT    NOT NULL PRIMARY KEY,
  policy_id  TEXT    NOT NULL,             -- of the record that named it
  policy     TEXT    NOT NULL,             -- the file
  fetched_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- ── Readers' rules ──────────────────────────────────────────────────────────────────────────────

-- People's Sieve scripts (RFC 5228), kept as they were written.
CREATE TABLE sieve_scripts (
  id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  account    INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  name       TEXT    NOT NULL,
  content    BLOB    NOT NULL,
  digest     BLOB    NOT NULL,             -- BLAKE3 of the content: whoever compiled it needs no other
  active     INTEGER NOT NULL,             -- 1: it runs at each delivery
  changed_at INTEGER NOT NULL,
  UNIQUE (account, name)
) STRICT;
CREATE UNIQUE INDEX sieve_scripts_active ON sieve_scripts (account) WHERE active = 1;

-- Who was answered by `vacation`, and when last (RFC 5230 §4.1).
CREATE TABLE vacation_answers (
  account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  whom    BLOB    NOT NULL,                -- hash of handle and sender
  at      INTEGER NOT NULL,
  forget_at INTEGER NOT NULL,              -- from then on it matters no more
  PRIMARY KEY (account, whom)
) STRICT, WITHOUT ROWID;

-- What `duplicate` has seen (RFC 7352).
CREATE TABLE seen_ids (
  account    INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  id         BLOB    NOT NULL,             -- hash of handle and id
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (account, id)
) STRICT, WITHOUT ROWID;
