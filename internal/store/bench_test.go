package store_test

import (
	"path/filepath"
	"testing"
	"time"

	"glaux/internal/ident"
	"glaux/internal/session"
	"glaux/internal/store"
	"glaux/internal/workgroup"
)

func benchSession() session.Session {
	id, now := ident.NewID(), time.Now()
	return session.Session{
		Key: session.Key(id), ID: id, Account: "000000000000", Face: session.Athena, Workgroup: "spark", Engine: workgroup.EnginePySpark,
		Desired: session.Idle, State: session.Idle, Created: now, Changed: now, ExecutionRole: "arn:aws:iam::000000000000:role/glaux-spark",
		WorkingDir: "s3://glaux-results/spark/" + id, IdleTimeout: 20 * time.Minute,
		Properties: map[string]string{"spark.sql.shuffle.partitions": "8", "spark.executor.memory": "2g", "spark.app.name": "bench"},
	}
}

// BenchmarkStore measures the hot paths: what GetWorkGroup and GetSession
// read, and what every state change writes.
func BenchmarkStore(b *testing.B) {
	db := mustOpen(b, filepath.Join(b.TempDir(), "glaux.db"))
	ctx := b.Context()
	for _, w := range workgroup.Defaults("000000000000", "s3://glaux-results", "arn:aws:iam::000000000000:role/glaux-spark") {
		if err := db.CreateWorkgroup(ctx, w, nil, 0); err != nil {
			b.Fatal(err)
		}
	}
	s, _, err := db.CreateSession(ctx, session.Creation{Session: benchSession()})
	if err != nil {
		b.Fatal(err)
	}
	parallel := func(b *testing.B, f func() error) {
		b.ReportAllocs()
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				if err := f(); err != nil {
					b.Error(err)
				}
			}
		})
	}
	b.Run("Workgroup", func(b *testing.B) {
		parallel(b, func() error { _, err := db.Workgroup(ctx, "000000000000", "spark"); return err })
	})
	b.Run("Session", func(b *testing.B) {
		parallel(b, func() error { _, err := db.Session(ctx, s.Key); return err })
	})
	b.Run("FindSession", func(b *testing.B) {
		parallel(b, func() error { _, err := db.FindSession(ctx, s.Account, s.Face, s.ID); return err })
	})
	b.Run("CreateSession", func(b *testing.B) {
		parallel(b, func() error {
			_, _, err := db.CreateSession(ctx, session.Creation{Session: benchSession()})
			return err
		})
	})
	b.Run("UpdateSession", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := db.UpdateSession(ctx, s.Key, func(s *session.Session) error { s.DPUs++; return nil }); err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkOpen measures opening an existing store: a part of the server's start.
func BenchmarkOpen(b *testing.B) {
	path := filepath.Join(b.TempDir(), "glaux.db")
	for b.Loop() {
		db, err := store.Open(b.Context(), path)
		if err != nil {
			b.Fatal(err)
		}
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
