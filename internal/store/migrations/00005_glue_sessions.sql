-- +goose Up
-- A Glue session that was deleted gives its id away at once; its row stays
-- until its driver is gone.
ALTER TABLE sessions ADD COLUMN deleted INTEGER NOT NULL DEFAULT 0 CHECK (deleted IN (0, 1));
CREATE UNIQUE INDEX sessions_glue_id ON sessions (account, id) WHERE face = 'glue' AND deleted = 0;
CREATE INDEX sessions_deleted ON sessions (key) WHERE deleted = 1;

-- +goose Down
DROP INDEX sessions_deleted;
DROP INDEX sessions_glue_id;
ALTER TABLE sessions DROP COLUMN deleted;
