package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"glaux/internal/session"
	"glaux/internal/workgroup"
)

// CreateWorkgroup implements workgroup.Store.
func (db *DB) CreateWorkgroup(ctx context.Context, w workgroup.Workgroup, tags []workgroup.Tag, limit int) error {
	ctx = whole(ctx)
	doc, err := encodeWorkgroup(w)
	if err != nil {
		return err
	}
	labels, err := encode("tags", ordered(tags))
	if err != nil {
		return err
	}
	defer db.workgroups.forget(workgroupKey{w.Account, w.Name})
	return db.inTx(ctx, func(tx *sql.Tx) error {
		var taken, count int
		err := tx.QueryRowContext(ctx, "SELECT count(*), count(CASE WHEN name = ? THEN 1 END) FROM workgroups WHERE account = ?",
			w.Name, w.Account).Scan(&count, &taken)
		switch {
		case err != nil:
			return fmt.Errorf("cannot count workgroups: %w", err)
		case taken > 0:
			return workgroup.ErrExists
		case limit > 0 && count >= limit:
			return workgroup.ErrFull
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO workgroups (account, name, version, created, state, doc, tags) VALUES (?, ?, 1, ?, ?, ?, ?)",
			w.Account, w.Name, micros(w.Created), w.State, doc, labels)
		if err != nil {
			return fmt.Errorf("cannot create workgroup %q: %w", w.Name, err)
		}
		return nil
	})
}

// Workgroup implements workgroup.Store.
func (db *DB) Workgroup(ctx context.Context, account, name string) (workgroup.Workgroup, error) {
	return db.workgroups.get(workgroupKey{account, name}, func() (workgroup.Workgroup, error) {
		w, err := scanWorkgroup(db.getWorkgroup.QueryRowContext(ctx, account, name))
		if errors.Is(err, sql.ErrNoRows) {
			return w, workgroup.ErrNotFound
		}
		if err != nil {
			return w, fmt.Errorf("cannot read workgroup %q: %w", name, err)
		}
		return w, nil
	})
}

// UpdateWorkgroup implements workgroup.Store.
func (db *DB) UpdateWorkgroup(ctx context.Context, account, name string, change func(*workgroup.Workgroup) error) (workgroup.Workgroup, error) {
	ctx = whole(ctx)
	for {
		old, err := db.Workgroup(ctx, account, name)
		if err != nil {
			return workgroup.Workgroup{}, err
		}
		w := old // a copy of our own already
		if err := change(&w); err != nil {
			return workgroup.Workgroup{}, err
		}
		w.Account, w.Name, w.Created, w.Version = old.Account, old.Name, old.Created, old.Version+1
		doc, err := encodeWorkgroup(w)
		if err != nil {
			return workgroup.Workgroup{}, err
		}
		err = swapped(db.write.ExecContext(ctx, "UPDATE workgroups SET version = ?, state = ?, doc = ? WHERE account = ? AND name = ? AND version = ?",
			w.Version, w.State, doc, account, name, old.Version))
		db.workgroups.forget(workgroupKey{account, name})
		switch {
		case errors.Is(err, errStale):
			continue
		case err != nil:
			return workgroup.Workgroup{}, fmt.Errorf("cannot update workgroup %q: %w", name, err)
		}
		return w, nil
	}
}

// DeleteWorkgroup implements workgroup.Store.
func (db *DB) DeleteWorkgroup(ctx context.Context, account, name string) error {
	ctx = whole(ctx)
	defer db.workgroups.forget(workgroupKey{account, name})
	return db.inTx(ctx, func(tx *sql.Tx) error {
		var live int
		err := tx.QueryRowContext(ctx, "SELECT count(*) FROM sessions WHERE account = ? AND workgroup = ? AND state <> 'Ended' AND desired <> ?",
			account, name, session.Ended).Scan(&live)
		if err != nil {
			return fmt.Errorf("cannot count sessions of workgroup %q: %w", name, err)
		}
		r, err := tx.ExecContext(ctx, "DELETE FROM workgroups WHERE account = ? AND name = ?", account, name)
		if err := swapped(r, err); errors.Is(err, errStale) {
			return workgroup.ErrNotFound
		} else if err != nil {
			return fmt.Errorf("cannot delete workgroup %q: %w", name, err)
		}
		if live > 0 {
			return workgroup.ErrNotEmpty // and the deletion is rolled back
		}
		return nil
	})
}

// Workgroups implements workgroup.Store.
func (db *DB) Workgroups(ctx context.Context, account, after string, limit int) ([]workgroup.Workgroup, error) {
	if limit <= 0 {
		limit = -1 // SQLite: no limit
	}
	rows, err := db.read.QueryContext(ctx, "SELECT "+workgroupColumns+" FROM workgroups WHERE account = ? AND name > ? ORDER BY name LIMIT ?",
		account, after, limit)
	all, err := collect(rows, err, scanWorkgroup)
	if err != nil {
		return nil, fmt.Errorf("cannot list workgroups: %w", err)
	}
	return all, nil
}
