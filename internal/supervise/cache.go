package supervise

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// How long and how much of the Python packages that sessions had installed is
// kept while no session runs with it.
const (
	modulesFor   = 30 * 24 * time.Hour
	modulesBytes = 8 << 30
)

const (
	lockSuffix  = ".lock"   // of the file beside an entry that sessions lock, and whose time tells the last use
	buildPrefix = ".build-" // of directories that packages are installed in
	lockEvery   = 50 * time.Millisecond
)

// hold locks an entry's file, shared or alone, and returns it; closing it
// unlocks. The error is errEnding when the driver is to end first.
func (s *Supervisor) hold(ctx context.Context, entry string, how int) (*os.File, error) {
	t := time.NewTicker(lockEvery)
	defer t.Stop()
	for {
		f, err := lock(entry+lockSuffix, how)
		if err != nil || f != nil {
			return f, err
		}
		select {
		case <-t.C:
		case <-s.ending:
			return nil, errEnding
		case <-ctx.Done():
			return nil, errEnding
		}
	}
}

// lock locks a file, or returns nil when others hold it.
func lock(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot lock Python packages: %w", err)
	}
	for {
		err = syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err == nil {
		mine, serr := f.Stat()
		there, terr := os.Stat(path)
		if serr == nil && terr == nil && os.SameFile(mine, there) {
			return f, nil
		}
		err = syscall.EWOULDBLOCK // it was swept meanwhile
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, nil
	}
	return nil, fmt.Errorf("cannot lock Python packages: %w", err)
}

// admit makes what a session's user has installed an entry that nobody
// changes: first in the directory outer, which only we write, then in its
// place. It refuses what is not the user's: a link could lead anywhere. None
// of the user's processes may run. A negative uid is ours.
func admit(from, outer, entry string, uid int) error {
	to := filepath.Join(outer, "entry")
	if err := os.Rename(from, to); err != nil { // of a link, the link itself
		return err
	}
	err := filepath.WalkDir(to, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info() // never of what a link leads to
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o444)
		switch {
		case path == to && !d.IsDir():
			return errors.New("it is not a directory")
		case uid >= 0 && int(info.Sys().(*syscall.Stat_t).Uid) != uid:
			return fmt.Errorf("%s belongs to somebody else", filepath.Base(path))
		case d.IsDir() && uid < 0:
			mode = 0o755 // sessions run as we do, and whoever removes the data directory should not stumble
		case d.IsDir(), info.Mode().Perm()&0o100 != 0:
			mode = 0o555
		}
		if uid >= 0 {
			if err := os.Lchown(path, 0, 0); err != nil {
				return err
			}
		}
		switch {
		case d.Type() == fs.ModeSymlink:
			return nil
		case d.Type().IsRegular(), d.IsDir():
			return os.Chmod(path, mode)
		}
		return fmt.Errorf("%s is neither file nor directory", filepath.Base(path))
	})
	if err != nil {
		return err
	}
	return os.Rename(to, entry)
}

// removeAll removes a tree, directories that cannot be written among it.
func removeAll(root string) {
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(path, 0o700)
		}
		return nil
	})
	_ = os.RemoveAll(root) // what stays is swept later
}

// kept is an entry of the cache.
type kept struct {
	path string
	used time.Time
}

// sweepModules removes entries that no session runs with and that were not
// used for long, the least recently used of what is too much, and what
// installations that were killed have left.
func sweepModules(cache string, now time.Time) {
	sweepTo(cache, now, modulesFor, modulesBytes)
}

func sweepTo(cache string, now time.Time, keepFor time.Duration, keepBytes int64) {
	found, err := os.ReadDir(cache)
	if err != nil {
		return
	}
	var entries []kept
	for _, e := range found {
		path := filepath.Join(cache, e.Name())
		info, err := e.Info()
		if err != nil {
			continue
		}
		switch {
		case strings.HasPrefix(e.Name(), buildPrefix):
			if now.Sub(info.ModTime()) > freshFor {
				removeAll(path)
			}
		case strings.HasSuffix(e.Name(), lockSuffix):
			entries = append(entries, kept{strings.TrimSuffix(path, lockSuffix), info.ModTime()})
		}
	}
	slices.SortFunc(entries, func(x, y kept) int { return y.used.Compare(x.used) }) // newest first
	var sum int64
	for _, e := range entries {
		sum += size(e.path)
		if now.Sub(e.used) <= keepFor && sum <= keepBytes {
			continue
		}
		f, err := lock(e.path+lockSuffix, syscall.LOCK_EX)
		if err != nil || f == nil {
			continue // a session runs with it
		}
		// Never half of it under its name.
		gone := filepath.Join(cache, buildPrefix+filepath.Base(e.path))
		if err := os.Rename(e.path, gone); err == nil || errors.Is(err, fs.ErrNotExist) {
			removeAll(gone)
			_ = os.Remove(e.path + lockSuffix)
		}
		f.Close()
	}
}

// size is what the files of a tree take, bytes.
func size(root string) int64 {
	var sum int64
	_ = filepath.WalkDir(root, func(_ string, d fs.DirEntry, err error) error {
		if err == nil {
			if info, err := d.Info(); err == nil {
				sum += info.Size()
			}
		}
		return nil
	})
	return sum
}
