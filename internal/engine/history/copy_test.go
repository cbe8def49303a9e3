package history

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"glaux/internal/engine"
)

// TestCopyTakesSparksFilesOnly lays traps into the directory of a session and
// looks at what comes out of it.
func TestCopyTakesSparksFilesOnly(t *testing.T) {
	t.Parallel()
	logs, secret := t.TempDir(), filepath.Join(t.TempDir(), "secret")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	put := func(text string, names ...string) string {
		t.Helper()
		file := filepath.Join(append([]string{logs}, names...)...)
		must(os.MkdirAll(filepath.Dir(file), 0o700))
		must(os.WriteFile(file, []byte(text), 0o666))
		return file
	}
	must(os.WriteFile(secret, []byte("secret"), 0o600))
	then := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	good := put("one\n", "key", "eventlog_v2_app", "events_1_app")
	must(os.Chtimes(good, then, then))
	app := filepath.Dir(good)
	put("", "key", "eventlog_v2_app", "appstatus_app.inprogress")
	must(os.Symlink(secret, filepath.Join(app, "events_2_app")))
	put("three\n", "key", "eventlog_v2_app", "events_3_app") // without the one before it, it makes no sense
	must(os.Symlink(secret, filepath.Join(app, "appstatus_app")))
	must(syscall.Mkfifo(filepath.Join(app, "events_0_app"), 0o666))
	must(syscall.Mkfifo(filepath.Join(app, "events_4_app"), 0o666))
	must(os.Link(secret, filepath.Join(app, "events_5_app")))
	for _, name := range []string{"events_01_app", "events_1_app.zstd", "events_1_other", ".events_1_app.crc", "x"} {
		put("secret", "key", "eventlog_v2_app", name)
	}
	// Another session's log by a link, and logs that are named as no log is.
	put("secret\n", "other", "eventlog_v2_b", "events_1_b")
	must(os.Symlink(filepath.Join("..", "other", "eventlog_v2_b"), filepath.Join(logs, "key", "eventlog_v2_b")))
	put("secret\n", "key", "eventlog_v2_a.zstd", "events_1_a.zstd")
	put("secret\n", "key", "elsewhere", "events_1_app")
	must(os.Symlink("other", filepath.Join(logs, "linked")))

	to := filepath.Join(t.TempDir(), "1")
	size, err := copyLog(logs, "key", to, 0)
	must(err)
	var seen []string
	must(filepath.WalkDir(to, func(path string, d fs.DirEntry, err error) error {
		must(err)
		if !d.IsDir() {
			seen = append(seen, strings.TrimPrefix(path, to+"/"))
		}
		return nil
	}))
	if got := strings.Join(seen, " "); got != "eventlog_v2_app/appstatus_app.inprogress eventlog_v2_app/events_1_app" || size != 4 {
		t.Errorf("%d bytes in %s", size, got)
	}
	copied := filepath.Join(to, "eventlog_v2_app", "events_1_app")
	text, err := os.ReadFile(copied)
	must(err)
	info, err := os.Stat(copied)
	must(err)
	if string(text) != "one\n" || !info.ModTime().Equal(then) {
		t.Errorf("the copy is %q of %v", text, info.ModTime())
	}
	for _, key := range []string{"linked", "..", ".", "", "key/eventlog_v2_app", "/etc"} {
		if _, err := copyLog(logs, engine.Key(key), filepath.Join(t.TempDir(), "1"), 0); err == nil {
			t.Errorf("%q was copied", key)
		}
	}
}

// TestCopyTakesTheLastLog copies of several the one that was written to last.
func TestCopyTakesTheLastLog(t *testing.T) {
	t.Parallel()
	logs := t.TempDir()
	now := time.Now()
	for app, age := range map[string]time.Duration{"a": time.Hour, "b": time.Minute, "c": 2 * time.Hour} {
		dir := filepath.Join(logs, "key", eventLog+app)
		file := filepath.Join(dir, part(7, app))
		if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "appstatus_"+app), nil, 0o600),
			os.WriteFile(file, []byte(app), 0o600), os.Chtimes(file, now, now.Add(-age))); err != nil {
			t.Fatal(err)
		}
	}
	to := filepath.Join(t.TempDir(), "1")
	if _, err := copyLog(logs, "key", to, 0); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"appstatus_b", "events_7_b"} {
		if _, err := os.Stat(filepath.Join(to, eventLog+"b", name)); err != nil {
			t.Error(err)
		}
	}
	if err := os.Mkdir(filepath.Join(logs, "empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"empty", "nobody"} {
		if _, err := copyLog(logs, engine.Key(key), filepath.Join(t.TempDir(), "1"), 0); !errors.Is(err, ErrNone) {
			t.Errorf("of %s: %v", key, err)
		}
	}
}

// TestCopyIsBounded copies a file that claims to have no end.
func TestCopyIsBounded(t *testing.T) {
	t.Parallel()
	logs := t.TempDir()
	dir := filepath.Join(logs, "key", eventLog+"app")
	file := filepath.Join(dir, part(1, "app"))
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(file, []byte("event\n"), 0o600), os.Truncate(file, 1<<40)); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "1")
	read, err := copyLog(logs, "key", to, 0)
	if err != nil || read != logMax {
		t.Errorf("%d bytes were read, %v", read, err)
	}
	if text, err := os.ReadFile(filepath.Join(to, eventLog+"app", part(1, "app"))); string(text) != "event\n" {
		t.Errorf("the copy has %d bytes, %v", len(text), err)
	}
}

func TestCopyEventsLeavesOutLongOnes(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	long := strings.Repeat("x", eventMax)
	in := "one\n" + long + "\ntwo\n" + long[1:] + "\nthe last, cut"
	if read, err := copyEvents(&out, strings.NewReader(in)); err != nil || read != int64(len(in)) {
		t.Errorf("%d bytes read, %v", read, err)
	}
	if got := out.String(); got != "one\ntwo\n"+long[1:]+"\nthe last, cut" {
		t.Errorf("the copy has %d bytes", len(got))
	}
}

// TestCopyIsHandedOver makes copies for a user of its own, as only root can.
func TestCopyIsHandedOver(t *testing.T) {
	t.Parallel()
	uid := 0
	if os.Geteuid() == 0 {
		uid = 299999
	}
	logs := t.TempDir()
	dir := filepath.Join(logs, "key", eventLog+"app")
	if err := errors.Join(os.MkdirAll(dir, 0o777), os.WriteFile(filepath.Join(dir, part(1, "app")), nil, 0o666)); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "1")
	if _, err := copyLog(logs, "key", to, uid); err != nil {
		t.Fatal(err)
	}
	if uid == 0 {
		uid = os.Geteuid()
	}
	for name, mode := range map[string]fs.FileMode{".": 0o700, eventLog + "app": 0o700, eventLog + "app/" + part(1, "app"): 0o600} {
		info, err := os.Stat(filepath.Join(to, name))
		if err != nil {
			t.Fatal(err)
		}
		if owner := int(info.Sys().(*syscall.Stat_t).Uid); owner != uid || info.Mode().Perm() != mode {
			t.Errorf("%s is %v of %d", name, info.Mode().Perm(), owner)
		}
	}
}
