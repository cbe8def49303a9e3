package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"glaux/internal/session"
	"glaux/internal/workgroup"
)

const (
	insertSession = "INSERT INTO sessions (" + sessionColumns + ", tags) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
	updateSession = `UPDATE sessions SET workgroup = ?, notebook = ?, owner = ?, owner_id = ?, desired = ?, state = ?, cause = ?,
	changed = ?, ended = ?, runtime_version = ?, server_id = ?, epoch = ?, version = ?, handle = ?, deleted = ?, doc = ? WHERE key = ? AND version = ?`
)

// CreateSession implements session.Store.
func (db *DB) CreateSession(ctx context.Context, n session.Creation) (session.Session, bool, error) {
	ctx = whole(ctx)
	s := n.Session
	s.Version = 1
	doc, err := encodeSession(s)
	if err != nil {
		return session.Session{}, false, err
	}
	labels, err := encode("tags", ordered(n.Tags))
	if err != nil {
		return session.Session{}, false, err
	}
	created, made := true, s.Key
	defer db.sessions.forget(s.Key)
	err = db.inTx(ctx, func(tx *sql.Tx) error {
		earlier, err := findToken(ctx, tx, s.Account, n.Operation, n.Token, n.Hash)
		if err != nil {
			return err
		}
		if earlier != nil {
			created, made = false, earlier.session
			return nil
		}
		if err := admit(ctx, tx, n); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, insertSession, s.Key, s.Account, s.Face, s.ID, s.Workgroup, s.NotebookID, s.Owner, s.OwnerID,
			s.Desired, s.State, s.Cause, micros(s.Created), micros(s.Changed), orNull(s.EndedAt), s.RuntimeVersion, s.ServerID,
			int64(s.Epoch), s.Version, s.Handle, s.Deleted, doc, labels)
		if err != nil {
			return fmt.Errorf("cannot create session %q: %w", s.Key, err)
		}
		return putToken(ctx, tx, token{s.Account, n.Operation, n.Token, n.Hash, micros(s.Created), s.Key, ""})
	})
	if err != nil {
		return session.Session{}, false, err
	}
	s, err = db.Session(ctx, made)
	return s, created, err
}

// admit asks whether a new session may be written.
func admit(ctx context.Context, tx *sql.Tx, n session.Creation) error {
	if n.NeedsWorkgroup {
		var there bool
		err := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM workgroups WHERE account = ? AND name = ?)",
			n.Session.Account, n.Session.Workgroup).Scan(&there)
		if err != nil {
			return fmt.Errorf("cannot look for workgroup %q: %w", n.Session.Workgroup, err)
		}
		if !there {
			return workgroup.ErrNotFound
		}
	}
	if n.Session.Face == session.Glue {
		var taken bool
		err := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM sessions WHERE account = ? AND face = 'glue' AND id = ? AND deleted = 0)",
			n.Session.Account, n.Session.ID).Scan(&taken)
		if err != nil {
			return fmt.Errorf("cannot look for session %q: %w", n.Session.ID, err)
		}
		if taken {
			return session.ErrTaken
		}
	}
	if n.MaxLive > 0 {
		var live int
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM sessions WHERE state <> 'Ended'").Scan(&live); err != nil {
			return fmt.Errorf("cannot count live sessions: %w", err)
		}
		if live >= n.MaxLive {
			return session.ErrTooMany
		}
	}
	if n.Refused != nil {
		return n.Refused
	}
	if n.Session.NotebookID != "" {
		var busy bool
		err := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM sessions WHERE account = ? AND notebook = ? AND state <> 'Ended')",
			n.Session.Account, n.Session.NotebookID).Scan(&busy)
		if err != nil {
			return fmt.Errorf("cannot look for sessions of notebook %q: %w", n.Session.NotebookID, err)
		}
		if busy {
			return session.ErrNotebookBusy
		}
	}
	return nil
}

// Session implements session.Store.
func (db *DB) Session(ctx context.Context, key session.Key) (session.Session, error) {
	return db.sessions.get(key, func() (session.Session, error) {
		return oneSession(string(key), db.getSession.QueryRowContext(ctx, key))
	})
}

// FindSession implements session.Store.
func (db *DB) FindSession(ctx context.Context, account string, face session.Face, id string) (session.Session, error) {
	if face == session.Athena { // whose public id is the key
		s, err := db.Session(ctx, session.Key(id))
		if err == nil && s.Account == account && s.Face == face && s.ID == id {
			return s, nil
		}
		if err != nil && !errors.Is(err, session.ErrNotFound) {
			return session.Session{}, err
		}
	}
	return oneSession(id, db.findSession.QueryRowContext(ctx, account, face, id))
}

func oneSession(name string, row *sql.Row) (session.Session, error) {
	s, err := scanSession(row)
	if errors.Is(err, sql.ErrNoRows) {
		return s, session.ErrNotFound
	}
	if err != nil {
		return s, fmt.Errorf("cannot read session %q: %w", name, err)
	}
	return s, nil
}

// UpdateSession implements session.Store.
func (db *DB) UpdateSession(ctx context.Context, key session.Key, change func(*session.Session) error) (session.Session, error) {
	ctx = whole(ctx)
	for {
		old, err := db.Session(ctx, key)
		if err != nil {
			return session.Session{}, err
		}
		s := old // a copy of our own already
		if err := change(&s); err != nil {
			return session.Session{}, err
		}
		keepSession(&s, old)
		err = swapSession(ctx, db.putSession, s, old.Version)
		db.sessions.forget(key)
		switch {
		case errors.Is(err, errStale):
			continue
		case err != nil:
			return session.Session{}, err
		}
		return rounded(s), nil
	}
}

