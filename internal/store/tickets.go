package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"glaux/internal/access"
)

// PutTicket implements access.TicketStore.
func (db *DB) PutTicket(ctx context.Context, t access.Ticket, now time.Time) error {
	ctx = whole(ctx)
	return db.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM ui_tickets WHERE expires <= ?", micros(now)); err != nil {
			return fmt.Errorf("cannot drop old tickets: %w", err)
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO ui_tickets (hash, session, caller, user_id, expires) VALUES (?, ?, ?, ?, ?)",
			t.Hash, t.Session, t.Caller, t.UserID, micros(t.Expires))
		if err != nil {
			return fmt.Errorf("cannot keep a ticket to session %q: %w", t.Session, err)
		}
		return nil
	})
}

// TakeTicket implements access.TicketStore.
func (db *DB) TakeTicket(ctx context.Context, hash []byte, session string, now time.Time) (access.Ticket, error) {
	ctx = whole(ctx)
	t := access.Ticket{Hash: hash, Session: session}
	var expires int64
	err := db.write.QueryRowContext(ctx, "DELETE FROM ui_tickets WHERE hash = ? AND session = ? AND expires > ? RETURNING caller, user_id, expires",
		hash, session, micros(now)).Scan(&t.Caller, &t.UserID, &expires)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return access.Ticket{}, access.ErrNoTicket
	case err != nil:
		return access.Ticket{}, fmt.Errorf("cannot take a ticket to session %q: %w", session, err)
	}
	t.Expires = fromMicros(expires)
	return t, nil
}
