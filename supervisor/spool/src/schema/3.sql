-- Its conversation has begun another: its agent ends with its last turn.
ALTER TABLE sessions ADD COLUMN closing INTEGER NOT NULL DEFAULT 0 CHECK (closing IN (0, 1));

-- When somebody was last heard, within a month, so that who is never heard again is forgotten.
ALTER TABLE people ADD COLUMN heard_at INTEGER NOT NULL DEFAULT 0;
UPDATE people SET heard_at = unixepoch() * 1000;
CREATE INDEX people_heard ON people (heard_at);
