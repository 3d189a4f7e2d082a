-- The event that a turn came from, so that a changed or withdrawn message finds the turn that waits,
-- and the event that its first message answers, where the platform has a way to answer one.
ALTER TABLE turns ADD COLUMN event_id TEXT NOT NULL DEFAULT '';
ALTER TABLE turns ADD COLUMN answers TEXT NOT NULL DEFAULT '';
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

