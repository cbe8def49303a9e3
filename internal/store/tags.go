package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"glaux/internal/session"
	"glaux/internal/workgroup"
)

// labelled is a row that has tags: its table, the condition that finds it with
// the arguments of that, and the error when it is not there.
type labelled struct {
	table, where string
	args         []any
	missing      error
}

// Tags implements workgroup.Store.
func (db *DB) Tags(ctx context.Context, of workgroup.Resource) ([]workgroup.Tag, error) {
	_, tags, err := db.tags(ctx, ofAthena(of))
	return tags, err
}

// ChangeTags implements workgroup.Store.
func (db *DB) ChangeTags(ctx context.Context, of workgroup.Resource, change func([]workgroup.Tag) ([]workgroup.Tag, error)) error {
	return db.changeTags(ctx, ofAthena(of), change)
}

// ofAthena is where the tags of something of Athena's are.
func ofAthena(of workgroup.Resource) labelled {
	if of.Session != "" {
		return labelled{"sessions", "account = ? AND workgroup = ? AND face = 'athena' AND id = ?",
			[]any{of.Account, of.Workgroup, of.Session}, workgroup.ErrNotFound}
	}
	return labelled{"workgroups", "account = ? AND name = ?", []any{of.Account, of.Workgroup}, workgroup.ErrNotFound}
}

// SessionTags implements session.TagStore.
func (db *DB) SessionTags(ctx context.Context, key session.Key) ([]workgroup.Tag, error) {
	_, tags, err := db.tags(ctx, sessionRow(key))
	return tags, err
}

// ChangeSessionTags implements session.TagStore.
func (db *DB) ChangeSessionTags(ctx context.Context, key session.Key, change func([]workgroup.Tag) ([]workgroup.Tag, error)) error {
	return db.changeTags(ctx, sessionRow(key), change)
}

func sessionRow(key session.Key) labelled {
	return labelled{"sessions", "key = ?", []any{key}, session.ErrNotFound}
}

// changeTags replaces the tags of a row. The compare-and-swap is on the tags'
// text: tags do not count as a change of the row they belong to.
func (db *DB) changeTags(ctx context.Context, of labelled, change func([]workgroup.Tag) ([]workgroup.Tag, error)) error {
	ctx = whole(ctx)
	for {
		old, tags, err := db.tags(ctx, of)
		if err != nil {
			return err
		}
		if tags, err = change(tags); err != nil {
			return err
		}
		text, err := encode("tags", ordered(tags))
		if err != nil {
			return err
		}
		err = swapped(db.write.ExecContext(ctx, "UPDATE "+of.table+" SET tags = ? WHERE "+of.where+" AND tags = ?",
			append(append([]any{text}, of.args...), old)...))
		switch {
		case errors.Is(err, errStale):
			continue
		case err != nil:
			return fmt.Errorf("cannot change tags: %w", err)
		}
		return nil
	}
}

// tags reads the tags of a row, as text too.
func (db *DB) tags(ctx context.Context, of labelled) (string, []workgroup.Tag, error) {
	var text string
	err := db.read.QueryRowContext(ctx, "SELECT tags FROM "+of.table+" WHERE "+of.where, of.args...).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil, of.missing
	}
	if err != nil {
		return "", nil, fmt.Errorf("cannot read tags: %w", err)
	}
	var tags []workgroup.Tag
	if err := json.Unmarshal([]byte(text), &tags); err != nil {
		return "", nil, fmt.Errorf("cannot decode tags: %w", err)
	}
	return text, tags, nil
}

// ordered is tags as they are written: in the order of their keys, an empty
// list for none.
func ordered(tags []workgroup.Tag) []workgroup.Tag {
	sorted := append([]workgroup.Tag{}, tags...)
	slices.SortFunc(sorted, func(a, b workgroup.Tag) int { return strings.Compare(a.Key, b.Key) })
	return sorted
}
