package install

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"glaux/internal/shim"
)

// versions makes n versions of everything, the first one the oldest, and
// returns the runtime of each.
func versions(t *testing.T, dir string, n int) []Runtime {
	t.Helper()
	all := make([]Runtime, n)
	for i := range all {
		parts := []string{
			filepath.Join(dir, "driver", fmt.Sprintf("%d.jar", i)), filepath.Join(dir, "archive", fmt.Sprintf("%d.jsa", i)),
			filepath.Join(dir, "runner", fmt.Sprint(i)), filepath.Join(dir, fmt.Sprintf("python-%d", i)),
			filepath.Join(dir, lambdaDir, fmt.Sprintf("%d.jar", i)),
		}
		for _, part := range parts {
			if filepath.Ext(part) == "" {
				must(t, os.MkdirAll(part, 0o755))
			} else {
				must(t, os.MkdirAll(filepath.Dir(part), 0o755))
				must(t, os.WriteFile(part, nil, 0o600))
			}
			at := time.Now().Add(time.Duration(i-n) * time.Hour)
			must(t, os.Chtimes(part, at, at))
		}
		all[i] = Runtime{
			Dir: dir, Java: "java", Python: parts[3] + "/bin/python", PythonPath: parts[2:3],
			ClassPath: []string{parts[0], parts[4], parts[3] + "/pyspark/jars/a.jar"}, Archive: parts[1], SparkHome: parts[3] + "/pyspark",
		}
	}
	return all
}

// run makes a session that runs with a runtime, below a directory of sessions.
func run(t *testing.T, sessions, key string, r Runtime) {
	t.Helper()
	jvm, runner := r.Command(1024, "/tmp", "/tmp/conf", nil, r.Formats["iceberg"]), r.Runner()
	text, err := json.Marshal(shim.Spec{
		JVM:      shim.Command{Path: jvm[0], Args: jvm[1:], Env: r.Env()},
		Python:   shim.Command{Path: runner[0], Args: runner[1:], Env: r.Env()},
		ReadOnly: []string{r.Dir},
	})
	must(t, err)
	must(t, os.MkdirAll(filepath.Join(sessions, key), 0o700))
	must(t, os.WriteFile(filepath.Join(sessions, key, shim.SpecFile), text, 0o600))
}

// left says of which versions everything is there; it fails where only a part is.
func left(t *testing.T, all []Runtime) string {
	t.Helper()
	var there []string
	for i, r := range all {
		n := 0
		for _, path := range []string{r.ClassPath[0], r.Archive, r.PythonPath[0], filepath.Dir(filepath.Dir(r.Python))} {
			if _, err := os.Stat(path); err == nil {
				n++
			}
		}
		if n == 4 {
			there = append(there, fmt.Sprint(i))
		} else if n > 0 {
			t.Errorf("of version %d %d parts are left", i, n)
		}
	}
	return strings.Join(there, " ")
}

func TestPruneSparesWhatSessionsRunWith(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(t *testing.T, dir, sessions string, all []Runtime)
		want    string
	}{
		"no sessions": {func(*testing.T, string, string, []Runtime) {}, "9 10 11"},
		"a session with an early one": {func(t *testing.T, dir, sessions string, all []Runtime) {
			must(t, Use(dir, sessions))
			must(t, Use(dir, sessions)) // once more says nothing new
			run(t, sessions, "k1", all[1])
		}, "1 9 10 11"}, // but not 10's namesakes
		"two servers": {func(t *testing.T, dir, sessions string, all []Runtime) {
			must(t, Use(dir, sessions))
			must(t, Use(dir, sessions+"2"))
			run(t, sessions, "k1", all[0])
			run(t, sessions, "k2", all[9])
			run(t, sessions+"2", "k3", all[4])
		}, "0 4 9 10 11"},
		"a server that is gone": {func(t *testing.T, dir, sessions string, _ []Runtime) { must(t, Use(dir, sessions)) }, "9 10 11"},
		"a session that is being made": {func(t *testing.T, dir, sessions string, _ []Runtime) {
			must(t, Use(dir, sessions))
			must(t, os.MkdirAll(filepath.Join(sessions, "k1"), 0o700))
		}, "9 10 11"},
		"a session that nothing is known of": {func(t *testing.T, dir, sessions string, all []Runtime) {
			must(t, Use(dir, sessions))
			run(t, sessions, "k1", all[1])
			must(t, os.WriteFile(filepath.Join(sessions, "k1", shim.SpecFile), []byte("{"), 0o600))
		}, "0 1 2 3 4 5 6 7 8 9 10 11"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, sessions := t.TempDir(), filepath.Join(t.TempDir(), "sessions")
			all := versions(t, dir, 12)
			half := filepath.Join(dir, lambdaDir, ".new-1")
			must(t, os.MkdirAll(filepath.Join(half, "dump"), 0o700))
			c.prepare(t, dir, sessions, all)
			in := &installer{Options: Options{Dir: dir, Out: t.Output()}}
			in.prune(all[len(all)-1])
			if got := left(t, all); got != c.want {
				t.Errorf("left %s, want %s", got, c.want)
			}
			if _, err := os.Stat(half); err == nil {
				t.Error("half a jar is left")
			}
		})
	}
}

func TestServersThatAreGoneAreForgotten(t *testing.T) {
	dir, sessions := t.TempDir(), filepath.Join(t.TempDir(), "sessions")
	must(t, Use(dir, sessions))
	in := &installer{Options: Options{Dir: dir}}
	if _, err := in.used(); err != nil {
		t.Fatal(err)
	}
	users, err := filepath.Glob(filepath.Join(dir, usersDir, "*"))
	must(t, err)
	if len(users) > 0 {
		t.Errorf("remembered: %v", users)
	}
}

func TestPruneRemovesJarsOfFormatsThatNobodyUses(t *testing.T) {
	dir, sessions := t.TempDir(), filepath.Join(t.TempDir(), "sessions")
	must(t, Use(dir, sessions))
	must(t, os.MkdirAll(filepath.Join(dir, formatDir), 0o700))
	jar := func(name string) string {
		path := filepath.Join(dir, formatDir, name)
		must(t, os.WriteFile(path, nil, 0o600))
		return path
	}
	now, before, idle := jar("iceberg-2.jar"), jar("iceberg-1.jar"), jar("iceberg-0.jar")
	all := versions(t, dir, 1)
	all[0].Formats = map[string][]string{"iceberg": {before}}
	run(t, sessions, "k1", all[0])
	all[0].Formats = map[string][]string{"iceberg": {now}}
	in := &installer{Options: Options{Dir: dir, Out: t.Output()}}
	in.prune(all[0])
	for path, want := range map[string]bool{now: true, before: true, idle: false} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s: %v, want it there: %v", path, err, want)
		}
	}
}
