package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"glaux/internal/calc"
	"glaux/internal/session"
)

const (
	insertCalculation = "INSERT INTO calculations (code, " + calculationColumns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
	updateCalculation = "UPDATE calculations SET state = ?, completed = ?, version = ?, doc = ? WHERE id = ? AND version = ?"
)

// CreateCalculation implements calc.Store.
func (db *DB) CreateCalculation(ctx context.Context, n calc.Creation, begin func(*session.Session) error) (calc.Calculation, bool, error) {
	ctx = whole(ctx)
	c := n.Calculation
	c.Version = 1
	doc, err := encodeCalculation(c)
	if err != nil {
		return calc.Calculation{}, false, err
	}
	for {
		if c, used, err := db.usedFor(ctx, n); used || err != nil {
			return c, false, err
		}
		old, err := db.Session(ctx, c.Session)
		if err != nil {
			return calc.Calculation{}, false, err
		}
		s := old
		if refused := begin(&s); refused != nil {
			// Between the two reads somebody may have used the token, which is
			// then why begin refuses.
			if c, used, err := db.usedFor(ctx, n); used || err != nil {
				return c, false, err
			}
			return calc.Calculation{}, false, refused
		}
		keepSession(&s, old)
		err = db.inTx(ctx, func(tx *sql.Tx) error {
			// Whoever used the same token meanwhile has changed the session too,
			// unless it was for another session.
			if earlier, err := findToken(ctx, tx, c.Account, n.Operation, n.Token, n.Hash); err != nil {
				return err
			} else if earlier != nil {
				return errStale
			}
			if err := swapSession(ctx, tx.StmtContext(ctx, db.putSession), s, old.Version); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, insertCalculation, c.Code, c.ID, c.Session, c.Account, c.State,
				micros(c.Submitted), orNull(c.Completed), c.Version, doc)
			if err != nil {
				return fmt.Errorf("cannot create calculation %q: %w", c.ID, err)
			}
			return putToken(ctx, tx, token{c.Account, n.Operation, n.Token, n.Hash, micros(c.Submitted), c.Session, c.ID})
		})
		db.sessions.forget(c.Session)
		switch {
		case errors.Is(err, errStale):
			continue
		case err != nil:
			return calc.Calculation{}, false, err
		}
		return roundedCalculation(c), true, nil
	}
}

// usedFor returns the calculation that the token of n made before.
func (db *DB) usedFor(ctx context.Context, n calc.Creation) (calc.Calculation, bool, error) {
	earlier, err := findToken(ctx, db.read, n.Calculation.Account, n.Operation, n.Token, n.Hash)
	if err != nil || earlier == nil {
		return calc.Calculation{}, false, err
	}
	c, err := db.calculation(ctx, earlier.calculation)
	return c, err == nil, err
}

// Calculation implements calc.Store.
func (db *DB) Calculation(ctx context.Context, account, id string) (calc.Calculation, error) {
	c, err := db.calculation(ctx, id)
	if err == nil && c.Account != account {
		return calc.Calculation{}, calc.ErrNotFound
	}
	return c, err
}

func (db *DB) calculation(ctx context.Context, id string) (calc.Calculation, error) {
	c, err := scanCalculation(db.getCalculation.QueryRowContext(ctx, id))
	if errors.Is(err, sql.ErrNoRows) {
		return c, calc.ErrNotFound
	}
	if err != nil {
		return c, fmt.Errorf("cannot read calculation %q: %w", id, err)
	}
	return c, nil
}

// UpdateCalculation implements calc.Store.
func (db *DB) UpdateCalculation(ctx context.Context, id string, change func(*calc.Calculation) error) (calc.Calculation, error) {
	ctx = whole(ctx)
	for {
		old, err := db.calculation(ctx, id)
		if err != nil {
			return calc.Calculation{}, err
		}
		c := old
		if err := change(&c); err != nil {
			return calc.Calculation{}, err
		}
		keepCalculation(&c, old)
		err = swapCalculation(ctx, db.putCalculation, c, old.Version)
		switch {
		case errors.Is(err, errStale):
			continue
		case err != nil:
			return calc.Calculation{}, err
		}
		return roundedCalculation(c), nil
	}
}

// EndCalculation implements calc.Store.
func (db *DB) EndCalculation(ctx context.Context, id string, change func(*calc.Calculation, *session.Session) error) (calc.Calculation, session.Session, error) {
	ctx = whole(ctx)
	fail := func(err error) (calc.Calculation, session.Session, error) {
		return calc.Calculation{}, session.Session{}, err
	}
	for {
		oldCalc, err := db.calculation(ctx, id)
		if err != nil {
			return fail(err)
		}
		oldSession, err := db.Session(ctx, oldCalc.Session)
		if err != nil {
			return fail(err)
		}
		c, s := oldCalc, oldSession
		if err := change(&c, &s); err != nil {
			return fail(err)
		}
		keepCalculation(&c, oldCalc)
		keepSession(&s, oldSession)
		err = db.inTx(ctx, func(tx *sql.Tx) error {
			if err := swapCalculation(ctx, tx.StmtContext(ctx, db.putCalculation), c, oldCalc.Version); err != nil {
				return err
			}
			return swapSession(ctx, tx.StmtContext(ctx, db.putSession), s, oldSession.Version)
		})
		db.sessions.forget(s.Key)
		switch {
		case errors.Is(err, errStale):
			continue
		case err != nil:
			return fail(err)
		}
		return roundedCalculation(c), rounded(s), nil
	}
}

// keepCalculation puts back what an update cannot change and raises the version.
func keepCalculation(c *calc.Calculation, old calc.Calculation) {
	c.ID, c.Session, c.Account, c.Submitted, c.Code, c.Version = old.ID, old.Session, old.Account, old.Submitted, old.Code, old.Version+1
}

// roundedCalculation is c as a later read would return it.
func roundedCalculation(c calc.Calculation) calc.Calculation {
	c.Submitted, c.Completed = fromMicros(micros(c.Submitted)), fromMicros(micros(c.Completed))
	return c
}

// swapCalculation writes c where the row version still is version; errStale otherwise.
func swapCalculation(ctx context.Context, put *sql.Stmt, c calc.Calculation, version int64) error {
	doc, err := encodeCalculation(c)
	if err != nil {
		return err
	}
	err = swapped(put.ExecContext(ctx, c.State, orNull(c.Completed), c.Version, doc, c.ID, version))
	if err != nil && !errors.Is(err, errStale) {
		return fmt.Errorf("cannot update calculation %q: %w", c.ID, err)
	}
	return err
}

// Calculations implements calc.Store.
func (db *DB) Calculations(ctx context.Context, q calc.Query) ([]calc.Calculation, error) {
	var w where
	w.equal("account", q.Account)
	w.equal("session", string(q.Session))
	in(&w, "state", q.States)
	w.after("submitted", "id", q.After)
	query, args := w.list("SELECT '', "+calculationColumns+" FROM calculations", "submitted DESC, id DESC", q.Limit)
	rows, err := db.read.QueryContext(ctx, query, args...)
	all, err := collect(rows, err, scanCalculation)
	if err != nil {
		return nil, fmt.Errorf("cannot list calculations: %w", err)
	}
	return all, nil
}
