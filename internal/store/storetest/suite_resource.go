package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"glaux/internal/resource"
	"glaux/internal/workgroup"
)

func newItem(kind resource.Kind, name string) resource.Item {
	return resource.Item{
		Key: resource.Key{Account: account, Kind: kind, Name: name}, Doc: []byte{0, 1, 0xff},
		Created: epoch0, Changed: epoch0.Add(time.Second), ChangedBy: "arn:me",
	}
}

func mustItem(t *testing.T, db Store, i resource.Item, tags ...workgroup.Tag) {
	t.Helper()
	wantError(t, "CreateItem", db.CreateItem(t.Context(), i, tags, 0), nil)
}

func testItem(t *testing.T, db Store) {
	ctx := t.Context()
	want := newItem(resource.Connection, "a b/c")
	_, err := db.Item(ctx, want.Key)
	wantError(t, "Item before it is there", err, resource.ErrNotFound)
	mustItem(t, db, want)
	wantError(t, "CreateItem again", db.CreateItem(ctx, want, nil, 0), resource.ErrExists)
	got, err := db.Item(ctx, want.Key)
	wantError(t, "Item", err, nil)
	want.Version = 1
	wantEqual(t, "item", got, want)
	for _, other := range []resource.Key{
		{Account: "111111111111", Kind: want.Kind, Name: want.Name},
		{Account: account, Kind: resource.UsageProfile, Name: want.Name},
		{Account: account, Kind: want.Kind, Name: "A b/c"},
	} {
		_, err = db.Item(ctx, other)
		wantError(t, "Item of another account, kind or case", err, resource.ErrNotFound)
	}

	changed, err := db.UpdateItem(ctx, want.Key, func(i *resource.Item) error {
		i.Name, i.Created = "b", time.Now() // never change
		i.Doc, i.Changed, i.ChangedBy = []byte("new"), epoch0.Add(time.Hour), "arn:you"
		return nil
	})
	wantError(t, "UpdateItem", err, nil)
	want.Doc, want.Changed, want.ChangedBy, want.Version = []byte("new"), epoch0.Add(time.Hour), "arn:you", 2
	wantEqual(t, "updated item", changed, want)
	_, err = db.UpdateItem(ctx, want.Key, func(*resource.Item) error { return errChange })
	wantError(t, "UpdateItem refused by change", err, errChange)
	got, _ = db.Item(ctx, want.Key)
	wantEqual(t, "item read again", got, want)
	_, err = db.UpdateItem(ctx, newItem(resource.Connection, "x").Key, func(*resource.Item) error { return nil })
	wantError(t, "UpdateItem of nothing", err, resource.ErrNotFound)

	wantError(t, "DeleteItem", db.DeleteItem(ctx, want.Key), nil)
	wantError(t, "DeleteItem again", db.DeleteItem(ctx, want.Key), resource.ErrNotFound)
	_, err = db.ItemTags(ctx, want.Key)
	wantError(t, "ItemTags of a deleted item", err, resource.ErrNotFound)
}

func testItemList(t *testing.T, db Store) {
	ctx := t.Context()
	for _, name := range []string{"b", "a", "B", "c"} {
		mustItem(t, db, newItem(resource.UsageProfile, name))
	}
	mustItem(t, db, newItem(resource.Connection, "aa"))
	names := func(after string, limit int) string {
		all, err := db.Items(ctx, account, resource.UsageProfile, after, limit)
		wantError(t, "Items", err, nil)
		text := ""
		for _, i := range all {
			text += i.Name
		}
		return text
	}
	wantEqual(t, "all", names("", 10), "Babc")
	wantEqual(t, "two", names("", 2), "Ba")
	wantEqual(t, "the next two", names("a", 2), "bc")
	wantEqual(t, "nothing after the last", names("c", 2), "")

	wantError(t, "CreateItem at the limit", db.CreateItem(ctx, newItem(resource.UsageProfile, "d"), nil, 4), resource.ErrFull)
	wantError(t, "CreateItem of what is there, at the limit", db.CreateItem(ctx, newItem(resource.UsageProfile, "a"), nil, 4), resource.ErrExists)
	wantError(t, "CreateItem of another kind", db.CreateItem(ctx, newItem(resource.Connection, "d"), nil, 2), nil)
}

func testItemTags(t *testing.T, db Store) {
	ctx := t.Context()
	i := newItem(resource.Connection, "a")
	mustItem(t, db, i, workgroup.Tag{Key: "b", Value: "2"}, workgroup.Tag{Key: "a"})
	tags, err := db.ItemTags(ctx, i.Key)
	wantError(t, "ItemTags", err, nil)
	wantEqual(t, "tags in the order of their keys", tags, []workgroup.Tag{{Key: "a"}, {Key: "b", Value: "2"}})
	wantError(t, "ChangeItemTags refused by change", db.ChangeItemTags(ctx, i.Key, func(have []workgroup.Tag) ([]workgroup.Tag, error) {
		have[0].Value = "never"
		return nil, errChange
	}), errChange)
	again, _ := db.ItemTags(ctx, i.Key)
	wantEqual(t, "tags after a refused change", again, tags)

	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() {
			_ = db.ChangeItemTags(ctx, i.Key, func(have []workgroup.Tag) ([]workgroup.Tag, error) {
				return append(have, workgroup.Tag{Key: fmt.Sprint("t", n)}), nil
			})
		})
	}
	group.Wait()
	tags, _ = db.ItemTags(ctx, i.Key)
	wantEqual(t, "tags after a race", len(tags), 10)
	got, _ := db.Item(ctx, i.Key)
	wantEqual(t, "version after changes of tags", got.Version, int64(1))
}

func testItemRace(t *testing.T, db Store) {
	ctx := t.Context()
	i := newItem(resource.Connection, "a")
	i.Doc = []byte{}
	mustItem(t, db, i)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			_, _ = db.UpdateItem(ctx, i.Key, func(i *resource.Item) error { i.Doc = append(i.Doc, 'x'); return nil })
		})
	}
	group.Wait()
	got, _ := db.Item(ctx, i.Key)
	wantEqual(t, "document after a race", string(got.Doc), "xxxxxxxx")
	wantEqual(t, "version after a race", got.Version, int64(9))
}
