package sandbox

import (
	"bytes"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// names gives the uid and gid of the session a name in this mount namespace.
// Hadoop refuses to log in a user that the system cannot name.
func names(cfg Config) error {
	for _, f := range []struct{ path, line string }{
		{"/etc/passwd", fmt.Sprintf("session:x:%d:%d::%s:/bin/sh\n", cfg.UID, cfg.UID, cfg.Dir)},
		{"/etc/group", fmt.Sprintf("session:x:%d:\n", cfg.UID)},
	} {
		if err := extend(f.path, f.line, cfg.Dir); err != nil {
			return fmt.Errorf("cannot name the session's user in %s: %w", f.path, err)
		}
	}
	return nil
}

// extend shows path with one more line. What is shown lives in dir until it
// has been mounted, and is without a name from then on.
func extend(path, line, dir string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if len(text) > 0 && !bytes.HasSuffix(text, []byte("\n")) {
		text = append(text, '\n')
	}
	f, err := os.CreateTemp(dir, ".names-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(append(text, line...))
	if err == nil {
		err = f.Chmod(0o644)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := unix.Mount(f.Name(), path, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	return unix.Mount("", path, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY|unix.MS_NOSUID, "")
}
