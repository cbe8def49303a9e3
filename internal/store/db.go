// Package store keeps the server's metadata in SQLite: workgroups and tags,
// sessions, calculations, statements, what sessions of Glue refer to, idempotency
// tokens, and the sealed key ring.
//
// One DB satisfies the store interfaces that the domain packages declare. It
// writes through a single connection and reads through a pool, in WAL mode, so
// readers never wait for the writer. A commit is acknowledged once it is in
// the write-ahead log: killing the process at any time loses nothing that was
// acknowledged (synchronous=NORMAL; only a crash of the whole machine can lose
// the last moments, never consistency).
//
// Updates are compare-and-swap by row version: the row is read, the caller's
// function edits a copy without any lock held, and the write applies only
// where the version is still the same.
//
// An idempotency token lives exactly as long as the session or calculation
// that it made: it is written with it, and removed with it after the retention
// that the session manager keeps.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"glaux/internal/access"
	"glaux/internal/calc"
	"glaux/internal/resource"
	"glaux/internal/session"
	"glaux/internal/statement"
	"glaux/internal/workgroup"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// DB is an open store. Its methods are safe for concurrent use.
type DB struct {
	write *sql.DB // one connection
	read  *sql.DB // a pool that cannot write
	stmts

	workgroups cache[workgroupKey, workgroup.Workgroup]
	sessions   cache[session.Key, session.Session]
}

// The interfaces of the domain that a DB satisfies.
var (
	_ workgroup.Store    = (*DB)(nil)
	_ session.Store      = (*DB)(nil)
	_ calc.Store         = (*DB)(nil)
	_ statement.Store    = (*DB)(nil)
	_ resource.Store     = (*DB)(nil)
	_ session.TagStore   = (*DB)(nil)
	_ access.KeyStore    = (*DB)(nil)
	_ access.TicketStore = (*DB)(nil)
)

// stmts are the prepared statements of the hot paths.
type stmts struct {
	getWorkgroup, getSession, findSession, getCalculation *sql.Stmt
	getStatement, firstStatement                          *sql.Stmt
	putSession, putCalculation, putStatement              *sql.Stmt
}

// Open opens the database file at path, creates it when it is not there, and
// brings its schema up to date. The caller holds the data directory's Lock:
// nothing here keeps a second server out.
func Open(ctx context.Context, path string) (*DB, error) {
	db := &DB{}
	db.workgroups.clone, db.sessions.clone = cloneWorkgroup, cloneSession
	if err := db.open(ctx, path); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot open store %q: %w", path, err), db.Close())
	}
	return db, nil
}

func (db *DB) open(ctx context.Context, path string) (err error) {
	if path, err = filepath.Abs(path); err != nil {
		return err
	}
	// SQLite gives its log the mode of the database, which others on the
	// machine have no business reading: code and results of users are in it.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if db.write, err = sql.Open("sqlite", dsn(path, "_txlock=immediate")); err != nil {
		return err
	}
	db.write.SetMaxOpenConns(1)
	if err := migrate(ctx, db.write); err != nil {
		return err
	}
	if db.read, err = sql.Open("sqlite", dsn(path, "_pragma=query_only(1)")); err != nil {
		return err
	}
	readers := max(4, 2*runtime.GOMAXPROCS(0))
	db.read.SetMaxOpenConns(readers)
	db.read.SetMaxIdleConns(readers)
	return db.prepare(ctx)
}

// dsn names the file with the settings of every connection.
func dsn(path string, more string) string {
	u := url.URL{Scheme: "file", Path: path}
	return u.String() + "?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=foreign_keys(1)&" + more
}

// migrate applies the migrations that the database has not seen.
func migrate(ctx context.Context, db *sql.DB) error {
	files, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files)
	if err != nil {
		return fmt.Errorf("cannot read migrations: %w", err)
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("cannot read the schema's version: %w", err)
	}
	if have > want {
		return fmt.Errorf("the schema's version is %d, newer than the %d of this program", have, want)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("cannot migrate from version %d to %d: %w", have, want, err)
	}
	return nil
}

func (db *DB) prepare(ctx context.Context) error {
	for _, p := range []struct {
		stmt **sql.Stmt
		on   *sql.DB
		text string
	}{
		{&db.getWorkgroup, db.read, "SELECT " + workgroupColumns + " FROM workgroups WHERE account = ? AND name = ?"},
		{&db.getSession, db.read, "SELECT " + sessionColumns + " FROM sessions WHERE key = ?"},
		{&db.findSession, db.read, "SELECT " + sessionColumns + " FROM sessions WHERE account = ? AND face = ? AND id = ? AND deleted = 0 ORDER BY created DESC, key DESC LIMIT 1"},
		{&db.getCalculation, db.read, "SELECT code, " + calculationColumns + " FROM calculations WHERE id = ?"},
		{&db.getStatement, db.read, "SELECT " + statementColumns + " FROM statements WHERE session = ? AND id = ?"},
		{&db.firstStatement, db.read, "SELECT " + statementColumns + " FROM statements WHERE session = ? AND completed IS NULL ORDER BY id LIMIT 1"},
		{&db.putSession, db.write, updateSession},
		{&db.putCalculation, db.write, updateCalculation},
		{&db.putStatement, db.write, updateStatement},
	} {
		var err error
		if *p.stmt, err = p.on.PrepareContext(ctx, p.text); err != nil { //nolint:sqlclosecheck // lives as long as its pool, whose Close closes it
			return fmt.Errorf("cannot prepare a statement: %w", err)
		}
	}
	return nil
}

// Close closes the store once running statements are done. What was
// acknowledged is kept. Idempotent.
func (db *DB) Close() error {
	var errs []error
	for _, p := range []*sql.DB{db.read, db.write} { // the writer last: it checkpoints the log
		if p != nil {
			errs = append(errs, p.Close())
		}
	}
	return errors.Join(errs...)
}

// whole is ctx without its end. A write that has begun is finished although
// the caller goes away: it takes well below a millisecond, and an interrupted
// one could report a failure after it was committed.
func whole(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }

// errStale means that a row was written by somebody else since it was read.
var errStale = errors.New("row version has changed")

// inTx runs f in one transaction of the writer. An error of f rolls back and
// is returned as it is.
func (db *DB) inTx(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("cannot begin a transaction: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it has nothing to do, before it the error of f counts
	if err := f(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("cannot commit: %w", err)
	}
	return nil
}

// swapped turns the result of a compare-and-swap into errStale when no row had
// the expected version.
func swapped(r sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := r.RowsAffected()
	if err != nil {
		return err
	}
	if n == 0 {
		return errStale
	}
	return nil
}

// collect reads all rows of a query with scan.
func collect[T any](rows *sql.Rows, err error, scan func(scanner) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err tells what went wrong
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}
