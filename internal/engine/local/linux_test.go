package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// peakMiB returns the most memory a process has had.
func peakMiB(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		kib := 0
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kib); n == 1 {
			return kib >> 10
		}
	}
	t.Fatal("no VmHWM")
	return 0
}

func TestSessionsHaveUsersOfTheirOwn(t *testing.T) {
	if os.Geteuid() != 0 {
		return // an ordinary user has one uid
	}
	t.Parallel()
	w := newWorld(t)
	w.data = filepath.Join(t.TempDir(), "closed", "data") // like a home directory: nobody else may enter
	if err := os.MkdirAll(w.data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(w.data), 0o700); err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(w.data, "keys")
	if err := os.WriteFile(keys, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	serving := testSpec()
	serving.Properties["spark.test.connect"] = "1"
	one, two := ready(t, w, serving), ready(t, w, testSpec())
	id := one.print("id")
	var uid, euid, gid, groups int
	if _, err := fmt.Sscan(id, &uid, &euid, &gid, &groups); err != nil || uid < 200000 || euid != uid || gid != uid || groups != 0 {
		t.Errorf("the session runs as %q", id)
	}
	if other := two.print("id"); other == id {
		t.Errorf("two sessions both run as %q", id)
	}
	work := filepath.Join(one.d.dir, "work")
	for code, want := range map[string]string{
		"status NoNewPrivs":                             "NoNewPrivs:\t1",
		"status CapEff":                                 "CapEff:\t0000000000000000",
		"touch " + filepath.Join(work, "mine"):          "ok",
		"touch " + filepath.Join(one.d.dir, "notmine"):  "denied",
		"read " + keys:                                  "missing",
		"read " + filepath.Join(one.d.dir, "spec.json"): "missing",
		"list " + filepath.Join(two.d.dir, "work"):      "0 missing",
		"list " + filepath.Dir(one.d.dir):               "1 ok",
		"touch /etc/glaux-was-here":                     "denied",
		"user":                                          "glaux glaux",
	} {
		if got := one.print(code); got != want {
			t.Errorf("%s: %q, want %q", code, got, want)
		}
	}

	// Spark Connect is reached by the session itself and through its shim alone.
	socket := one.w.launcher(t).connectSocket(one.d.key)
	if got := one.print("unix " + socket); got != "ok" {
		t.Errorf("the session's own connection: %s", got)
	}
	if got := two.print("unix " + socket); got == "ok" {
		t.Error("another session reaches the socket of Spark Connect")
	}
	for what, path := range map[string]string{"Spark Connect": socket, "the shim": one.d.client.Socket} {
		if err := dialAs(65534, path); !errors.Is(err, os.ErrPermission) {
			t.Errorf("another user reaches the socket of %s: %v", what, err)
		}
		if err := dialAs(0, path); err != nil {
			t.Errorf("root does not reach the socket of %s: %v", what, err)
		}
	}
}

// dialAs connects to a socket with the rights of another user.
func dialAs(uid int, socket string) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if uid != 0 { // of this thread alone; the rights of root go with it
		if err := syscall.Setfsuid(uid); err != nil {
			return err
		}
		defer syscall.Setfsuid(0)
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	return syscall.Connect(fd, &syscall.SockaddrUnix{Name: socket})
}
