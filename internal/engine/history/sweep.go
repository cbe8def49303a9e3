package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"glaux/internal/engine"
)

const (
	sweepEvery = time.Hour
	fresh      = time.Hour // what was written so recently may belong to a session that is being started
)

// runSweeps sweeps now and then until ctx ends.
func (s *Server) runSweeps(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := s.Sweep(ctx, time.Now()); err != nil && ctx.Err() == nil {
			s.cfg.Log.WarnContext(ctx, "cannot remove old event logs", "cause", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// kept is what there is of one session.
type kept struct {
	key    engine.Key
	bytes  int64
	newest time.Time
}

// Sweep removes the event logs of sessions that are over and older than the
// retention, and the oldest beyond the bytes that all may take together.
func (s *Server) Sweep(ctx context.Context, now time.Time) error {
	entries, err := os.ReadDir(s.cfg.Logs)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot list event logs: %w", err)
	}
	var all []kept
	var total int64
	for _, e := range entries {
		k := measure(filepath.Join(s.cfg.Logs, e.Name()))
		k.key = engine.Key(e.Name())
		all = append(all, k)
		total += k.bytes
	}
	slices.SortFunc(all, func(a, b kept) int { return cmp.Or(a.newest.Compare(b.newest), cmp.Compare(a.key, b.key)) })
	var errs []error
	for _, k := range all {
		old := s.cfg.Retention > 0 && now.Sub(k.newest) >= s.cfg.Retention
		much := s.cfg.MaxBytes > 0 && total > s.cfg.MaxBytes
		if !old && (!much || now.Sub(k.newest) < fresh) {
			continue
		}
		live, err := s.cfg.Live(ctx, k.key)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		if live {
			continue
		}
		if err := os.RemoveAll(filepath.Join(s.cfg.Logs, string(k.key))); err != nil {
			errs = append(errs, err)
			continue
		}
		total -= k.bytes
		s.cfg.Log.InfoContext(ctx, "event log removed", "session", string(k.key), "bytes", k.bytes, "age", now.Sub(k.newest).Round(time.Second))
	}
	return errors.Join(errs...)
}

// measure adds up what is below a directory. What cannot be read counts nothing.
func measure(dir string) kept {
	var k kept
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error { // as much as there is
		if err != nil {
			return nil
		}
		if info, err := d.Info(); err == nil {
			if info.Mode().IsRegular() {
				k.bytes += info.Size()
			}
			if info.ModTime().After(k.newest) {
				k.newest = info.ModTime()
			}
		}
		return nil
	})
	return k
}