// keepSession puts back what an update cannot change and raises the version.
func keepSession(s *session.Session, old session.Session) {
	s.Key, s.Account, s.Face, s.ID, s.Created, s.Version = old.Key, old.Account, old.Face, old.ID, old.Created, old.Version+1
}

// rounded is s as a later read would return it: times in UTC and microseconds.
func rounded(s session.Session) session.Session {
	for _, t := range []*time.Time{&s.Changed, &s.Admitted, &s.Spawned, &s.IdleSince, &s.EndedAt} {
		*t = fromMicros(micros(*t))
	}
	for i := range s.Executors {
		e := &s.Executors[i]
		e.Added, e.Removed = fromMicros(micros(e.Added)), fromMicros(micros(e.Removed))
	}
	return s
}

// swapSession writes s where the row version still is version; errStale otherwise.
func swapSession(ctx context.Context, put *sql.Stmt, s session.Session, version int64) error {
	doc, err := encodeSession(s)
	if err != nil {
		return err
	}
	err = swapped(put.ExecContext(ctx, s.Workgroup, s.NotebookID, s.Owner, s.OwnerID, s.Desired, s.State, s.Cause,
		micros(s.Changed), orNull(s.EndedAt), s.RuntimeVersion, s.ServerID, int64(s.Epoch), s.Version, s.Handle, s.Deleted, doc, s.Key, version))
	if err != nil && !errors.Is(err, errStale) {
		return fmt.Errorf("cannot update session %q: %w", s.Key, err)
	}
	return err
}

// Sessions implements session.Store.
func (db *DB) Sessions(ctx context.Context, q session.Query) ([]session.Session, error) {
	var w where
	w.equal("account", q.Account)
	w.equal("face", string(q.Face))
	w.equal("workgroup", q.Workgroup)
	in(&w, "state", q.States)
	if len(q.Causes) > 0 {
		in(&w, "state <> 'Ended' OR cause", q.Causes)
	}
	if !q.EndedBy.IsZero() {
		w.and("state = 'Ended' AND ended <= ?", micros(q.EndedBy))
	}
	switch q.Deleted {
	case session.All:
	case session.OnlyVisible:
		w.and("deleted = 0")
	case session.OnlyDeleted:
		w.and("deleted = 1")
	}
	for _, t := range q.Tags {
		w.and("EXISTS (SELECT 1 FROM json_each(tags) WHERE value ->> 'Key' = ? AND value ->> 'Value' = ?)", t.Key, t.Value)
	}
	w.after("created", "key", q.After)
	query, args := w.list("SELECT "+sessionColumns+" FROM sessions", "created DESC, key DESC", q.Limit)
	rows, err := db.read.QueryContext(ctx, query, args...)
	all, err := collect(rows, err, scanSession)
	if err != nil {
		return nil, fmt.Errorf("cannot list sessions: %w", err)
	}
	return all, nil
}

// DeleteSession implements session.Store. Calculations and tokens go with the
// row, by their foreign keys.
func (db *DB) DeleteSession(ctx context.Context, key session.Key) error {
	ctx = whole(ctx)
	r, err := db.write.ExecContext(ctx, "DELETE FROM sessions WHERE key = ? AND state = 'Ended'", key)
	db.sessions.forget(key)
	if err = swapped(r, err); err == nil {
		return nil
	}
	if !errors.Is(err, errStale) {
		return fmt.Errorf("cannot delete session %q: %w", key, err)
	}
	switch s, err := db.Session(ctx, key); {
	case errors.Is(err, session.ErrNotFound):
		return nil
	case err != nil:
		return err
	default:
		return fmt.Errorf("cannot delete session %q: it is %s", key, s.State)
	}
}

// NextEpoch implements session.Store.
func (db *DB) NextEpoch(ctx context.Context) (uint64, error) {
	ctx = whole(ctx)
	var n int64
	err := db.write.QueryRowContext(ctx, "UPDATE counters SET value = value + 1 WHERE name = 'epoch' RETURNING value").Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("cannot raise the server epoch: %w", err)
	}
	return uint64(n), nil
}

// where collects the conditions of a list.
type where struct {
	terms []string
	args  []any
}

func (w *where) and(term string, args ...any) {
	w.terms = append(w.terms, "("+term+")")
	w.args = append(w.args, args...)
}

// equal adds a condition unless value is empty.
func (w *where) equal(column, value string) {
	if value != "" {
		w.and(column+" = ?", value)
	}
}

// in adds a condition unless values is empty.
func in[T ~string](w *where, column string, values []T) {
	if len(values) == 0 {
		return
	}
	args := make([]any, len(values))
	for i, v := range values {
		args[i] = string(v)
	}
	w.and(column+" IN (?"+strings.Repeat(", ?", len(values)-1)+")", args...)
}

// after adds the place from which a newest-first list goes on.
func (w *where) after(at, id string, c session.Cursor) {
	if !c.Time.IsZero() {
		w.and("("+at+", "+id+") < (?, ?)", micros(c.Time), c.ID)
	}
}

// list puts the query together; zero limit means all rows.
func (w *where) list(from, order string, limit int) (string, []any) {
	if len(w.terms) > 0 {
		from += " WHERE " + strings.Join(w.terms, " AND ")
	}
	if limit <= 0 {
		limit = -1 // SQLite: no limit
	}
	return from + " ORDER BY " + order + " LIMIT ?", append(w.args, limit)
}
