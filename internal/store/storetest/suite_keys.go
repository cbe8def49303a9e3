package storetest

import (
	"fmt"
	"testing"
	"time"

	"glaux/internal/access"
)

func testKeys(t *testing.T, db Store) {
	ctx := t.Context()
	all, err := db.Keys(ctx)
	wantError(t, "Keys", err, nil)
	wantEqual(t, "number of keys at first", len(all), 0)
	want := map[string]access.SealedKey{}
	for i := range 3 {
		k := access.SealedKey{ID: fmt.Sprintf("0000000%d", i), Created: epoch0.Add(time.Duration(i) * time.Second), Sealed: []byte{byte(i), 0, 255}}
		wantError(t, "PutKey", db.PutKey(ctx, k), nil)
		want[k.ID] = k
	}
	wantError(t, "PutKey of an id that is there", db.PutKey(ctx, access.SealedKey{ID: "00000001", Created: epoch0, Sealed: []byte("other")}), nil)
	all, err = db.Keys(ctx)
	wantError(t, "Keys", err, nil)
	got := map[string]access.SealedKey{}
	for _, k := range all {
		got[k.ID] = k
	}
	wantEqual(t, "keys", got, want)
}
