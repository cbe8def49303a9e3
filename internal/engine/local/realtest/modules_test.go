package realtest

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"glaux/internal/engine"
	"glaux/internal/supervise"
)

// wheel writes a wheel of one module and returns its path.
func wheel(t *testing.T, dir, name, version, code string) string {
	t.Helper()
	path := filepath.Join(dir, fmt.Sprintf("%s-%s-py3-none-any.whl", name, version))
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := zip.NewWriter(f)
	info := fmt.Sprintf("%s-%s.dist-info/", name, version)
	var record strings.Builder
	for _, file := range [][2]string{
		{name + ".py", code},
		{info + "METADATA", fmt.Sprintf("Metadata-Version: 2.1\nName: %s\nVersion: %s\n", name, version)},
		{info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
		{info + "RECORD", ""},
	} {
		if file[1] == "" {
			file[1] = record.String() + info + "RECORD,,\n"
		}
		sum := sha256.Sum256([]byte(file[1]))
		fmt.Fprintf(&record, "%s,sha256=%s,%d\n", file[0], base64.RawURLEncoding.EncodeToString(sum[:]), len(file[1]))
		e, err := out.Create(file[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Write([]byte(file[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(out.Close(), f.Chmod(0o644)); err != nil {
		t.Fatal(err)
	}
	return path
}

// source writes an archive of a package whose setup.py is the code given.
func source(t *testing.T, dir, setup string) string {
	t.Helper()
	path := filepath.Join(dir, "glauxbuilt-1.tar.gz")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	packed := gzip.NewWriter(f)
	out := tar.NewWriter(packed)
	err = out.WriteHeader(&tar.Header{Name: "glauxbuilt-1/setup.py", Mode: 0o644, Size: int64(len(setup))})
	if err == nil {
		_, err = out.Write([]byte(setup))
	}
	if err := errors.Join(err, out.Close(), packed.Close(), f.Chmod(0o644)); err != nil {
		t.Fatal(err)
	}
	return path
}

// entries are the complete and the incomplete directories of the cache.
func (w *world) entries(t *testing.T) []string {
	t.Helper()
	var out []string
	found, err := os.ReadDir(filepath.Join(w.data, "modules"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range found {
		if e.IsDir() {
			out = append(out, e.Name())
		}
	}
	return out
}

// A session's own packages are there in the driver and in the workers of tasks,
// in the place of the runtime's, and stay for the next session.
func TestModules(t *testing.T) {
	w := newWorld(t)
	requirements := engine.Requirements{
		Specs: []string{wheel(t, w.sockets, "glauxtiny", "1.5", "VALUE = 42\n"), wheel(t, w.sockets, "six", "99.0", "__version__ = '99.0'\n"), "numpy",
			// These would break the runner if they came before what it consists of.
			wheel(t, w.sockets, "queue", "1.0", "raise RuntimeError('in the place of a module of Python')\n"),
			wheel(t, w.sockets, "glaux_runner", "1.0", "raise RuntimeError('in the place of the runner')\n")},
		Options: []string{"--no-index"},
	}
	change := func(sp *engine.Spec) { sp.Modules = requirements }
	s := start(t, w, change)
	s.want("import glauxtiny, six, numpy; print(glauxtiny.VALUE, six.__version__, 'python-' in numpy.__file__)", "42 99.0 True\n")
	s.want("def f(n):\n  import glauxtiny, six\n  return n * glauxtiny.VALUE, six.__version__\nprint(sc.parallelize([1, 2]).map(f).collect())", "[(42, '99.0'), (84, '99.0')]\n")
	s.want("import importlib.metadata; print(importlib.metadata.version('six'))", "99.0\n")
	s.want("import os, six\ntry: open(os.path.dirname(six.__file__) + '/x', 'w')\nexcept OSError as e: print(type(e).__name__)", "Error\n")
	first := w.entries(t)
	s = start(t, w, change)
	s.want("import glauxtiny; print(glauxtiny.VALUE)", "42\n")
	if again := w.entries(t); len(first) != 1 || len(again) != 1 || first[0] != again[0] {
		t.Errorf("entries: %v, then %v", first, again)
	}
}

// What builds sees no more than a session does, and leaves nothing running.
func TestModulesAreBuiltApart(t *testing.T) {
	w := newWorld(t)
	for _, dir := range []string{"modules", "sessions"} {
		if err := os.MkdirAll(filepath.Join(w.data, dir, "others"), 0o711); err != nil {
			t.Fatal(err)
		}
	}
	s := start(t, w, func(sp *engine.Spec) {
		sp.Modules = engine.Requirements{Specs: []string{source(t, w.sockets, `
import os, subprocess, setuptools
seen = []
for path in (`+fmt.Sprintf("%q, %q, %q", w.data+"/modules/mine", w.data+"/sessions/mine", os.Getenv("GLAUX_RUNTIME_DIR")+"/mine")+`):
    try: open(path, "w"); seen.append(path)
    except OSError: pass
for path in (`+fmt.Sprintf("%q, %q", w.data+"/modules", w.data+"/sessions")+`):
    try: seen += [name for name in os.listdir(path) if name == "others"]
    except OSError: pass
subprocess.Popen(["sleep", "4242"], start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
os.makedirs("glauxbuilt", exist_ok=True)
open("glauxbuilt/__init__.py", "w").write("SEEN = %r; UID = %d" % (seen, os.getuid()))
setuptools.setup(name="glauxbuilt", version="1", packages=["glauxbuilt"])
`)}, Options: []string{"--no-index", "--no-build-isolation"}}
	})
	want := "[] True\n"
	if os.Geteuid() != 0 {
		want = "True\n" // the very user of the session, who may do all of it
	}
	s.want("import glauxbuilt, os; print(glauxbuilt.SEEN, glauxbuilt.UID == os.getuid())", want)
	if os.Geteuid() == 0 {
		s.want("import subprocess; import os; print(subprocess.run(['pgrep', '-u', str(os.getuid()), '-x', 'sleep']).returncode)", "1\n")
	}
}

func TestModulesThatCannotBeHad(t *testing.T) {
	w := newWorld(t)
	sp := spec()
	sp.Modules = engine.Requirements{Specs: []string{"glaux-has-no-such-package==1"}, Options: []string{"--no-index"}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	d, err := w.launcher(t).Launch(ctx, sp)
	if err != nil {
		t.Fatal(err)
	}
	err = d.Ready(ctx)
	if e, ok := errors.AsType[*engine.StartError](err); !ok || !strings.Contains(e.Cause, "ERROR: No matching distribution found for glaux-has-no-such-package==1") {
		t.Errorf("Ready: %v", err)
	}
	if err := d.Remove(ctx); err != nil {
		t.Error(err)
	}
	if left := w.entries(t); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// stamp names the process of a pid.
func stamp(pid []byte) (supervise.Stamp, error) {
	n, err := strconv.Atoi(string(pid))
	if err != nil {
		return supervise.Stamp{}, err
	}
	return supervise.StampOf(n)
}

// A stop does not wait for pip, and leaves neither a process nor a file.
func TestStopWhileModulesAreBuilt(t *testing.T) {
	w := newWorld(t)
	sp := spec()
	sp.Modules = engine.Requirements{Options: []string{"--no-index", "--no-build-isolation"}, Specs: []string{source(t, w.sockets, `
import os, time
with open("pid", "w") as file: file.write(str(os.getpid()))
os.rename("pid", os.environ["TMPDIR"] + "/begun")
time.sleep(600)
`)}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	d, err := w.launcher(t).Launch(ctx, sp)
	if err != nil {
		t.Fatal(err)
	}
	var build supervise.Stamp
	begun := filepath.Join(w.data, "sessions", string(sp.Key), "work", "tmp", "begun")
	for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
		if text, err := os.ReadFile(begun); err == nil {
			if build, err = stamp(text); err != nil {
				t.Fatal(err)
			}
			break
		}
		if ctx.Err() != nil {
			t.Fatal("the build did not begin")
		}
	}
	began := time.Now()
	if err := d.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the stop took %v", took)
	}
	if x, err := d.Wait(ctx); err != nil || !x.Asked {
		t.Errorf("exit is %+v, %v", x, err)
	}
	if build.Alive() {
		t.Error("the build still runs")
	}
	if left := w.entries(t); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if err := d.Remove(ctx); err != nil {
		t.Error(err)
	}
}
