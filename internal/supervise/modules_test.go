package supervise

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"glaux/internal/shim"
)

func TestKeyOfModules(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	key := func(at time.Time, tag string, specs ...string) string {
		t.Helper()
		tags := map[string]string{}
		for _, s := range specs {
			if strings.HasPrefix(s, "s3://") {
				tags[s] = tag
			}
		}
		k, err := modulesKey(&shim.Modules{Specs: specs, Runtime: "r"}, tags, at)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	later := at.Add(2 * freshFor)
	for _, spec := range []string{"a==1", "a[x,y]==1.0", "a == 1", "a===1", "s3://b/a-1-py3-none-any.whl"} {
		if key(at, "t", spec) != key(later, "t", spec) {
			t.Errorf("%q is chosen anew though it always means the same", spec)
		}
	}
	for _, spec := range []string{"a", "a>=1", "a==1.*", "a==1,!=1.0", "git+https://h/a", "s3://b/requirements.txt"} {
		if key(at, "t", spec) == key(later, "t", spec) {
			t.Errorf("%q stays as it was chosen for ever", spec)
		}
	}
	if key(at, "t", "s3://b/a.whl") == key(at, "u", "s3://b/a.whl") || key(at, "t", "a==1", "b==1") == key(at, "t", "b==1", "a==1") {
		t.Error("different packages have one key")
	}
}

func TestComplaint(t *testing.T) {
	for _, c := range []struct{ said, want string }{
		{"", "pip says nothing of why"},
		{"a\nb\nc\nd", "b\nc\nd"},
		{"Looking\nERROR: No version x\n  ERROR: None found\nhint", "ERROR: No version x\nERROR: None found"},
		{"Collecting a\nThe conflict is caused by:\n    You want a==1\n    (constraint) a==2\nTo fix this\nERROR: Cannot install", "The conflict is caused by:\nYou want a==1\n(constraint) a==2\nERROR: Cannot install"},
		{"error: subprocess-exited\n  ValueError: no\n  [end of output]\nnote", "error: subprocess-exited\nValueError: no"},
	} {
		var tail []string
		if c.said != "" {
			tail = strings.Split(c.said, "\n")
		}
		if got := complaint(tail); got != c.want {
			t.Errorf("complaint of %q is %q, want %q", c.said, got, c.want)
		}
	}
}

// tree makes what pip has installed and returns the directory it is in.
func tree(t *testing.T) (outer, site string) {
	t.Helper()
	outer = t.TempDir()
	site = filepath.Join(outer, "b", "site")
	for _, err := range []error{
		os.MkdirAll(filepath.Join(site, "p"), 0o700),
		os.WriteFile(filepath.Join(site, "p", "a.py"), nil, 0o600),
		os.WriteFile(filepath.Join(site, "run"), nil, 0o700),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { removeAll(outer) })
	return outer, site
}

func TestAdmitMakesAnEntryNobodyWrites(t *testing.T) {
	outer, site := tree(t)
	if err := os.Symlink("/etc", filepath.Join(site, "link")); err != nil {
		t.Fatal(err)
	}
	entry := filepath.Join(outer, "entry-of-cache")
	if err := admit(site, outer, entry, os.Geteuid()); err != nil && os.Geteuid() == 0 {
		t.Fatal(err)
	} else if err != nil { // an ordinary user gives nothing away
		outer, site = tree(t)
		entry = filepath.Join(outer, "entry-of-cache")
		if err := admit(site, outer, entry, -1); err != nil {
			t.Fatal(err)
		}
	}
	dir := os.FileMode(0o555)
	if os.Geteuid() != 0 {
		dir = 0o755
	}
	for name, want := range map[string]os.FileMode{"": dir, "p": dir, "p/a.py": 0o444, "run": 0o555} {
		if info, err := os.Stat(filepath.Join(entry, name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%q: %v %v, want %v", name, info.Mode(), err, want)
		}
	}
}

func TestAdmitRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(site string) error
		uid   int
	}{
		"what belongs to another": {func(string) error { return nil }, os.Geteuid() + 1},
		"a pipe":                  {func(site string) error { return syscall.Mkfifo(filepath.Join(site, "pipe"), 0o600) }, -1},
		"a link in its place": {func(site string) error {
			return os.Rename(site, site+"2")
		}, -1},
	} {
		t.Run(name, func(t *testing.T) {
			outer, site := tree(t)
			if err := c.spoil(site); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Lstat(site); err != nil {
				if err := os.Symlink(site+"2", site); err != nil {
					t.Fatal(err)
				}
			}
			entry := filepath.Join(outer, "entry-of-cache")
			if err := admit(site, outer, entry, c.uid); err == nil {
				t.Error("it was taken")
			}
			if _, err := os.Lstat(entry); err == nil {
				t.Error("it is in its place")
			}
		})
	}
}

func TestSweepOfModules(t *testing.T) {
	cache, now := t.TempDir(), time.Now()
	make := func(name string, age time.Duration) {
		t.Helper()
		entry := filepath.Join(cache, name)
		at := now.Add(-age)
		for _, err := range []error{
			os.Mkdir(entry, 0o700),
			os.WriteFile(filepath.Join(entry, "data"), []byte(strings.Repeat("x", 1<<20)), 0o400),
			os.Chmod(entry, 0o555),
			os.WriteFile(entry+lockSuffix, nil, 0o600),
			os.Chtimes(entry+lockSuffix, at, at),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	make("new", time.Minute)
	make("newer", time.Second)
	make("third", time.Hour) // beyond the size
	make("held", 100*24*time.Hour)
	make("old", 100*24*time.Hour)
	for _, name := range []string{buildPrefix + "1", buildPrefix + "2"} {
		if err := os.Mkdir(filepath.Join(cache, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	at := now.Add(-2 * freshFor)
	if err := os.Chtimes(filepath.Join(cache, buildPrefix+"2"), at, at); err != nil {
		t.Fatal(err)
	}
	f, err := lock(filepath.Join(cache, "held"+lockSuffix), syscall.LOCK_SH)
	if err != nil || f == nil {
		t.Fatal(f, err)
	}
	defer f.Close()
	sweepTo(cache, now, modulesFor, 5<<19)
	left, err := filepath.Glob(filepath.Join(cache, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range left {
		left[i] = filepath.Base(left[i])
	}
	if want := []string{buildPrefix + "1", "held", "held.lock", "new", "new.lock", "newer", "newer.lock"}; !slices.Equal(left, want) {
		t.Errorf("left %q, want %q", left, want)
	}
	if alone, err := lock(filepath.Join(cache, "held"+lockSuffix), syscall.LOCK_EX); alone != nil || err != nil {
		t.Errorf("locked twice: %v %v", alone, err)
	}
	removeAll(cache)
}
