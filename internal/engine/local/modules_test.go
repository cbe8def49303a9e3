package local

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"glaux/internal/engine"
	"glaux/internal/shim"
	"glaux/internal/supervise"
)

// fakePip installs nothing, and does what its one requirement says: "fail" fails;
// "s3://…" is an object nobody may read; a path gets a line, and then it waits
// until the path with ".go" exists.
func fakePip(args []string) int {
	var asked struct {
		Specs []string
		Into  string
	}
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	spec := asked.Specs[0]
	switch {
	case args[0] == "identify":
		fmt.Fprintf(os.Stderr, "ERROR: %s cannot be read: Forbidden\n", spec)
		return 1
	case spec == "fail":
		fmt.Fprintln(os.Stderr, "Looking around\nERROR: there is no such thing")
		return 1
	}
	f, err := os.OpenFile(spec, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err == nil {
		_, err = fmt.Fprintln(f, os.Getpid())
	}
	for tick := time.NewTicker(5 * time.Millisecond); err == nil; <-tick.C {
		if _, err := os.Stat(spec + ".go"); err == nil {
			break
		}
	}
	if err := errors.Join(err, os.Mkdir(filepath.Join(asked.Into, "site"), 0o755)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// shared returns a path that every user can write.
func shared(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gx")
	if err == nil {
		err = os.Chmod(dir, 0o777)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "built")
}

// building waits until the fake pip works on the path, and returns its pid.
func building(t *testing.T, path string) int {
	t.Helper()
	for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
		if b, err := os.ReadFile(path); err == nil && bytes.HasSuffix(b, []byte("\n")) {
			pid, err := strconv.Atoi(string(bytes.TrimSpace(b)))
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
		if t.Context().Err() != nil {
			t.Fatal("nothing is built")
		}
	}
}

// A shim that is killed while pip works takes pip with it, and the session
// counts as lost, not as one that never was.
func TestKilledShimLeavesNoModules(t *testing.T) {
	w := newWorld(t)
	spec := testSpec()
	built := shared(t)
	spec.Modules = engine.Requirements{Specs: []string{built}}
	d, err := w.launcher(t).Launch(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	pid := building(t, built)
	var st supervise.State
	if err := readJSON(filepath.Join(w.data, "sessions", string(spec.Key), shim.StateFile), &st); err != nil {
		t.Fatal(err)
	}
	if err := st.Shim.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if e, err := d.Wait(t.Context()); err != nil || !e.Lost {
		t.Errorf("exit is %+v, %v, want lost", e, err)
	}
	if alive(pid) {
		t.Error("pip lives on")
	}
	if err := d.Remove(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestModulesAreBuiltOnce(t *testing.T) {
	w := newWorld(t)
	built := shared(t)
	var drivers []engine.Driver
	for range 3 {
		spec := testSpec()
		spec.Modules = engine.Requirements{Specs: []string{built}}
		d, err := w.launcher(t).Launch(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		drivers = append(drivers, d)
	}
	building(t, built)
	// Another server finds what is being built.
	d, err := w.launcher(t).Adopt(t.Context(), drivers[0].Handle())
	if err != nil {
		t.Fatal(err)
	}
	drivers[0] = d
	if err := os.WriteFile(built+".go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, d := range drivers {
		if err := d.Ready(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if b, err := os.ReadFile(built); err != nil || bytes.Count(b, []byte("\n")) != 1 {
		t.Errorf("built %q, %v, want once", b, err)
	}
	for _, d := range drivers {
		if err := errors.Join(d.Stop(t.Context()), d.Remove(t.Context())); err != nil {
			t.Error(err)
		}
	}
}

func TestModulesThatFail(t *testing.T) {
	w := newWorld(t)
	for spec, want := range map[string]string{
		"fail":                   "the session's Python packages cannot be installed: ERROR: there is no such thing",
		"s3://b/a-1-py3-any.whl": "the session's Python packages cannot be installed: ERROR: s3://b/a-1-py3-any.whl cannot be read: Forbidden",
	} {
		s := testSpec()
		s.Modules = engine.Requirements{Specs: []string{spec}}
		d, err := w.launcher(t).Launch(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := errors.AsType[*engine.StartError](d.Ready(t.Context())); !ok || e.Cause != want {
			t.Errorf("Ready with %s: %v, want %s", spec, e, want)
		}
		if err := d.Remove(t.Context()); err != nil {
			t.Error(err)
		}
	}
	left, err := os.ReadDir(filepath.Join(w.data, "modules"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		if !strings.HasSuffix(e.Name(), ".lock") {
			t.Errorf("left: %s", e.Name())
		}
	}
}
