-- The third migration on PostgreSQL: more ways in, and more for clients to keep. sqlite-3.sql is the
-- same tables for SQLite: keep the two in step.

-- Asked for with every message: whom the account wrote to last.
CREATE INDEX senders_written ON senders (account, last_at) WHERE written > 0;

-- ── Trust ───────────────────────────────────────────────────────────────────────────────────────

-- A policy that is in use is renewed ahead of its end; this says which are.
ALTER TABLE sts_policies ADD COLUMN used_at BIGINT NOT NULL DEFAULT 0;

-- How a rotation goes: since when the DNS has shown a key's record, and what is in the way.
ALTER TABLE signing_keys ADD COLUMN shown_at BIGINT;
ALTER TABLE signing_keys ADD COLUMN trouble TEXT COLLATE "C" NOT NULL DEFAULT '';

-- Messages that failed DMARC, to be told to the domains they claim to be from (RFC 9991). One row for
-- what failed in the same way.
CREATE TABLE failures (
  domain   TEXT COLLATE "C" NOT NULL,               -- whose policy it was
  way      BYTEA NOT NULL,                   -- digest of how and from where
  what     TEXT COLLATE "C" NOT NULL,               -- JSON, of the first
  times    BIGINT NOT NULL,
  first_at BIGINT NOT NULL,
  PRIMARY KEY (domain, way)
);
CREATE INDEX failures_first ON failures (first_at);
