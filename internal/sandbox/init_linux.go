package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Supported says whether this process can give sessions uids of their own.
func Supported() bool { return os.Geteuid() == 0 }

// Attr returns the attributes with which Init is to be started.
func Attr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Setpgid: true}
}

// Init prepares the namespace it was started in, drops what the config does
// not grant, and becomes the program. It returns only when it cannot. The
// arguments are those of InitArgs without InitArg.
func Init(args, env []string) error {
	if len(args) < 2 {
		return errors.New("cannot start sandbox: too few arguments")
	}
	var cfg Config
	if err := json.Unmarshal([]byte(args[0]), &cfg); err != nil {
		return fmt.Errorf("cannot decode sandbox: %w", err)
	}
	runtime.LockOSThread()                   // some of what follows is kept per thread; exec keeps this one's
	if err := join(cfg.Groups); err != nil { // before anything covers their directories
		return err
	}
	if err := mounts(cfg); err != nil {
		return err
	}
	if err := drop(cfg); err != nil {
		return err
	}
	if err := os.Chdir(cfg.Dir); err != nil {
		return fmt.Errorf("cannot enter the work directory: %w", err)
	}
	err := syscall.Exec(args[1], args[1:], env)
	return fmt.Errorf("cannot execute %q: %w", args[1], err)
}

// mounts covers what blocks the way.
func mounts(cfg Config) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("cannot make mounts private: %w", err)
	}
	covers := plan(cfg, func(dir string) bool { return enters(cfg.UID, dir) })
	files := map[string]int{} // opened before anything is covered
	for _, c := range covers {
		for _, b := range c.binds {
			if _, ok := files[b.from]; ok {
				continue
			}
			fd, err := unix.Open(b.from, unix.O_PATH|unix.O_CLOEXEC, 0)
			if errors.Is(err, unix.ENOENT) {
				continue // gone since it was planned
			}
			if err != nil {
				return fmt.Errorf("cannot open %q: %w", b.from, err)
			}
			files[b.from] = fd
		}
	}
	if cfg.Names != "" {
		for _, file := range []string{"passwd", "group"} {
			if err := unix.Mount(filepath.Join(cfg.Names, file), "/etc/"+file, "", unix.MS_BIND, ""); err != nil {
				return fmt.Errorf("cannot give the session's user a name in /etc/%s: %w", file, err)
			}
		}
	}
	for _, c := range covers {
		if err := unix.Mount("tmpfs", c.dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "size=1m,mode=0755"); err != nil {
			return fmt.Errorf("cannot cover %q: %w", c.dir, err)
		}
		for _, b := range c.binds {
			fd, ok := files[b.from]
			if !ok {
				continue
			}
			if err := show(fd, b); err != nil {
				return err
			}
		}
	}
	return nil
}

// show bind-mounts an open file at its place.
func show(fd int, b bind) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("cannot look at %q: %w", b.from, err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		if err := os.MkdirAll(b.at, 0o755); err != nil {
			return fmt.Errorf("cannot make %q: %w", b.at, err)
		}
	} else {
		if err := os.MkdirAll(filepath.Dir(b.at), 0o755); err != nil {
			return fmt.Errorf("cannot make the directory of %q: %w", b.at, err)
		}
		if f, err := os.OpenFile(b.at, os.O_CREATE|os.O_RDONLY, 0o644); err == nil {
			f.Close()
		}
	}
	if err := unix.Mount("/proc/self/fd/"+strconv.Itoa(fd), b.at, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		if unix.Fstat(fd, &st) == nil && st.Nlink == 0 {
			return nil // removed since it was planned
		}
		return fmt.Errorf("cannot show %q: %w", b.at, err)
	}
	if b.write {
		return nil
	}
	flags := uintptr(unix.MS_BIND | unix.MS_REMOUNT | unix.MS_RDONLY | unix.MS_NOSUID)
	if err := unix.Mount("", b.at, "", flags, ""); err != nil {
		return fmt.Errorf("cannot make %q read-only: %w", b.at, err)
	}
	return nil
}

// enters says whether the uid, in no group but its own, may pass through dir.
func enters(uid int, dir string) bool {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return true // nothing to cover
	}
	switch {
	case int(st.Uid) == uid:
		return st.Mode&0o100 != 0
	case int(st.Gid) == uid:
		return st.Mode&0o010 != 0
	}
	return st.Mode&0o001 != 0
}

// drop gives up root for good.
func drop(cfg Config) error {
	if cfg.UID <= 0 {
		return fmt.Errorf("cannot run as uid %d", cfg.UID)
	}
	if err := syscall.Setgroups([]int{}); err != nil {
		return fmt.Errorf("cannot drop groups: %w", err)
	}
	if err := syscall.Setresgid(cfg.UID, cfg.UID, cfg.UID); err != nil {
		return fmt.Errorf("cannot set gid: %w", err)
	}
	if err := syscall.Setresuid(cfg.UID, cfg.UID, cfg.UID); err != nil {
		return fmt.Errorf("cannot set uid: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("cannot set no_new_privs: %w", err)
	}
	// Only now: a change of uid clears it.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("cannot tie the process to its parent: %w", err)
	}
	if cfg.Parent != 0 && os.Getppid() != cfg.Parent {
		return errors.New("cannot start: the shim has ended")
	}
	return nil
}
