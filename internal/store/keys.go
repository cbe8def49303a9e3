package store

import (
	"context"
	"fmt"

	"glaux/internal/access"
)

// Keys implements access.KeyStore.
func (db *DB) Keys(ctx context.Context) ([]access.SealedKey, error) {
	rows, err := db.read.QueryContext(ctx, "SELECT id, created, sealed FROM keys ORDER BY created, id")
	all, err := collect(rows, err, func(row scanner) (access.SealedKey, error) {
		var k access.SealedKey
		var created int64
		err := row.Scan(&k.ID, &created, &k.Sealed)
		k.Created = fromMicros(created)
		return k, err
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read the key ring: %w", err)
	}
	return all, nil
}

// PutKey implements access.KeyStore.
func (db *DB) PutKey(ctx context.Context, k access.SealedKey) error {
	ctx = whole(ctx)
	_, err := db.write.ExecContext(ctx, "INSERT INTO keys (id, created, sealed) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING",
		k.ID, micros(k.Created), k.Sealed)
	if err != nil {
		return fmt.Errorf("cannot keep key %q: %w", k.ID, err)
	}
	return nil
}
