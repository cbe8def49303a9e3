-- +goose Up
-- Statements of Glue sessions: their ids count from 0 within the session.
CREATE TABLE statements (
    session   TEXT    NOT NULL REFERENCES sessions (key) ON DELETE CASCADE,
    id        INTEGER NOT NULL CHECK (id >= 0),
    state     TEXT    NOT NULL CHECK (state IN ('WAITING', 'RUNNING', 'CANCELLING', 'AVAILABLE', 'CANCELLED', 'ERROR')),
    submitted INTEGER NOT NULL,
    started   INTEGER,
    completed INTEGER,
    version   INTEGER NOT NULL CHECK (version > 0),
    doc       TEXT    NOT NULL CHECK (json_valid(doc)),
    code      TEXT    NOT NULL,
    output    TEXT,
    PRIMARY KEY (session, id),
    CONSTRAINT terminal_has_time   CHECK ((state IN ('AVAILABLE', 'CANCELLED', 'ERROR')) = (completed IS NOT NULL)),
    CONSTRAINT terminal_has_output CHECK ((completed IS NULL) = (output IS NULL))
) STRICT;
CREATE INDEX statements_open ON statements (session, id) WHERE completed IS NULL;

-- +goose StatementBegin
CREATE TRIGGER statements_terminal_is_final BEFORE UPDATE ON statements
WHEN OLD.completed IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'a statement that is over stays as it is');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER statements_identity_is_fixed BEFORE UPDATE OF session, id, submitted, code ON statements
WHEN NEW.session <> OLD.session OR NEW.id <> OLD.id OR NEW.submitted <> OLD.submitted OR NEW.code <> OLD.code
BEGIN
    SELECT RAISE(ABORT, 'session, id, code and submission time of a statement never change');
END;
-- +goose StatementEnd

-- +goose Down
DROP TABLE statements;
