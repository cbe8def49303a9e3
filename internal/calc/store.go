package calc

import (
	"context"
	"errors"

	"glaux/internal/session"
)

// Store keeps calculations in the same database as sessions, because a
// calculation begins and ends together with a change of its session. Every
// method is one transaction, is safe for concurrent use, and returns only once
// what it wrote would survive a crash. An error that is none of those named
// here means that the store cannot be used at the moment; nothing was written.
type Store interface {
	// CreateCalculation writes n.Calculation with row version 1 and its token,
	// and the session n.Calculation.Session as begin has changed it (by the
	// rules of session.Store.UpdateSession, which bind here too: begin may run
	// several times, its error is returned as it is and nothing is written).
	// When the account has used the token for this operation before, begin is
	// not called and nothing is written: with the same hash the calculation it
	// made then is returned as it is now, and false; with another hash the
	// error is session.ErrTokenUsed. session.ErrNotFound: no such session.
	CreateCalculation(ctx context.Context, n Creation, begin func(*session.Session) error) (c Calculation, created bool, err error)
	// Calculation returns one calculation, or ErrNotFound.
	Calculation(ctx context.Context, account, id string) (Calculation, error)
	// UpdateCalculation reads the row, lets change edit a copy, and writes
	// that where the row version is still the same, raising the version by
	// one; otherwise it starts again, so change may run several times. An
	// error of change is returned as it is and nothing is written. The store
	// refuses to take a calculation out of a terminal state. ErrNotFound: no
	// such calculation.
	UpdateCalculation(ctx context.Context, id string, change func(*Calculation) error) (Calculation, error)
	// EndCalculation is UpdateCalculation for the calculation and its session
	// in one transaction.
	EndCalculation(ctx context.Context, id string, change func(*Calculation, *session.Session) error) (Calculation, session.Session, error)
	// Calculations returns the calculations that q selects, newest first: by
	// Submitted, then by ID, both descending. Code is left empty.
	Calculations(ctx context.Context, q Query) ([]Calculation, error)
}

// Creation is what CreateCalculation writes in one transaction.
type Creation struct {
	Calculation Calculation
	Operation   string // the token's scope within the account, such as "StartCalculationExecution"
	Token       string // the caller's idempotency token; empty: none
	Hash        []byte // of the request's parameters, 32 bytes
}

// Query selects calculations. Empty members select all.
type Query struct {
	Account string
	Session session.Key
	States  []State
	After   session.Cursor // only what comes after it in the list's order, which is older
	Limit   int            // at most so many; zero: all
}

// ErrNotFound is what a Store returns beside session.ErrTokenUsed and
// session.ErrNotFound.
var ErrNotFound = errors.New("no such calculation")
