package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// shortDir is a directory of our own with a short path.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "glx")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // the system sweeps what is left there
	return dir
}

func TestSocketDirectoriesOthersCanWriteTo(t *testing.T) {
	// nobody is neither who runs this nor, as root, who owns what is made here.
	const nobody = 54321
	foreign := func(dir string) error {
		if os.Geteuid() == 0 {
			return os.Chown(dir, 12345, -1)
		}
		return nil // as seen by nobody it is foreign already
	}
	for name, c := range map[string]struct {
		uid     int
		prepare func(base string, p place) error
		why     string // empty: it is taken
	}{
		"none yet":   {os.Geteuid(), func(string, place) error { return nil }, ""},
		"made by us": {os.Geteuid(), func(_ string, p place) error { return os.MkdirAll(p.sockets, 0o700) }, ""},
		"sticky": {os.Geteuid(), func(base string, _ place) error {
			if err := os.Mkdir(base, 0o700); err != nil {
				return err
			}
			return os.Chmod(base, 0o777|os.ModeSticky)
		}, ""},
		"another user's": {nobody, func(base string, _ place) error {
			if err := os.Mkdir(base, 0o700); err != nil {
				return err
			}
			return foreign(base)
		}, "belongs to the user with uid"},
		"below it another user's": {nobody, func(_ string, p place) error {
			if err := os.MkdirAll(p.sockets, 0o700); err != nil {
				return err
			}
			return foreign(p.sockets)
		}, "belongs to the user with uid"},
		"in another user's": {nobody, func(base string, _ place) error { return foreign(filepath.Dir(base)) }, "belongs to the user with uid"},
		"a link": {os.Geteuid(), func(base string, _ place) error {
			if err := os.Mkdir(base+"2", 0o700); err != nil {
				return err
			}
			return os.Symlink(base+"2", base)
		}, "is no directory (L---------)"},
		"below it a link": {os.Geteuid(), func(base string, p place) error {
			if err := os.Mkdir(base, 0o700); err != nil {
				return err
			}
			return os.Symlink(filepath.Dir(base), p.sockets)
		}, "is no directory (L---------)"},
		"the group may write": {os.Geteuid(), func(base string, _ place) error {
			if err := os.Mkdir(base, 0o700); err != nil {
				return err
			}
			return os.Chmod(base, 0o770)
		}, "others may write to"},
		"everybody may write below it": {os.Geteuid(), func(_ string, p place) error {
			if err := os.MkdirAll(p.sockets, 0o700); err != nil {
				return err
			}
			return os.Chmod(p.sockets, 0o702)
		}, "others may write to"},
	} {
		t.Run(name, func(t *testing.T) {
			base := filepath.Join(shortDir(t), "s")
			p := newPlace(&Config{DataDir: t.TempDir(), SocketDir: base})
			if err := c.prepare(base, p); err != nil {
				t.Fatal(err)
			}
			err := p.make()
			if err == nil || c.uid == nobody {
				err = p.ours(c.uid)
			}
			if (err != nil) != (c.why != "") || err != nil && !strings.Contains(err.Error(), c.why) {
				t.Errorf("got %v, want %q", err, c.why)
			}
		})
	}
}

func TestRuntimeDirectoryOfAnotherUserIsNotTheDefault(t *testing.T) {
	mine, open := shortDir(t), shortDir(t)
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	of := func(dir string) string { return socketDir(func(string) string { return dir }) }
	if got := of(mine); got != filepath.Join(mine, "glaux") {
		t.Errorf("got %s", got)
	}
	if none := filepath.Join(mine, "none"); of(none) != filepath.Join(none, "glaux") {
		t.Errorf("got %s", of(none)) // it is made then, and ours
	}
	if got := of(open); got != of("") {
		t.Errorf("got %s, want %s", got, of(""))
	}
}
