package sandbox

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
)

func TestPlanCoversTheTopmostBlockedAncestor(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir := func(parts ...string) string { return filepath.Join(append([]string{root}, parts...)...) }
	for _, d := range []string{"home/.local/runtime/jars", "home/.tools/python/bin", "home/data/work", "open/lib", "own/a", "own/b"} {
		if err := os.MkdirAll(dir(d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(dir("home/.tools"), dir("home/tools")); err != nil {
		t.Fatal(err)
	}
	closed := []string{dir("home"), dir("home/.local"), dir("own")}
	got := plan(Config{
		ReadOnly: []string{dir("home/.local/runtime"), dir("home/tools/python"), dir("open/lib"), dir("missing"), dir("own"), dir("home/data/work")},
		Writable: []string{dir("home/data/work")},
	}, func(d string) bool { return !slices.Contains(closed, d) })
	want := []cover{
		{dir("home"), []bind{
			{dir("home/.local/runtime"), dir("home/.local/runtime"), false},
			{dir("home/.tools/python"), dir("home/.tools/python"), false},
			{dir("home/data/work"), dir("home/data/work"), true},
			{dir("home/.tools/python"), dir("home/tools/python"), false},
		}},
		{dir("own"), []bind{{dir("own/a"), dir("own/a"), false}, {dir("own/b"), dir("own/b"), false}}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("plan is\n%+v\nwant\n%+v", got, want)
	}
}

func TestPrefixFollowsLinks(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"venv/bin", "base/bin", "real/bin"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(root, "real/bin/python3.11")
	if err := os.WriteFile(program, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{"venv/bin/python": filepath.Join(root, "base/bin/python"), "base/bin/python": "../../real/bin/python3.11"} {
		if err := os.Symlink(to, filepath.Join(root, from)); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{filepath.Join(root, "base"), filepath.Join(root, "real"), filepath.Join(root, "venv")}
	if got := Prefix(filepath.Join(root, "venv/bin/python")); !slices.Equal(got, want) {
		t.Errorf("prefixes are %v, want %v", got, want)
	}
}

func TestInitRefusesWhatMakesNoSense(t *testing.T) {
	for _, args := range [][]string{nil, {"{}"}, {"not json", "/bin/true"}} {
		if err := Init(args, nil); err == nil {
			t.Errorf("Init of %q succeeds", args)
		}
	}
}
