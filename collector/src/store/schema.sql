-- Schema 1. Times are Unix seconds, periods ISO weeks ("2026-W47"), epsilons exact decimals.

CREATE TABLE consent (
    only_row    INTEGER PRIMARY KEY CHECK (only_row = 1),
    answer      TEXT NOT NULL CHECK (answer IN ('yes', 'no')),
    answered_at INTEGER NOT NULL
) STRICT;

CREATE TABLE category (
    name    TEXT PRIMARY KEY,
    enabled INTEGER NOT NULL CHECK (enabled IN (0, 1))
) STRICT;

-- The week that the tally is about; no row while nothing is collected.
CREATE TABLE week (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    period   TEXT NOT NULL
) STRICT;

-- What this week's events and readings come to, per user; uid -1 is the machine itself.
CREATE TABLE tally (
    metric INTEGER NOT NULL,
    uid    INTEGER NOT NULL,
    value  TEXT NOT NULL,
    times  INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    PRIMARY KEY (metric, uid, value)
) STRICT;

-- The latest totals of kernel counters, of which only the growth is tallied.
CREATE TABLE counter (
    metric INTEGER PRIMARY KEY,
    boot   TEXT NOT NULL,
    total  INTEGER NOT NULL
) STRICT;

-- A week's questions are drawn once, whatever happens afterwards.
CREATE TABLE draw (
    period   TEXT PRIMARY KEY,
    drawn_at INTEGER NOT NULL
) STRICT;

CREATE TABLE question (
    period  TEXT NOT NULL REFERENCES draw (period),
    metric  INTEGER NOT NULL,
    version INTEGER NOT NULL,
    state   TEXT NOT NULL,
    PRIMARY KEY (period, metric)
) STRICT;

-- Rows are only ever added.
CREATE TABLE ledger (
    n          INTEGER PRIMARY KEY AUTOINCREMENT,
    period     TEXT NOT NULL,
    metric     INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    epsilon    TEXT NOT NULL,
    charged_at INTEGER NOT NULL,
    UNIQUE (metric, period)
) STRICT;

-- Every report ever made. `value` is the truth behind it, NULL once its owner has switched off; `uids` are the users
-- whose events it came from; `placed` is 0 until the file is in the outbox.
CREATE TABLE sent (
    n        INTEGER PRIMARY KEY AUTOINCREMENT,
    key      TEXT NOT NULL UNIQUE,
    metric   INTEGER NOT NULL,
    version  INTEGER NOT NULL,
    name     TEXT NOT NULL,
    period   TEXT NOT NULL,
    epsilon  TEXT NOT NULL,
    value    TEXT,
    uids     TEXT NOT NULL,
    bytes    TEXT,
    made_at  INTEGER NOT NULL,
    due_at   INTEGER NOT NULL,
    placed   INTEGER NOT NULL,
    state    TEXT NOT NULL,
    code     TEXT NOT NULL,
    attempts INTEGER NOT NULL
) STRICT;

-- Metrics that the server wants no more of.
CREATE TABLE stopped (
    metric  INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (metric, version)
) STRICT;
