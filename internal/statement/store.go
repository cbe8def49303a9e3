package statement

import (
	"context"
	"errors"

	"glaux/internal/session"
)

// Store keeps statements in the same database as sessions, because a statement
// begins and ends together with a change of its session. Every method is one
// transaction, is safe for concurrent use, and returns only once what it wrote
// would survive a crash. An error that is none of those named here means that
// the store cannot be used at the moment; nothing was written.
type Store interface {
	// CreateStatement writes s with row version 1 and the id that begin
	// returns, and the session s.Session as begin has changed it (by the rules
	// of session.Store.UpdateSession, which bind here too: begin may run
	// several times, its error is returned as it is and nothing is written).
	// session.ErrNotFound: no such session.
	CreateStatement(ctx context.Context, s Statement, begin func(*session.Session) (id int, err error)) (Statement, error)
	// Statement returns one statement, or ErrNotFound.
	Statement(ctx context.Context, key session.Key, id int) (Statement, error)
	// UpdateStatement reads the row, lets change edit a copy, and writes that
	// where the row version is still the same, raising the version by one;
	// otherwise it starts again, so change may run several times. An error of
	// change is returned as it is and nothing is written. The store refuses to
	// change a statement in a terminal state. ErrNotFound: no such statement.
	UpdateStatement(ctx context.Context, key session.Key, id int, change func(*Statement) error) (Statement, error)
	// EndStatement is UpdateStatement for the statement and its session in one
	// transaction.
	EndStatement(ctx context.Context, key session.Key, id int, change func(*Statement, *session.Session) error) (Statement, error)
	// Statements returns the statements of a session in the order of their ids,
	// from the given id on: at most limit of them, and no more once their codes
	// and outputs have reached so many bytes, but always one where there is one.
	Statements(ctx context.Context, key session.Key, from, limit, bytes int) ([]Statement, error)
	// FirstOpen returns the statement of a session that is next to run or runs:
	// that with the lowest id of those that are not over. ErrNotFound: all are.
	FirstOpen(ctx context.Context, key session.Key) (Statement, error)
	// OpenSessions returns the sessions that have statements which are not over.
	OpenSessions(ctx context.Context) ([]session.Key, error)
}

// ErrNotFound is what a Store returns beside session.ErrNotFound.
var ErrNotFound = errors.New("no such statement")
