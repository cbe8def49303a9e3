package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"glaux/internal/session"
)

// token is one use of an idempotency token. It lives as long as the session
// or calculation it made.
type token struct {
	account, operation, token string
	hash                      []byte
	created                   int64
	session                   session.Key
	calculation               string // empty when it made the session itself
}

// querier is a database or a transaction.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// findToken returns the earlier use of a token, nil when there is none or the
// token is empty, and session.ErrTokenUsed when it was used with another hash.
func findToken(ctx context.Context, from querier, account, operation, text string, hash []byte) (*token, error) {
	if text == "" {
		return nil, nil
	}
	t := token{account: account, operation: operation, token: text}
	var calculation *string
	err := from.QueryRowContext(ctx, "SELECT hash, created, session, calculation FROM tokens WHERE account = ? AND operation = ? AND token = ?",
		account, operation, text).Scan(&t.hash, &t.created, &t.session, &calculation)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("cannot look for a token: %w", err)
	case !bytes.Equal(hash, t.hash):
		return nil, session.ErrTokenUsed
	}
	if calculation != nil {
		t.calculation = *calculation
	}
	return &t, nil
}

// putToken writes the use of a token, in the transaction that writes what it
// made; an empty token is none.
func putToken(ctx context.Context, tx *sql.Tx, t token) error {
	if t.token == "" {
		return nil
	}
	var calculation any
	if t.calculation != "" {
		calculation = t.calculation
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO tokens (account, operation, token, hash, created, session, calculation) VALUES (?, ?, ?, ?, ?, ?, ?)",
		t.account, t.operation, t.token, t.hash, t.created, t.session, calculation)
	if err != nil {
		return fmt.Errorf("cannot keep a token: %w", err)
	}
	return nil
}
