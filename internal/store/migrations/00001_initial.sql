-- Times are microseconds since 1970 in UTC. What is only ever read back with
-- its row is one JSON document; what is searched, compared or constrained is a
-- column. Rows carry a version that every write raises by one.

-- +goose Up
CREATE TABLE workgroups (
    account TEXT    NOT NULL,
    name    TEXT    NOT NULL CHECK (name <> ''),
    version INTEGER NOT NULL CHECK (version > 0),
    created INTEGER NOT NULL,
    state   TEXT    NOT NULL CHECK (state IN ('ENABLED', 'DISABLED')),
    doc     TEXT    NOT NULL CHECK (json_valid(doc)),
    tags    TEXT    NOT NULL DEFAULT '[]' CHECK (json_valid(tags)),
    PRIMARY KEY (account, name)
) STRICT;

CREATE TABLE sessions (
    key             TEXT    NOT NULL PRIMARY KEY CHECK (key <> ''),
    account         TEXT    NOT NULL,
    face            TEXT    NOT NULL CHECK (face IN ('athena', 'glue')),
    id              TEXT    NOT NULL CHECK (id <> ''),
    workgroup       TEXT    NOT NULL,
    notebook        TEXT    NOT NULL DEFAULT '',
    owner           TEXT    NOT NULL,
    owner_id        TEXT    NOT NULL,
    desired         TEXT    NOT NULL,
    state           TEXT    NOT NULL CHECK (state IN ('Queued', 'Launching', 'Started', 'Idle', 'Busy', 'Degraded', 'Stopping', 'Ended')),
    cause           TEXT    NOT NULL DEFAULT '',
    created         INTEGER NOT NULL,
    changed         INTEGER NOT NULL,
    ended           INTEGER,
    runtime_version TEXT    NOT NULL,
    server_id       TEXT    NOT NULL,
    epoch           INTEGER NOT NULL,
    version         INTEGER NOT NULL CHECK (version > 0),
    handle          BLOB,
    doc             TEXT    NOT NULL CHECK (json_valid(doc)),
    tags            TEXT    NOT NULL DEFAULT '[]' CHECK (json_valid(tags)),
    CONSTRAINT ended_has_time  CHECK ((state = 'Ended') = (ended IS NOT NULL)),
    CONSTRAINT ended_has_cause CHECK (state <> 'Ended' OR cause <> '')
) STRICT;
-- A Glue id may be used again once its session is gone or ended; Athena's never.
CREATE INDEX sessions_id ON sessions (account, face, id, created DESC, key DESC);
CREATE UNIQUE INDEX sessions_athena_id ON sessions (account, id) WHERE face = 'athena';
CREATE INDEX sessions_list ON sessions (account, face, workgroup, created DESC, key DESC);
CREATE INDEX sessions_age ON sessions (created DESC, key DESC);
CREATE INDEX sessions_live ON sessions (account, workgroup, desired) WHERE state <> 'Ended';
CREATE INDEX sessions_ended ON sessions (ended) WHERE state = 'Ended';

-- +goose StatementBegin
CREATE TRIGGER sessions_ended_is_final BEFORE UPDATE ON sessions
WHEN OLD.state = 'Ended' AND (NEW.state <> 'Ended' OR NEW.ended IS NOT OLD.ended OR NEW.cause <> OLD.cause)
BEGIN
    SELECT RAISE(ABORT, 'a session that has ended stays as it is');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER sessions_identity_is_fixed BEFORE UPDATE OF key, account, face, id, created ON sessions
WHEN NEW.key <> OLD.key OR NEW.account <> OLD.account OR NEW.face <> OLD.face OR NEW.id <> OLD.id OR NEW.created <> OLD.created
BEGIN
    SELECT RAISE(ABORT, 'key, account, face, id and creation time of a session never change');
END;
-- +goose StatementEnd

CREATE TABLE calculations (
    id        TEXT    NOT NULL PRIMARY KEY CHECK (id <> ''),
    session   TEXT    NOT NULL REFERENCES sessions (key) ON DELETE CASCADE,
    account   TEXT    NOT NULL,
    state     TEXT    NOT NULL CHECK (state IN ('CREATING', 'CREATED', 'QUEUED', 'RUNNING', 'CANCELING', 'CANCELED', 'COMPLETED', 'FAILED')),
    submitted INTEGER NOT NULL,
    completed INTEGER,
    version   INTEGER NOT NULL CHECK (version > 0),
    code      TEXT    NOT NULL,
    doc       TEXT    NOT NULL CHECK (json_valid(doc)),
    CONSTRAINT terminal_has_time CHECK ((state IN ('CANCELED', 'COMPLETED', 'FAILED')) = (completed IS NOT NULL))
) STRICT;
CREATE INDEX calculations_list ON calculations (session, submitted DESC, id DESC);
CREATE INDEX calculations_age ON calculations (submitted DESC, id DESC);
CREATE INDEX calculations_live ON calculations (state) WHERE completed IS NULL;

-- +goose StatementBegin
CREATE TRIGGER calculations_terminal_is_final BEFORE UPDATE ON calculations
WHEN OLD.completed IS NOT NULL AND (NEW.state <> OLD.state OR NEW.completed IS NOT OLD.completed)
BEGIN
    SELECT RAISE(ABORT, 'a calculation that is over stays as it is');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER calculations_identity_is_fixed BEFORE UPDATE OF id, session, account, submitted, code ON calculations
WHEN NEW.id <> OLD.id OR NEW.session <> OLD.session OR NEW.account <> OLD.account OR NEW.submitted <> OLD.submitted OR NEW.code <> OLD.code
BEGIN
    SELECT RAISE(ABORT, 'id, session, account, code and submission time of a calculation never change');
END;
-- +goose StatementEnd

-- A token lives as long as what it made.
CREATE TABLE tokens (
    account     TEXT    NOT NULL,
    operation   TEXT    NOT NULL,
    token       TEXT    NOT NULL CHECK (token <> ''),
    hash        BLOB    NOT NULL,
    created     INTEGER NOT NULL,
    session     TEXT    NOT NULL REFERENCES sessions (key) ON DELETE CASCADE,
    calculation TEXT    REFERENCES calculations (id) ON DELETE CASCADE,
    PRIMARY KEY (account, operation, token)
) STRICT;
CREATE INDEX tokens_session ON tokens (session);
CREATE INDEX tokens_calculation ON tokens (calculation);

-- The key ring; every key is encrypted under the master key, which is no part
-- of the database.
CREATE TABLE keys (
    id      TEXT    NOT NULL PRIMARY KEY CHECK (id <> ''),
    created INTEGER NOT NULL,
    sealed  BLOB    NOT NULL
) STRICT;

CREATE TABLE counters (
    name  TEXT    NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT;
INSERT INTO counters (name, value) VALUES ('epoch', 0);

-- +goose Down
DROP TABLE keys;
DROP TABLE counters;
DROP TABLE tokens;
DROP TABLE calculations;
DROP TABLE sessions;
DROP TABLE workgroups;
