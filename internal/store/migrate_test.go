package store_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"glaux/internal/calc"
	"glaux/internal/session"
	"glaux/internal/store"
	"glaux/internal/workgroup"
)

// execute runs statements on a database file that no store has open.
func execute(t *testing.T, path, statements string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), statements); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOpenAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b%20?#'ü.db") // a name that no DSN can be made of carelessly
	db, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := db.NextEpoch(t.Context()); n != 1 || err != nil {
		t.Fatalf("first epoch is %d, %v", n, err)
	}
	for range 2 { // Close is idempotent
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if f, err := os.Stat(path); err != nil || f.Mode().Perm() != 0o600 {
		t.Fatalf("the file is %v, %v", f, err)
	}
	again := mustOpen(t, path)
	if n, err := again.NextEpoch(t.Context()); n != 2 || err != nil {
		t.Fatalf("second epoch is %d, %v", n, err)
	}
}

func TestOpenFails(t *testing.T) {
	dir := t.TempDir()
	newer := filepath.Join(dir, "newer.db")
	mustOpen(t, newer)
	execute(t, newer, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)")
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("this is no database ", 500)), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		newer:                                  "the schema's version is 99999, newer than",
		garbage:                                "not a database",
		filepath.Join(dir, "nobody", "any.db"): "cannot open store",
	} {
		db, err := store.Open(t.Context(), path)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("Open of %s: %v, %v", path, db, err)
		}
	}
}

// TestVersion1 opens what the first version left behind.
func TestVersion1(t *testing.T) {
	recorded, err := os.ReadFile("testdata/version1.sql")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "glaux.db")
	execute(t, path, string(recorded))
	db, ctx := mustOpen(t, path), t.Context()

	for _, name := range []string{"primary", "spark", "spark35"} {
		w, err := db.Workgroup(ctx, "000000000000", name)
		if err != nil || w.Config.Result.OutputLocation != "s3://glaux-results/"+name {
			t.Errorf("workgroup %s is %+v, %v", name, w, err)
		}
	}
	const id = "5c9ce21f-0d6b-4b4c-9f2b-0a4f3a1f8f10"
	s, err := db.FindSession(ctx, "000000000000", session.Athena, id)
	if err != nil || s.State != session.Idle || *s.Config.MaxConcurrentDPUs != 5 || s.IdleTimeout != 20*time.Minute ||
		!s.Created.Equal(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)) || string(s.Handle) != "handle" {
		t.Errorf("session is %+v, %v", s, err)
	}
	tags, err := db.Tags(ctx, workgroup.Resource{Account: "000000000000", Workgroup: "spark", Session: id})
	if err != nil || len(tags) != 1 || tags[0] != (workgroup.Tag{Key: "team", Value: "data"}) {
		t.Errorf("tags are %v, %v", tags, err)
	}
	c, err := db.Calculation(ctx, "000000000000", "0f0b7a4e-6f0b-4c53-8a93-fd3c8c7fd9a2")
	if err != nil || c.State != calc.Completed || c.Code != "print('héllo')\n" || c.Session != s.Key || c.DPUMillis != 1000 {
		t.Errorf("calculation is %+v, %v", c, err)
	}
	again, isNew, err := db.CreateSession(ctx, session.Creation{Session: benchSession(), Operation: "StartSession", Token: "token-1", Hash: []byte("hash")})
	if err != nil || isNew || again.ID != id {
		t.Errorf("the session of a token is %s, new %v, %v", again.ID, isNew, err)
	}
	keys, err := db.Keys(ctx)
	if err != nil || len(keys) != 1 || keys[0].ID != "0a1b2c3d" {
		t.Errorf("keys are %v, %v", keys, err)
	}
	if n, err := db.NextEpoch(ctx); n != 2 || err != nil {
		t.Errorf("epoch is %d, %v", n, err)
	}
}

// TestConcurrentReaders keeps reading while others write: readers never wait
// for the writer's lock, nor see half a transaction.
func TestConcurrentReaders(t *testing.T) {
	db := mustOpen(t, filepath.Join(t.TempDir(), "glaux.db"))
	s, _, err := db.CreateSession(t.Context(), session.Creation{Session: benchSession()})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	writer := func() error {
		for range 300 {
			if _, err := db.UpdateSession(t.Context(), s.Key, func(s *session.Session) error {
				s.DPUs++
				s.Epoch = uint64(s.DPUs)
				return nil
			}); err != nil {
				return err
			}
		}
		return nil
	}
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() { done <- writer() })
	for last := 0; ; {
		rows, err := db.Sessions(t.Context(), session.Query{})
		if err != nil || len(rows) != 1 || rows[0].Epoch != uint64(rows[0].DPUs) || rows[0].DPUs < last {
			t.Fatalf("read %+v after %d, %v", rows, last, err)
		}
		last = rows[0].DPUs
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			if s, err := db.Session(t.Context(), s.Key); err != nil || s.DPUs != 300 {
				t.Fatalf("at the end: %d, %v", s.DPUs, err)
			}
			return
		default:
		}
	}
}
