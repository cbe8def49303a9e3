package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"glaux/internal/resource"
	"glaux/internal/workgroup"
)

const itemColumns = "account, kind, name, version, created, changed, changed_by, doc"

func scanItem(row scanner) (resource.Item, error) {
	var i resource.Item
	var created, changed int64
	err := row.Scan(&i.Account, &i.Kind, &i.Name, &i.Version, &created, &changed, &i.ChangedBy, &i.Doc)
	i.Created, i.Changed = fromMicros(created), fromMicros(changed)
	return i, err
}

// itemRow is where the tags of an item are.
func itemRow(k resource.Key) labelled {
	return labelled{"resources", "account = ? AND kind = ? AND name = ?", []any{k.Account, k.Kind, k.Name}, resource.ErrNotFound}
}

// CreateItem implements resource.Store.
func (db *DB) CreateItem(ctx context.Context, i resource.Item, tags []workgroup.Tag, limit int) error {
	ctx = whole(ctx)
	labels, err := encode("tags", ordered(tags))
	if err != nil {
		return err
	}
	return db.inTx(ctx, func(tx *sql.Tx) error {
		var taken, count int
		err := tx.QueryRowContext(ctx, "SELECT count(*), count(CASE WHEN name = ? THEN 1 END) FROM resources WHERE account = ? AND kind = ?",
			i.Name, i.Account, i.Kind).Scan(&count, &taken)
		switch {
		case err != nil:
			return fmt.Errorf("cannot count %ss: %w", i.Kind, err)
		case taken > 0:
			return resource.ErrExists
		case limit > 0 && count >= limit:
			return resource.ErrFull
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO resources ("+itemColumns+", tags) VALUES (?, ?, ?, 1, ?, ?, ?, ?, ?)",
			i.Account, i.Kind, i.Name, micros(i.Created), micros(i.Changed), i.ChangedBy, i.Doc, labels)
		if err != nil {
			return fmt.Errorf("cannot create %s %q: %w", i.Kind, i.Name, err)
		}
		return nil
	})
}

// Item implements resource.Store.
func (db *DB) Item(ctx context.Context, k resource.Key) (resource.Item, error) {
	i, err := scanItem(db.read.QueryRowContext(ctx, "SELECT "+itemColumns+" FROM resources WHERE account = ? AND kind = ? AND name = ?", k.Account, k.Kind, k.Name))
	if errors.Is(err, sql.ErrNoRows) {
		return i, resource.ErrNotFound
	}
	if err != nil {
		return i, fmt.Errorf("cannot read %s %q: %w", k.Kind, k.Name, err)
	}
	return i, nil
}

// UpdateItem implements resource.Store.
func (db *DB) UpdateItem(ctx context.Context, k resource.Key, change func(*resource.Item) error) (resource.Item, error) {
	ctx = whole(ctx)
	for {
		old, err := db.Item(ctx, k)
		if err != nil {
			return resource.Item{}, err
		}
		i := old
		if err := change(&i); err != nil {
			return resource.Item{}, err
		}
		i.Key, i.Created, i.Version = old.Key, old.Created, old.Version+1
		err = swapped(db.write.ExecContext(ctx, "UPDATE resources SET version = ?, changed = ?, changed_by = ?, doc = ? WHERE account = ? AND kind = ? AND name = ? AND version = ?",
			i.Version, micros(i.Changed), i.ChangedBy, i.Doc, k.Account, k.Kind, k.Name, old.Version))
		switch {
		case errors.Is(err, errStale):
			continue
		case err != nil:
			return resource.Item{}, fmt.Errorf("cannot update %s %q: %w", k.Kind, k.Name, err)
		}
		i.Changed = fromMicros(micros(i.Changed))
		return i, nil
	}
}

// DeleteItem implements resource.Store.
func (db *DB) DeleteItem(ctx context.Context, k resource.Key) error {
	ctx = whole(ctx)
	err := swapped(db.write.ExecContext(ctx, "DELETE FROM resources WHERE account = ? AND kind = ? AND name = ?", k.Account, k.Kind, k.Name))
	if errors.Is(err, errStale) {
		return resource.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("cannot delete %s %q: %w", k.Kind, k.Name, err)
	}
	return nil
}

// Items implements resource.Store.
func (db *DB) Items(ctx context.Context, account string, kind resource.Kind, after string, limit int) ([]resource.Item, error) {
	rows, err := db.read.QueryContext(ctx, "SELECT "+itemColumns+" FROM resources WHERE account = ? AND kind = ? AND name > ? ORDER BY name LIMIT ?",
		account, kind, after, limit)
	all, err := collect(rows, err, scanItem)
	if err != nil {
		return nil, fmt.Errorf("cannot list %ss: %w", kind, err)
	}
	return all, nil
}

// ItemTags implements resource.Store.
func (db *DB) ItemTags(ctx context.Context, k resource.Key) ([]workgroup.Tag, error) {
	_, tags, err := db.tags(ctx, itemRow(k))
	return tags, err
}

// ChangeItemTags implements resource.Store.
func (db *DB) ChangeItemTags(ctx context.Context, k resource.Key, change func([]workgroup.Tag) ([]workgroup.Tag, error)) error {
	return db.changeTags(ctx, itemRow(k), change)
}
