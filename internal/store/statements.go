package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"glaux/internal/engine"
	"glaux/internal/session"
	"glaux/internal/statement"
)

const (
	// statementColumns are what scanStatement reads, in its order.
	statementColumns = "session, id, state, submitted, started, completed, version, doc, code, output"
	insertStatement  = "INSERT INTO statements (session, id, state, submitted, started, version, doc, code) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
	updateStatement  = "UPDATE statements SET state = ?, started = ?, completed = ?, version = ?, doc = ?, output = ? WHERE session = ? AND id = ? AND version = ?"
)

// statementDoc is what a statement's row holds beside its columns.
type statementDoc struct {
	Tasks engine.Tasks `json:",omitzero"`
}

// outputDoc is the output of a statement.
type outputDoc struct {
	Status     string   `json:",omitempty"`
	Text       string   `json:",omitempty"`
	ErrorsFrom int      `json:",omitempty"`
	ShownFrom  int      `json:",omitempty"`
	ShownTo    int      `json:",omitempty"`
	MimeType   string   `json:",omitempty"`
	Result     string   `json:",omitempty"`
	ErrorName  string   `json:",omitempty"`
	ErrorValue string   `json:",omitempty"`
	Traceback  []string `json:",omitempty"`
}

// CreateStatement implements statement.Store.
func (db *DB) CreateStatement(ctx context.Context, st statement.Statement, begin func(*session.Session) (int, error)) (statement.Statement, error) {
	ctx = whole(ctx)
	st.Version = 1
	doc, err := encode("statement", statementDoc{Tasks: st.Tasks})
	if err != nil {
		return statement.Statement{}, err
	}
	for {
		old, err := db.Session(ctx, st.Session)
		if err != nil {
			return statement.Statement{}, err
		}
		s := old
		if st.ID, err = begin(&s); err != nil {
			return statement.Statement{}, err
		}
		keepSession(&s, old)
		err = db.inTx(ctx, func(tx *sql.Tx) error {
			if err := swapSession(ctx, tx.StmtContext(ctx, db.putSession), s, old.Version); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, insertStatement, st.Session, st.ID, st.State, micros(st.Submitted), orNull(st.Started), st.Version, doc, st.Code)
			if err != nil {
				return fmt.Errorf("cannot create statement %d of session %q: %w", st.ID, st.Session, err)
			}
			return nil
		})
		db.sessions.forget(st.Session)
		switch {
		case errors.Is(err, errStale):
			continue
		case err != nil:
			return statement.Statement{}, err
		}
		return roundedStatement(st), nil
	}
}

// Statement implements statement.Store.
func (db *DB) Statement(ctx context.Context, key session.Key, id int) (statement.Statement, error) {
	return oneStatement(key, db.getStatement.QueryRowContext(ctx, key, id))
}

// FirstOpen implements statement.Store.
func (db *DB) FirstOpen(ctx context.Context, key session.Key) (statement.Statement, error) {
	return oneStatement(key, db.firstStatement.QueryRowContext(ctx, key))
}

func oneStatement(key session.Key, row *sql.Row) (statement.Statement, error) {
	st, err := scanStatement(row)
	if errors.Is(err, sql.ErrNoRows) {
		return st, statement.ErrNotFound
	}
	if err != nil {
		return st, fmt.Errorf("cannot read a statement of session %q: %w", key, err)
	}
	return st, nil
}

// UpdateStatement implements statement.Store.
func (db *DB) UpdateStatement(ctx context.Context, key session.Key, id int, change func(*statement.Statement) error) (statement.Statement, error) {
	ctx = whole(ctx)
	for {
		old, err := db.Statement(ctx, key, id)
		if err != nil {
			return statement.Statement{}, err
		}
		st := old
		if err := change(&st); err != nil {
			return statement.Statement{}, err
		}
		keepStatement(&st, old)
		err = swapStatement(ctx, db.putStatement, st, old.Version)
		switch {
		case errors.Is(err, errStale):
			continue
		case err != nil:
			return statement.Statement{}, err
		}
		return roundedStatement(st), nil
	}
}

