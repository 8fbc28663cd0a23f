-- The second migration on PostgreSQL: who really sent it. sqlite-2.sql is the same tables for
-- SQLite: keep the two in step.

-- ── Vouching for our own mail ───────────────────────────────────────────────────────────────────

-- Keys that sign for a domain (RFC 6376). Rotation: published (in the DNS, not used yet) → signing →
-- retired (not used, in the DNS still, for mail on its way) → gone.
CREATE TABLE signing_keys (
  id          BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  domain      BIGINT NOT NULL REFERENCES domains (id) ON DELETE CASCADE,
  selector    TEXT COLLATE "C"    NOT NULL,
  algorithm   BIGINT NOT NULL,            -- SigningAlgorithm::code
  private_key BYTEA    NOT NULL,            -- PKCS #8, DER
  record      TEXT COLLATE "C"    NOT NULL,            -- what the DNS is to say at selector._domainkey
  state       BIGINT NOT NULL,            -- 0 published, 1 signing, 2 retired
  created_at  BIGINT NOT NULL,
  changed_at  BIGINT NOT NULL,            -- when it came into its state
  UNIQUE (domain, selector)
);

-- ── What is known of senders and words ──────────────────────────────────────────────────────────

-- One row per account and identity of a sender. `ham` and `spam` are messages that the reader has
-- judged; `seen` are messages delivered; `written` are messages that the account sent there.
CREATE TABLE senders (
  account BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  kind    BIGINT NOT NULL,                -- SenderKind::code
  name    TEXT COLLATE "C"    NOT NULL,
  ham     BIGINT NOT NULL,
  spam    BIGINT NOT NULL,
  seen    BIGINT NOT NULL,
  written BIGINT NOT NULL,
  last_at BIGINT NOT NULL,
  PRIMARY KEY (account, kind, name)
);

-- In how many messages a word was. Account 0 is everybody's.
CREATE TABLE words (
  account BIGINT NOT NULL,
  word    BIGINT NOT NULL,                -- eight octets of its hash
  ham     BIGINT NOT NULL,
  spam    BIGINT NOT NULL,
  PRIMARY KEY (account, word)
);

-- How many messages were learned. Account 0 is everybody's.
CREATE TABLE corpora (
  account BIGINT NOT NULL PRIMARY KEY,
  ham     BIGINT NOT NULL,
  spam    BIGINT NOT NULL
);

-- What each message was learned as, so that it is learned once and can be learned anew.
CREATE TABLE learned (
  message BIGINT NOT NULL PRIMARY KEY,
  account BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  spam    BIGINT NOT NULL
);

-- A reader's judgements that are still to be learned from; of one message the last counts.
CREATE TABLE lessons (
  id      BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  message BIGINT NOT NULL UNIQUE,
  spam    BIGINT NOT NULL
);

-- Who was asked to come again, and since when.
CREATE TABLE greylist (
  origin   BYTEA    NOT NULL PRIMARY KEY,   -- hash of network, sender and recipient
  first_at BIGINT NOT NULL
);

-- ── Reports between domains ─────────────────────────────────────────────────────────────────────

-- What is to be reported to other domains, counted. One row for what is alike.
CREATE TABLE observations (
  kind   BIGINT NOT NULL,                 -- ReportKind::code
  domain TEXT COLLATE "C"    NOT NULL,                 -- whose policy it was
  day    BIGINT NOT NULL,                 -- since 1970, UTC
  digest BYTEA    NOT NULL,                 -- of `what`
  what   TEXT COLLATE "C"    NOT NULL,                 -- JSON
  times  BIGINT NOT NULL,
  last_at BIGINT NOT NULL,                -- when it was seen last
  PRIMARY KEY (kind, domain, day, digest)
);

-- Reports that others sent about our domains.
CREATE TABLE reports (
  id           BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind         BIGINT NOT NULL,
  domain       TEXT COLLATE "C"    NOT NULL,           -- ours
  organization TEXT COLLATE "C"    NOT NULL,           -- theirs
  name         TEXT COLLATE "C"    NOT NULL,           -- the report's own id
  begins_at    BIGINT NOT NULL,
  ends_at      BIGINT NOT NULL,
  received_at  BIGINT NOT NULL,
  passed       BIGINT NOT NULL,           -- messages or sessions that went well
  failed       BIGINT NOT NULL,           -- and those that did not
  what         TEXT COLLATE "C"    NOT NULL,           -- JSON
  UNIQUE (kind, domain, organization, name)
);
CREATE INDEX reports_by_domain ON reports (domain, ends_at);

-- Messages in mailboxes here that may be such reports and are still to be read.
CREATE TABLE report_mail (
  message  BIGINT NOT NULL PRIMARY KEY,
  attempts BIGINT NOT NULL                -- begun; one that ends the program is given up
);

-- Policies of other domains about TLS to them (RFC 8461 §3.2), kept for as long as they say.
CREATE TABLE sts_policies (
  domain     TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
  policy_id  TEXT COLLATE "C"    NOT NULL,             -- of the record that named it
  policy     TEXT COLLATE "C"    NOT NULL,             -- the file
  fetched_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);

-- ── Readers' rules ──────────────────────────────────────────────────────────────────────────────

-- People's Sieve scripts (RFC 5228), kept as they were written.
CREATE TABLE sieve_scripts (
  id         BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account    BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  name       TEXT COLLATE "C" NOT NULL,
  content    BYTEA  NOT NULL,
  digest     BYTEA  NOT NULL,              -- BLAKE3 of the content: whoever compiled it needs no other
  active     BIGINT NOT NULL,              -- 1: it runs at each delivery
  changed_at BIGINT NOT NULL,
  UNIQUE (account, name)
);
CREATE UNIQUE INDEX sieve_scripts_active ON sieve_scripts (account) WHERE active = 1;

-- Who was answered by `vacation`, and when last (RFC 5230 §4.1).
CREATE TABLE vacation_answers (
  account   BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  whom      BYTEA  NOT NULL,               -- hash of handle and sender
  at        BIGINT NOT NULL,
  forget_at BIGINT NOT NULL,               -- from then on it matters no more
  PRIMARY KEY (account, whom)
);

-- What `duplicate` has seen (RFC 7352).
CREATE TABLE seen_ids (
  account    BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  id         BYTEA  NOT NULL,              -- hash of handle and id
  expires_at BIGINT NOT NULL,
  PRIMARY KEY (account, id)
);
