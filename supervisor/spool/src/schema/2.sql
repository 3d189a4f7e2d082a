-- The event that a turn came from, so that a changed or withdrawn message finds the turn that waits.
ALTER TABLE turns ADD COLUMN event_id TEXT NOT NULL DEFAULT '';
-- What the person wrote, for the history; possibly cut.
ALTER TABLE turns ADD COLUMN said TEXT NOT NULL DEFAULT '';
CREATE INDEX turns_event ON turns (instance, event_id) WHERE state = 'queued';
CREATE INDEX turns_history ON turns (session, number) WHERE state IN ('ended', 'stopped', 'interrupted', 'failed');

-- What a session is called, how it is set, and what it has used (JSON).
ALTER TABLE sessions ADD COLUMN title TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN mode TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN model TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN used TEXT NOT NULL DEFAULT '';

-- What somebody has been told and need not be told again for a while.
CREATE TABLE told (
    instance TEXT NOT NULL,
    address TEXT NOT NULL,
    what TEXT NOT NULL,
    told_at INTEGER NOT NULL,
    PRIMARY KEY (instance, address, what)
) STRICT, WITHOUT ROWID;
CREATE INDEX told_age ON told (told_at);

-- How a chunk is shown, where that is more than its text (JSON).
ALTER TABLE chunks ADD COLUMN form TEXT NOT NULL DEFAULT '';

-- The files that go with a chunk.
CREATE TABLE enclosures (
    chunk INTEGER NOT NULL REFERENCES chunks (number) ON DELETE CASCADE,
    sha256 TEXT NOT NULL REFERENCES blobs (sha256) ON DELETE CASCADE,
    PRIMARY KEY (chunk, sha256)
) STRICT, WITHOUT ROWID;
CREATE INDEX enclosures_blob ON enclosures (sha256);

-- The file that a piece of content is, with its text as the caption; else empty.
ALTER TABLE content ADD COLUMN file TEXT NOT NULL DEFAULT '';

-- What is shown of a turn while it runs (JSON), and the pieces of its content that have been posted
-- before its end, whichever attempt they came from.
CREATE TABLE progress (
    turn INTEGER PRIMARY KEY REFERENCES turns (number) ON DELETE CASCADE,
    state TEXT NOT NULL
) STRICT;
CREATE TABLE shown (
    turn INTEGER NOT NULL REFERENCES turns (number) ON DELETE CASCADE,
    block TEXT NOT NULL,
    PRIMARY KEY (turn, block)
) STRICT, WITHOUT ROWID;
