-- Dedup keys of what came in. `line` is 1 for events that the platform numbers, else 0; `number`
-- counts each line of each instance without gaps, so that its length is newest - oldest + 1.
CREATE TABLE inbox (
    instance TEXT NOT NULL,
    event_id TEXT NOT NULL,
    channel TEXT NOT NULL,
    position INTEGER NOT NULL,
    line INTEGER NOT NULL CHECK (line = (position > 0)),
    number INTEGER NOT NULL,
    remembered_at INTEGER NOT NULL,
    PRIMARY KEY (instance, event_id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX inbox_line ON inbox (instance, line, number);

-- At or below `position` everything in this channel counts as seen.
CREATE TABLE floors (
    instance TEXT NOT NULL,
    channel TEXT NOT NULL,
    position INTEGER NOT NULL,
    raised_at INTEGER NOT NULL,
    PRIMARY KEY (instance, channel)
) STRICT, WITHOUT ROWID;
CREATE INDEX floors_age ON floors (raised_at);

CREATE TABLE people (
    instance TEXT NOT NULL,
    user TEXT NOT NULL,
    language TEXT NOT NULL,
    refused_at INTEGER NOT NULL,
    PRIMARY KEY (instance, user)
) STRICT, WITHOUT ROWID;
CREATE INDEX people_refused ON people (instance, refused_at) WHERE refused_at > 0;

CREATE TABLE conversations (
    project TEXT NOT NULL,
    instance TEXT NOT NULL,
    conversation TEXT NOT NULL,
    session TEXT NOT NULL,
    shared INTEGER NOT NULL CHECK (shared IN (0, 1)),
    address TEXT NOT NULL,
    PRIMARY KEY (project, instance, conversation)
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    project TEXT NOT NULL,
    instance TEXT NOT NULL,
    conversation TEXT NOT NULL,
    agent_session TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    used_at INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_conversation ON sessions (project, instance, conversation, used_at);
CREATE INDEX sessions_used ON sessions (used_at);

CREATE TABLE turns (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    project TEXT NOT NULL,
    session TEXT NOT NULL,
    instance TEXT NOT NULL,
    address TEXT NOT NULL,
    reply_to TEXT NOT NULL,
    asker TEXT NOT NULL,
    language TEXT NOT NULL,
    prompt TEXT NOT NULL,
    prompt_id TEXT NOT NULL,
    trace TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'starting', 'running', 'stopping', 'ended', 'stopped', 'interrupted', 'failed')),
    attempt INTEGER NOT NULL,
    updates INTEGER NOT NULL,
    queued_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;
CREATE INDEX turns_open ON turns (project, number) WHERE state IN ('starting', 'running', 'stopping');
-- One turn runs a session.
CREATE UNIQUE INDEX turns_active ON turns (session) WHERE state IN ('starting', 'running', 'stopping');
CREATE INDEX turns_queued ON turns (session, number) WHERE state = 'queued';
CREATE INDEX turns_waiting ON turns (project, session, number) WHERE state = 'queued';
CREATE INDEX turns_over ON turns (changed_at) WHERE state IN ('ended', 'stopped', 'interrupted', 'failed');

-- What the agent wrote in the current attempt of a turn, in pieces.
CREATE TABLE content (
    turn INTEGER NOT NULL REFERENCES turns (number) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    block TEXT NOT NULL,
    text TEXT NOT NULL,
    more INTEGER NOT NULL CHECK (more IN (0, 1)),
    PRIMARY KEY (turn, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE questions (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    turn INTEGER NOT NULL REFERENCES turns (number) ON DELETE CASCADE,
    attempt INTEGER NOT NULL,
    project TEXT NOT NULL,
    session TEXT NOT NULL,
    about TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'decided', 'closed')),
    decision TEXT NOT NULL,
    asked_at INTEGER NOT NULL
) STRICT;
CREATE INDEX questions_open ON questions (session, number) WHERE state = 'open';
CREATE INDEX questions_unclosed ON questions (project, number) WHERE state IN ('open', 'decided');
CREATE INDEX questions_turn ON questions (turn, number);

CREATE TABLE chunks (
    number INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE CHECK (length(key) BETWEEN 1 AND 25),
    reply TEXT NOT NULL,
    position INTEGER NOT NULL,
    total INTEGER NOT NULL,
    instance TEXT NOT NULL,
    address TEXT NOT NULL,
    text TEXT NOT NULL,
    reply_to TEXT NOT NULL,
    trace TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'leased', 'delivered', 'parked')),
    leased_at INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    retries INTEGER NOT NULL,
    platform_id TEXT NOT NULL,
    why TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;
CREATE INDEX chunks_lane ON chunks (instance, address, number) WHERE state IN ('pending', 'leased');
CREATE INDEX chunks_due ON chunks (not_before) WHERE state IN ('pending', 'leased') AND not_before > 0;
CREATE INDEX chunks_reply ON chunks (reply) WHERE state IN ('pending', 'leased');
CREATE INDEX chunks_parked ON chunks (number) WHERE state = 'parked';
CREATE INDEX chunks_parked_reply ON chunks (reply) WHERE state = 'parked';
CREATE INDEX chunks_delivered ON chunks (changed_at) WHERE state = 'delivered';

CREATE TABLE cursors (
    instance TEXT NOT NULL,
    name TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (instance, name)
) STRICT, WITHOUT ROWID;

-- The files under blobs/. A row is written only once its file is whole and on the disk.
CREATE TABLE blobs (
    sha256 TEXT NOT NULL PRIMARY KEY CHECK (length(sha256) = 64),
    size INTEGER NOT NULL,
    kept_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX blobs_age ON blobs (kept_at);
CREATE TABLE blobs_size (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    bytes INTEGER NOT NULL
) STRICT;
INSERT INTO blobs_size (only, bytes) VALUES (1, 0);

CREATE TABLE attachments (
    turn INTEGER NOT NULL REFERENCES turns (number) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    sha256 TEXT NOT NULL REFERENCES blobs (sha256) ON DELETE CASCADE,
    name TEXT NOT NULL,
    mime TEXT NOT NULL,
    PRIMARY KEY (turn, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX attachments_blob ON attachments (sha256);
