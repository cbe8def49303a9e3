package store_test

import (
	"path/filepath"
	"testing"

	"glaux/internal/store"
	"glaux/internal/store/storetest"
)

func mustOpen(t testing.TB, path string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return db
}

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Store { return mustOpen(t, filepath.Join(t.TempDir(), "glaux.db")) })
}
