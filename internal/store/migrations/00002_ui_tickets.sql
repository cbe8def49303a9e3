-- +goose Up
-- Tickets to the UIs of sessions that were not used yet, by their hashes.
CREATE TABLE ui_tickets (
    hash    BLOB    NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    session TEXT    NOT NULL REFERENCES sessions (key) ON DELETE CASCADE,
    caller  TEXT    NOT NULL,
    user_id TEXT    NOT NULL,
    expires INTEGER NOT NULL
) STRICT;
CREATE INDEX ui_tickets_expires ON ui_tickets (expires);
CREATE INDEX ui_tickets_session ON ui_tickets (session);

-- +goose Down
DROP TABLE ui_tickets;
