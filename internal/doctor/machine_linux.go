package doctor

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// attributes checks that the data directory's file system keeps user attributes, where the object store puts ETags.
func attributes(dir string) Check {
	c := Check{Name: "extended attributes"}
	for dir != "" && dir != "/" {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	file, err := os.CreateTemp(dir, ".glaux-doctor-*")
	if err != nil {
		c.Result, c.Detail, c.Fix = Missing, fmt.Sprintf("cannot write to %s: %v", dir, err), "choose a directory you own with --data-dir"
		return c
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if err := unix.Fsetxattr(int(file.Fd()), "user.glaux", []byte("1"), 0); err != nil {
		c.Result, c.Detail = Missing, fmt.Sprintf("the file system of %s has none (%v)", dir, err)
		c.Fix = "put the data directory on ext4, xfs, btrfs or a tmpfs of Linux 6.6 or newer with --data-dir, or configure an external S3 endpoint"
		return c
	}
	c.Result, c.Detail = OK, "kept by the file system of "+dir
	return c
}

func isolation() []Check {
	root := os.Geteuid() == 0
	return []Check{users(root), namespaces(root), cgroups()}
}

func users(root bool) Check {
	if root {
		return Check{Name: "user per session", Result: OK, Detail: "running as root: every session gets a uid of its own"}
	}
	return Check{Name: "user per session", Result: Warning, Detail: "running as uid " + strconv.Itoa(os.Geteuid()) + ": sessions run as you and can read your files",
		Fix: "run as root to separate sessions, or only run code you trust"}
}

// namespaces checks what the sandbox needs: without a mount namespace no
// session of a server that is root starts.
func namespaces(root bool) Check {
	c := Check{Name: "namespaces", Result: OK, Detail: "usable"}
	cmd := exec.Command("/proc/self/exe")
	if path, err := exec.LookPath("true"); err == nil {
		cmd = exec.Command(path)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC}
	if !root {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
		c.Name = "user namespaces"
	}
	if err := cmd.Run(); err != nil {
		c.Result, c.Detail = Warning, "refused: "+err.Error()
		c.Fix = "sessions run without a sandbox; allow it with: sysctl kernel.unprivileged_userns_clone=1 (and kernel.apparmor_restrict_unprivileged_userns=0)"
		if root {
			c.Result = Missing
			c.Fix = "as root the server gives sessions a namespace and a user of their own: let the container do so (--cap-add SYS_ADMIN, and a profile that permits mounts), or run the server as an ordinary user"
		}
	}
	return c
}

func cgroups() Check {
	c := Check{Name: "cgroups"}
	kind, dir := "", ""
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		kind, dir = "version 2", "/sys/fs/cgroup"
	} else if _, err := os.Stat("/sys/fs/cgroup/memory"); err == nil {
		kind, dir = "version 1", "/sys/fs/cgroup/memory"
	}
	switch err := unix.Access(dir, unix.W_OK); {
	case kind == "":
		c.Result, c.Detail, c.Fix = Warning, "none found: "+without(), "mount cgroup2 on /sys/fs/cgroup"
	case errors.Is(err, unix.EACCES) || errors.Is(err, unix.EROFS) || errors.Is(err, unix.EPERM):
		c.Result, c.Detail, c.Fix = Warning, kind+", not writable: "+without(), "run as root, or as a service with delegated cgroups (systemd: Delegate=yes)"
	default:
		c.Result, c.Detail = OK, kind+", writable: memory and processors of a session can be bounded; the server's log says at its start if they are not"
	}
	return c
}

// without says what keeps sessions apart on a machine without control groups.
func without() string {
	says := "a session's memory is limited by its JVM's heap alone"
	if b, err := os.ReadFile("/proc/sys/kernel/sched_autogroup_enabled"); err == nil && strings.TrimSpace(string(b)) == "1" {
		return says + ", and the kernel shares processors evenly between sessions"
	}
	return says + ", and a busy session slows the others down"
}
