package history

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"glaux/internal/engine"
)

func TestSweep(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	live := map[engine.Key]bool{"live": true}
	s := New(Config{
		Logs: t.TempDir(), Retention: 30 * 24 * time.Hour, MaxBytes: 1000,
		Live: func(_ context.Context, k engine.Key) (bool, error) { return live[k], nil }, Log: slog.New(slog.DiscardHandler),
	})
	put := func(key string, age time.Duration, bytes int) {
		t.Helper()
		dir := filepath.Join(s.cfg.Logs, key, "eventlog_v2_app")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "events_1_app")
		if err := os.WriteFile(file, make([]byte, bytes), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{file, dir, filepath.Dir(dir)} {
			if err := os.Chtimes(path, now, now.Add(-age)); err != nil {
				t.Fatal(err)
			}
		}
	}
	left := func() []string {
		entries, err := os.ReadDir(s.cfg.Logs)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, e := range entries {
			out = append(out, e.Name())
		}
		return out
	}
	const day = 24 * time.Hour
	put("old", 30*day, 10)
	put("live", 40*day, 10) // a session that runs is never swept
	put("middle", 29*day, 10)
	if err := s.Sweep(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if got := left(); !slices.Equal(got, []string{"live", "middle"}) {
		t.Errorf("left are %v", got)
	}
	put("recent", time.Minute, 900) // too young to be removed for room
	put("yesterday", day, 200)
	put("week", 7*day, 300)
	if err := s.Sweep(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if got := left(); !slices.Equal(got, []string{"live", "recent"}) {
		t.Errorf("left are %v", got)
	}
	broken := errors.New("no store")
	s.cfg.Live = func(context.Context, engine.Key) (bool, error) { return false, broken }
	put("old", 31*day, 1)
	if err := s.Sweep(t.Context(), now); !errors.Is(err, broken) || !slices.Contains(left(), "old") {
		t.Errorf("with a store that fails: %v, left are %v", err, left())
	}
	s.cfg.Logs = filepath.Join(s.cfg.Logs, "missing")
	if err := s.Sweep(t.Context(), now); err != nil {
		t.Errorf("without logs: %v", err)
	}
}
