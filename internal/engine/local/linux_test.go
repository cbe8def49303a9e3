package local

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
	one, two := ready(t, w, testSpec()), ready(t, w, testSpec())
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
}
