package calc_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"glaux/internal/calc"
	"glaux/internal/engine/enginetest"
	"glaux/internal/ident"
	"glaux/internal/session"
	"glaux/internal/store"
	"glaux/internal/workgroup"
)

// BenchmarkCalculation measures what the managers and the real store add to a
// calculation that takes no time itself: from Start to COMPLETED, asking at once.
func BenchmarkCalculation(b *testing.B) {
	db, err := store.Open(b.Context(), filepath.Join(b.TempDir(), "glaux.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	if err := workgroup.CreateDefaults(b.Context(), db, workgroup.Defaults(home.Account, "s3://results", home.Role("r"))); err != nil {
		b.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	sessions, err := session.New(session.Config{
		Home: home, Store: db, Access: yes{}, Launcher: &enginetest.Fake{}, Log: log, Epoch: 1,
		Workgroups: workgroup.New(db, yes{}, home, ident.NewPages([]byte("0123456789abcdef"))),
		AgentToken: func(k session.Key) string { return string(k) },
	})
	if err != nil {
		b.Fatal(err)
	}
	objects := &objects{all: map[string]string{}}
	calcs, err := calc.New(calc.Config{Home: home, Store: db, Sessions: sessions, Access: yes{}, Objects: objects, Log: log})
	if err != nil {
		b.Fatal(err)
	}
	sessions.Attach(calcs)
	ctx, cancel := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = sessions.Run(ctx) })
	running.Go(func() { _ = calcs.Run(ctx) })
	defer running.Wait()
	defer cancel()
	s, err := sessions.Start(ctx, root, session.Request{Workgroup: "spark"})
	if err != nil {
		b.Fatal(err)
	}
	for s.State != session.Idle {
		if s, err = sessions.Get(ctx, root, s.ID); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		c, err := calcs.Start(ctx, root, calc.Request{Session: s.ID, Code: "display {\"text/plain\":\"2\"}"})
		if err != nil {
			b.Fatal(err)
		}
		for asked := time.Now(); !c.State.Terminal(); {
			if c, err = calcs.Get(ctx, root, c.ID); err != nil {
				b.Fatal(err)
			}
			if time.Since(asked) > 10*time.Second {
				b.Fatal("it does not end")
			}
		}
	}
}
