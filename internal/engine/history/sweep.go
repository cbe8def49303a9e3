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
	"syscall"
	"time"

	"glaux/internal/engine"
)

const (
	sweepEvery = time.Minute
	sessionMax = 512 << 20 // what a session may have in its directory, bytes: two logs that have reached their bound
	seenMax    = 20000     // files and directories of a session that are looked at
	depthMax   = 16        // how deep they are looked at
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

// kept is what there is of one session that is over. Nothing of it runs any
// more, so that this does not change.
type kept struct {
	key   engine.Key
	bytes int64
	ended time.Time
}

// Sweep removes the event logs of sessions that are over and ended longer ago
// than the retention, and the oldest beyond the bytes that all of them may take
// together. What a session has put into its directory beyond what one may, it
// loses at once, also while it runs. Times and sizes are not the session's own
// word: when it ended, and the blocks that are taken.
func (s *Server) Sweep(ctx context.Context, now time.Time) error {
	s.sweeping.Lock()
	defer s.sweeping.Unlock()
	logs, err := os.OpenRoot(s.cfg.Logs)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot list event logs: %w", err)
	}
	defer logs.Close() //nolint:errcheck // only read
	entries, err := fs.ReadDir(logs.FS(), ".")
	if err != nil {
		return fmt.Errorf("cannot list event logs: %w", err)
	}
	over := map[engine.Key]kept{}
	defer func() { s.over = over }()
	var all []kept
	var errs []error
	for _, e := range entries {
		k, known := s.over[engine.Key(e.Name())]
		if !known {
			if k, err = s.weigh(ctx, logs, e.Name()); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		if !k.ended.IsZero() {
			over[k.key] = k
			all = append(all, k)
		}
	}
	slices.SortFunc(all, func(a, b kept) int { return cmp.Or(a.ended.Compare(b.ended), cmp.Compare(a.key, b.key)) })
	var total int64
	for _, k := range all {
		total += k.bytes
	}
	for _, k := range all {
		old := s.cfg.Retention > 0 && now.Sub(k.ended) >= s.cfg.Retention
		if much := s.cfg.MaxBytes > 0 && total > s.cfg.MaxBytes; !old && !much {
			continue
		}
		if err := logs.RemoveAll(string(k.key)); err != nil {
			errs = append(errs, err)
			continue
		}
		delete(over, k.key)
		total -= k.bytes
		s.cfg.Log.InfoContext(ctx, "event log removed", "session", string(k.key), "bytes", k.bytes, "ended", k.ended)
	}
	return errors.Join(errs...)
}

// weigh finds out what a session has in its directory, and empties that if it
// is too much.
func (s *Server) weigh(ctx context.Context, logs *os.Root, name string) (kept, error) {
	k := kept{key: engine.Key(name)}
	var err error
	if k.ended, err = s.cfg.Ended(ctx, k.key); err != nil {
		return k, err
	}
	dir, err := enter(logs, name)
	if err != nil {
		return k, err
	}
	defer dir.Close() //nolint:errcheck // only read
	most := int64(sessionMax)
	if s.cfg.MaxBytes > 0 {
		most = min(most, s.cfg.MaxBytes/2)
	}
	var whole bool
	if k.bytes, whole = measure(dir); whole && k.bytes <= most {
		return k, nil
	}
	s.cfg.Log.WarnContext(ctx, "a session has too much among its event logs and loses them", "session", name, "bytes", k.bytes)
	k.bytes = 0
	for {
		names, err := list(dir)
		if err != nil || len(names) == 0 {
			return k, err
		}
		for _, name := range names {
			if err := dir.RemoveAll(name); err != nil {
				return k, err
			}
		}
		if k.ended.IsZero() {
			return k, nil // its code may go on making files: next time
		}
	}
}

// measure adds up the blocks that are taken below a directory, and reports
// whether it has seen all. What cannot be read takes nothing.
func measure(root *os.Root) (bytes int64, whole bool) {
	type place struct {
		name  string
		depth int
	}
	seen := 0
	for todo := []place{{".", 0}}; len(todo) > 0; {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		dir, err := enter(root, at.name)
		if err != nil {
			continue
		}
		names, err := list(dir)
		if seen += len(names); err == nil && (seen > seenMax || len(names) == entryMax || at.depth == depthMax) {
			_ = dir.Close() // only read
			return bytes, false
		}
		for _, name := range names {
			info, err := dir.Lstat(name)
			if err != nil {
				continue
			}
			bytes += info.Sys().(*syscall.Stat_t).Blocks * 512
			if info.IsDir() {
				todo = append(todo, place{filepath.Join(at.name, name), at.depth + 1})
			}
		}
		_ = dir.Close() // only read
	}
	return bytes, true
}