// EndStatement implements statement.Store.
func (db *DB) EndStatement(ctx context.Context, key session.Key, id int, change func(*statement.Statement, *session.Session) error) (statement.Statement, error) {
	ctx = whole(ctx)
	for {
		oldStatement, err := db.Statement(ctx, key, id)
		if err != nil {
			return statement.Statement{}, err
		}
		oldSession, err := db.Session(ctx, key)
		if err != nil {
			return statement.Statement{}, err
		}
		st, s := oldStatement, oldSession
		if err := change(&st, &s); err != nil {
			return statement.Statement{}, err
		}
		keepStatement(&st, oldStatement)
		keepSession(&s, oldSession)
		err = db.inTx(ctx, func(tx *sql.Tx) error {
			if err := swapStatement(ctx, tx.StmtContext(ctx, db.putStatement), st, oldStatement.Version); err != nil {
				return err
			}
			return swapSession(ctx, tx.StmtContext(ctx, db.putSession), s, oldSession.Version)
		})
		db.sessions.forget(key)
		switch {
		case errors.Is(err, errStale):
			continue
		case err != nil:
			return statement.Statement{}, err
		}
		return roundedStatement(st), nil
	}
}

// keepStatement puts back what an update cannot change and raises the version.
func keepStatement(st *statement.Statement, old statement.Statement) {
	st.Session, st.ID, st.Submitted, st.Code, st.Version = old.Session, old.ID, old.Submitted, old.Code, old.Version+1
}

// roundedStatement is st as a later read would return it.
func roundedStatement(st statement.Statement) statement.Statement {
	st.Submitted, st.Started, st.Completed = fromMicros(micros(st.Submitted)), fromMicros(micros(st.Started)), fromMicros(micros(st.Completed))
	return st
}

// swapStatement writes st where the row version still is version; errStale otherwise.
func swapStatement(ctx context.Context, put *sql.Stmt, st statement.Statement, version int64) error {
	doc, err := encode("statement", statementDoc{Tasks: st.Tasks})
	if err != nil {
		return err
	}
	var output any
	if st.Output != nil {
		if output, err = encode("output", outputDoc(*st.Output)); err != nil {
			return err
		}
	}
	err = swapped(put.ExecContext(ctx, st.State, orNull(st.Started), orNull(st.Completed), st.Version, doc, output, st.Session, st.ID, version))
	if err != nil && !errors.Is(err, errStale) {
		return fmt.Errorf("cannot update statement %d of session %q: %w", st.ID, st.Session, err)
	}
	return err
}

// Statements implements statement.Store.
func (db *DB) Statements(ctx context.Context, key session.Key, from, limit, bytes int) ([]statement.Statement, error) {
	fail := func(err error) ([]statement.Statement, error) {
		return nil, fmt.Errorf("cannot list statements of session %q: %w", key, err)
	}
	rows, err := db.read.QueryContext(ctx, "SELECT "+statementColumns+" FROM statements WHERE session = ? AND id >= ? ORDER BY id LIMIT ?", key, from, limit)
	if err != nil {
		return fail(err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err tells what went wrong
	var all []statement.Statement
	for left := bytes; left > 0 && rows.Next(); {
		st, err := scanStatement(rows)
		if err != nil {
			return fail(err)
		}
		left -= st.Size()
		all = append(all, st)
	}
	if err := rows.Err(); err != nil {
		return fail(err)
	}
	return all, nil
}

// OpenSessions implements statement.Store.
func (db *DB) OpenSessions(ctx context.Context) ([]session.Key, error) {
	rows, err := db.read.QueryContext(ctx, "SELECT DISTINCT session FROM statements WHERE completed IS NULL")
	all, err := collect(rows, err, func(row scanner) (key session.Key, err error) { return key, row.Scan(&key) })
	if err != nil {
		return nil, fmt.Errorf("cannot list sessions with open statements: %w", err)
	}
	return all, nil
}

func scanStatement(row scanner) (statement.Statement, error) {
	var st statement.Statement
	var submitted int64
	var started, completed *int64
	var text, output []byte
	err := row.Scan(&st.Session, &st.ID, &st.State, &submitted, &started, &completed, &st.Version, &text, &st.Code, &output)
	if err != nil {
		return st, err
	}
	var doc statementDoc
	if err := decode("statement", text, &doc); err != nil {
		return st, err
	}
	st.Submitted, st.Tasks = fromMicros(submitted), doc.Tasks
	if started != nil {
		st.Started = fromMicros(*started)
	}
	if completed != nil {
		st.Completed = fromMicros(*completed)
	}
	if output != nil {
		var out outputDoc
		if err := decode("output", output, &out); err != nil {
			return st, err
		}
		kept := statement.Output(out)
		st.Output = &kept
	}
	return st, nil
}
