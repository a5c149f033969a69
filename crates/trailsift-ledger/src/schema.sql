-- One row per object whose work has ended.
CREATE TABLE settled (
    id INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    bucket TEXT NOT NULL,
    key TEXT NOT NULL,
    revision_kind TEXT NOT NULL,    -- 'version', or 'etag' where there is no version
    revision TEXT NOT NULL,
    sinks TEXT NOT NULL,            -- a JSON array: owed nothing more; "[quarantine]" is the quarantine
    parked TEXT,                    -- why the object as a whole is in the quarantine
    etag TEXT,
    version_id TEXT,
    inflated INTEGER NOT NULL,      -- bytes
    seen INTEGER NOT NULL,          -- records
    selected INTEGER NOT NULL,
    quarantined INTEGER NOT NULL,
    sha256 BLOB,                    -- of the inflated bytes
    first_event INTEGER,            -- times are unix milliseconds
    last_event INTEGER,
    settled_at INTEGER NOT NULL,
    fingerprint INTEGER NOT NULL,   -- of the name; what lies in one folder is near
    seal INTEGER NOT NULL           -- of the claim: name, sinks, parked
) STRICT;

CREATE INDEX settled_by_fingerprint ON settled (fingerprint);

CREATE INDEX settled_by_time ON settled (settled_at);

-- How far a sink has come with an object that it is still owed something of.
CREATE TABLE progress (
    account TEXT NOT NULL,
    bucket TEXT NOT NULL,
    key TEXT NOT NULL,
    revision_kind TEXT NOT NULL,
    revision TEXT NOT NULL,
    sink TEXT NOT NULL,
    below INTEGER NOT NULL,         -- acknowledged: every record whose place in the file is lower
    noted_at INTEGER NOT NULL,
    seal INTEGER NOT NULL,          -- of the claim: name, sink, below
    PRIMARY KEY (account, bucket, key, revision_kind, revision, sink)
) STRICT, WITHOUT ROWID;

CREATE INDEX progress_by_time ON progress (noted_at);

-- The settled objects for a person to read. The quarantine is taken out of the sinks as text: some
-- versions of SQLite refuse JSON functions in the views of a schema that is not trusted.
CREATE VIEW objects AS SELECT
    strftime('%Y-%m-%dT%H:%M:%fZ', settled_at / 1000.0, 'unixepoch') AS settled_at,
    account, bucket, key, revision_kind, revision,
    replace(replace(replace(sinks, '"[quarantine]",', ''), ',"[quarantine]"', ''), '"[quarantine]"', '') AS sinks,
    parked, seen, selected, quarantined, inflated,
    strftime('%Y-%m-%dT%H:%M:%fZ', first_event / 1000.0, 'unixepoch') AS first_event,
    strftime('%Y-%m-%dT%H:%M:%fZ', last_event / 1000.0, 'unixepoch') AS last_event,
    CASE WHEN sha256 IS NOT NULL THEN lower(hex(sha256)) END AS sha256, etag, version_id
FROM settled;
