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

// swept is a server whose sessions ended as told; zero: they run.
type swept struct {
	*testing.T
	*Server
	ended  map[engine.Key]time.Time
	broken error // what Ended says
}

func newSwept(t *testing.T, retention time.Duration, most int64) *swept {
	s := &swept{T: t, ended: map[engine.Key]time.Time{}}
	s.Server = New(Config{
		Logs: t.TempDir(), Retention: retention, MaxBytes: most, Log: slog.New(slog.DiscardHandler),
		Ended: func(_ context.Context, k engine.Key) (time.Time, error) { return s.ended[k], s.broken },
	})
	return s
}

// put writes a log of a session that ended then.
func (s *swept) put(key engine.Key, ended time.Time, bytes int) string {
	s.Helper()
	file := filepath.Join(s.cfg.Logs, string(key), "eventlog_v2_app", "events_1_app")
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, make([]byte, bytes), 0o600)); err != nil {
		s.Fatal(err)
	}
	s.ended[key] = ended
	return file
}

func (s *swept) left(want ...string) {
	s.Helper()
	entries, err := os.ReadDir(s.cfg.Logs)
	if err != nil {
		s.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if !slices.Equal(got, want) {
		s.Errorf("left are %v, want %v", got, want)
	}
}

func (s *swept) sweep(now time.Time) {
	s.Helper()
	if err := s.Sweep(s.Context(), now); err != nil {
		s.Fatal(err)
	}
}

func TestSweep(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	s := newSwept(t, 30*day, 1<<20)
	s.put("live", time.Time{}, 300<<10) // counts for nothing while it runs
	s.put("middle", now.Add(-29*day), 10<<10)
	// Times of files are the session's own word.
	future := s.put("old", now.Add(-30*day), 10<<10)
	if err := errors.Join(os.Chtimes(future, now, now.Add(1000*day)), os.Chtimes(filepath.Dir(future), now, now.Add(1000*day))); err != nil {
		t.Fatal(err)
	}
	s.sweep(now)
	s.left("live", "middle")
	s.put("recent", now.Add(-time.Minute), 450<<10)
	s.put("week", now.Add(-7*day), 300<<10)
	s.put("yesterday", now.Add(-day), 400<<10)
	s.sweep(now)
	s.left("live", "recent", "yesterday")
	s.ended["live"] = now
	s.sweep(now.Add(30 * day))
	s.left()

	s.put("new", now, 1)
	s.broken = errors.New("no store")
	if err := s.Sweep(t.Context(), now); !errors.Is(err, s.broken) {
		t.Errorf("with a store that fails: %v", err)
	}
	s.left("new")
	s.cfg.Logs = filepath.Join(s.cfg.Logs, "missing")
	s.sweep(now)
}

// TestSweepOfWhatASessionClaims has files that say that they are large, or are.
func TestSweepOfWhatASessionClaims(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := newSwept(t, 0, 1<<20)
	s.put("good", now.Add(-2*time.Hour), 400<<10)
	if err := os.Truncate(s.put("sparse", time.Time{}, 1), 1<<40); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(t.TempDir(), "outside")
	if err := errors.Join(os.Mkdir(outside, 0o700), os.WriteFile(filepath.Join(outside, "file"), make([]byte, 2<<20), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(s.cfg.Logs, "sparse", "link")); err != nil {
		t.Fatal(err)
	}
	large := s.put("large", time.Time{}, 600<<10) // more than half of what all may have
	deep := s.put("deep", now, 1)
	for range depthMax {
		deep = filepath.Join(filepath.Dir(deep), "d", "x")
	}
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	s.sweep(now)
	s.left("deep", "good", "large", "sparse")
	for _, key := range []string{"deep", "large"} {
		if entries, err := os.ReadDir(filepath.Join(s.cfg.Logs, key)); err != nil || len(entries) != 0 {
			t.Errorf("of %s are left %v, %v", key, entries, err)
		}
	}
	if _, err := os.Stat(filepath.Join(outside, "file")); err != nil {
		t.Error(err)
	}
	s.ended["sparse"], s.ended["large"] = now, now
	s.put("large", now, 700<<10)
	s.sweep(now)
	s.left("deep", "good", "large", "sparse")
	if _, err := os.Stat(large); err == nil {
		t.Error("the large file is there")
	}
}
