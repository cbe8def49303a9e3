package sandbox

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestGroupsAsFiles shows what is written for either version, in directories
// that stand for a machine's.
func TestGroupsAsFiles(t *testing.T) {
	one, two := t.TempDir(), t.TempDir()
	for name, c := range map[string]struct {
		groups Groups
		files  map[string]string
	}{
		"version 1": {Groups{Version: 1, CPU: one, Memory: two}, map[string]string{
			one + "/glaux-key/cpu.shares": "1024", two + "/glaux-key/memory.limit_in_bytes": "3221225472", two + "/glaux-key/memory.memsw.limit_in_bytes": "3221225472",
		}},
		"version 2": {Groups{Version: 2, CPU: two, Memory: two}, map[string]string{
			two + "/glaux-key/cpu.weight": "100", two + "/glaux-key/memory.max": "3221225472", two + "/glaux-key/memory.swap.max": "0",
		}},
		"no memory":      {Groups{Version: 1, CPU: one}, map[string]string{one + "/glaux-key/cpu.shares": "1024"}},
		"only of memory": {Groups{Version: 1, Memory: two}, map[string]string{two + "/glaux-key/memory.limit_in_bytes": "3221225472"}},
	} {
		g, err := c.groups.Make("key", Limits{Cores: 2, Memory: 3072})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for file, want := range c.files {
			if got, err := os.ReadFile(file); err != nil || string(got) != want {
				t.Errorf("%s: %s holds %q, want %q (%v)", name, file, got, want, err)
			}
		}
		if g.CPU != "" {
			file, low := g.CPU+"/cpu.shares", "307"
			if g.Version == 2 {
				file, low = g.CPU+"/cpu.weight", "30"
			}
			for _, yields := range []bool{true, false} {
				must(t, g.Yield(yields))
				want := map[bool]string{true: low, false: c.files[file]}[yields]
				if got, err := os.ReadFile(file); err != nil || string(got) != want {
					t.Errorf("%s: giving way %v leaves %q, want %q (%v)", name, yields, got, want, err)
				}
			}
		}
		if bounded := c.groups.Memory != ""; bounded != (g.MiB == 3072) {
			t.Errorf("%s: bound is %d", name, g.MiB)
		}
		if dirs := map[bool]int{true: 1, false: 2}[c.groups.CPU == c.groups.Memory || c.groups.CPU == "" || c.groups.Memory == ""]; len(g.All()) != dirs {
			t.Errorf("%s: joins %v", name, g.All())
		}
		for _, dir := range g.All() { // a real one has no files to remove
			must(t, os.RemoveAll(dir))
		}
		must(t, g.Remove(0)) // a group that is gone is no error
	}
	broken := Groups{Version: 2, CPU: filepath.Join(one, "nothing"), Memory: filepath.Join(one, "nothing")}
	if _, err := broken.Make("key", Limits{Cores: 1}); err == nil {
		t.Error("a group was made where there can be none")
	}
	var none *Group
	if none.Kills() != 0 || none.All() != nil || none.Remove(0) != nil || none.Yield(true) != nil {
		t.Error("no group is not nothing")
	}
}

func TestGroupsThatAreLeft(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for name, age := range map[string]time.Duration{"glaux-old": time.Hour, "glaux-new": time.Second, "other": time.Hour} {
		must(t, os.Mkdir(at(name), 0o755))
		must(t, os.Chtimes(at(name), time.Time{}, time.Now().Add(-age)))
	}
	Groups{Version: 1, CPU: dir}.Sweep()
	entries, err := os.ReadDir(dir)
	must(t, err)
	if len(entries) != 2 || entries[0].Name() != "glaux-new" || entries[1].Name() != "other" {
		t.Errorf("left are %v", entries)
	}
}

func TestKillsAreRead(t *testing.T) {
	dir := t.TempDir()
	for version, file := range map[int]string{1: "memory.oom_control", 2: "memory.events"} {
		must(t, os.WriteFile(filepath.Join(dir, file), []byte("low 0\noom 4\noom_kill 3\n"), 0o600))
		if n := (&Group{Version: version, Memory: dir}).Kills(); n != 3 {
			t.Errorf("version %d: %d kills", version, n)
		}
	}
}

// TestGroupOfThisMachine bounds a process for real where this machine lets us,
// and wants a reason where it does not.
func TestGroupOfThisMachine(t *testing.T) {
	found, why := FindGroups(func(int) bool { return false })
	if found.Memory == "" {
		if why == "" {
			t.Error("no groups, and no reason")
		}
		t.Log(why)
		return
	}
	g, err := found.Make("test-"+strconv.Itoa(os.Getpid()), Limits{Cores: 1, Memory: 64})
	must(t, err)
	join := ""
	for _, dir := range g.All() {
		join += "echo $$ > " + dir + "/cgroup.procs && "
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", join+`exec awk 'BEGIN { s = "0123456789abcdef"; while (length(s) < 300000000) s = s s; print length(s) }'`)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("a process that outgrew its group ended with %v: %s", err, out)
	}
	if g.Kills() == 0 {
		t.Error("the group does not tell of it")
	}
	must(t, g.Remove(5*time.Second))
	for _, dir := range g.All() {
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s is left", dir)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
