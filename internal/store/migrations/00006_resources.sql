-- +goose Up
-- What Glue sessions refer to by name: connections, security configurations and
-- usage profiles. Their documents are sealed under the key ring.
CREATE TABLE resources (
    account    TEXT    NOT NULL,
    kind       TEXT    NOT NULL CHECK (kind IN ('connection', 'securityConfiguration', 'usageProfile')),
    name       TEXT    NOT NULL CHECK (name <> ''),
    version    INTEGER NOT NULL,
    created    INTEGER NOT NULL,
    changed    INTEGER NOT NULL,
    changed_by TEXT    NOT NULL,
    doc        BLOB    NOT NULL,
    tags       TEXT    NOT NULL,
    PRIMARY KEY (account, kind, name)
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE resources;
