-- What a store of schema version 1 held, with one row of everything. It is
-- never regenerated: later versions must open it.
BEGIN TRANSACTION;
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
INSERT INTO "calculations" VALUES('0f0b7a4e-6f0b-4c53-8a93-fd3c8c7fd9a2','5c9ce21f-0d6b-4b4c-9f2b-0a4f3a1f8f10','000000000000','COMPLETED',1795262402000000,1795262403000000,1,'print(''héllo'')
','{"Workgroup":"spark","Run":1000000000,"DPUMillis":1000,"StdoutURI":"s3://glaux-results/spark/stdout"}');
CREATE TABLE counters (
    name  TEXT    NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT;
INSERT INTO "counters" VALUES('epoch',1);
CREATE TABLE goose_db_version (
		id INTEGER PRIMARY KEY AUTOINCREMENT,
		version_id INTEGER NOT NULL,
		is_applied INTEGER NOT NULL,
		tstamp TIMESTAMP DEFAULT (datetime('now'))
	);
INSERT INTO "goose_db_version" VALUES(1,0,1,'2026-11-21 12:00:00');
INSERT INTO "goose_db_version" VALUES(2,1,1,'2026-11-21 12:00:00');
CREATE TABLE keys (
    id      TEXT    NOT NULL PRIMARY KEY CHECK (id <> ''),
    created INTEGER NOT NULL,
    sealed  BLOB    NOT NULL
) STRICT;
INSERT INTO "keys" VALUES('0a1b2c3d',1795262400000000,X'010203');
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
INSERT INTO "sessions" VALUES('5c9ce21f-0d6b-4b4c-9f2b-0a4f3a1f8f10','000000000000','athena','5c9ce21f-0d6b-4b4c-9f2b-0a4f3a1f8f10','spark','','arn:aws:iam::000000000000:root','000000000000','Idle','Idle','',1795262400000000,1795262401000000,NULL,'1','s1',1,2,X'68616E646C65','{"Engine":"PySpark engine version 3","Description":"recorded","Config":{"MaxConcurrentDPUs":5},"Properties":{"spark.app.name":"recorded"},"IdleTimeout":1200000000000,"IdleSince":1795262401000000}','[{"Key":"team","Value":"data"}]');
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
INSERT INTO "tokens" VALUES('000000000000','StartSession','token-1',X'68617368',1795262400000000,'5c9ce21f-0d6b-4b4c-9f2b-0a4f3a1f8f10',NULL);
INSERT INTO "tokens" VALUES('000000000000','StartCalculationExecution','token-2',X'68617368',1795262402000000,'5c9ce21f-0d6b-4b4c-9f2b-0a4f3a1f8f10','0f0b7a4e-6f0b-4c53-8a93-fd3c8c7fd9a2');
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
INSERT INTO "workgroups" VALUES('000000000000','spark',1,1795262400000000,'ENABLED','{"Config":{"Result":{"OutputLocation":"s3://glaux-results/spark"},"SelectedEngine":"PySpark engine version 3","ExecutionRole":"arn:aws:iam::000000000000:role/glaux-session"}}','[{"Key":"team","Value":"spark"}]');
INSERT INTO "workgroups" VALUES('000000000000','spark35',1,1795262400000000,'ENABLED','{"Config":{"Result":{"OutputLocation":"s3://glaux-results/spark35"},"SelectedEngine":"Apache Spark version 3.5","ExecutionRole":"arn:aws:iam::000000000000:role/glaux-session"}}','[{"Key":"team","Value":"spark35"}]');
INSERT INTO "workgroups" VALUES('000000000000','primary',1,1795262400000000,'ENABLED','{"Config":{"Result":{"OutputLocation":"s3://glaux-results/primary"},"SelectedEngine":"AUTO"}}','[{"Key":"team","Value":"primary"}]');
CREATE INDEX sessions_id ON sessions (account, face, id, created DESC, key DESC);
CREATE UNIQUE INDEX sessions_athena_id ON sessions (account, id) WHERE face = 'athena';
CREATE INDEX sessions_list ON sessions (account, face, workgroup, created DESC, key DESC);
CREATE INDEX sessions_age ON sessions (created DESC, key DESC);
CREATE INDEX sessions_live ON sessions (account, workgroup, desired) WHERE state <> 'Ended';
CREATE INDEX sessions_ended ON sessions (ended) WHERE state = 'Ended';
CREATE TRIGGER sessions_ended_is_final BEFORE UPDATE ON sessions
WHEN OLD.state = 'Ended' AND (NEW.state <> 'Ended' OR NEW.ended IS NOT OLD.ended OR NEW.cause <> OLD.cause)
BEGIN
    SELECT RAISE(ABORT, 'a session that has ended stays as it is');
END;
CREATE TRIGGER sessions_identity_is_fixed BEFORE UPDATE OF key, account, face, id, created ON sessions
WHEN NEW.key <> OLD.key OR NEW.account <> OLD.account OR NEW.face <> OLD.face OR NEW.id <> OLD.id OR NEW.created <> OLD.created
BEGIN
    SELECT RAISE(ABORT, 'key, account, face, id and creation time of a session never change');
END;
CREATE INDEX calculations_list ON calculations (session, submitted DESC, id DESC);
CREATE INDEX calculations_age ON calculations (submitted DESC, id DESC);
CREATE INDEX calculations_live ON calculations (state) WHERE completed IS NULL;
CREATE TRIGGER calculations_terminal_is_final BEFORE UPDATE ON calculations
WHEN OLD.completed IS NOT NULL AND (NEW.state <> OLD.state OR NEW.completed IS NOT OLD.completed)
BEGIN
    SELECT RAISE(ABORT, 'a calculation that is over stays as it is');
END;
CREATE TRIGGER calculations_identity_is_fixed BEFORE UPDATE OF id, session, account, submitted, code ON calculations
WHEN NEW.id <> OLD.id OR NEW.session <> OLD.session OR NEW.account <> OLD.account OR NEW.submitted <> OLD.submitted OR NEW.code <> OLD.code
BEGIN
    SELECT RAISE(ABORT, 'id, session, account, code and submission time of a calculation never change');
END;
CREATE INDEX tokens_session ON tokens (session);
CREATE INDEX tokens_calculation ON tokens (calculation);
COMMIT;
