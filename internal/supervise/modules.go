package supervise

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"glaux/internal/shim"
)

// ModulesEnv is the environment variable that names the directory of a
// session's own Python packages; sitecustomize of the runtime reads it.
const ModulesEnv = "GLAUX_MODULES"

// freshFor is how long packages that a requirement does not pin stay as pip
// chose them.
const freshFor = 24 * time.Hour

// errEnding says that the driver is to end, whatever was being done.
var errEnding = errors.New("the driver is to end")

// prepare does what comes before the session's processes, and reports whether
// they are to be started. What fails here ends the driver.
func (s *Supervisor) prepare(ctx context.Context) bool {
	m := s.spec.Modules
	if m == nil {
		return true
	}
	s.saveState() // from now on we are found
	began := time.Now()
	entry, built, err := s.modules(ctx, m)
	switch {
	case errors.Is(err, errEnding):
		return false
	case err != nil:
		s.log.Error("cannot install the session's Python packages", "error", err)
		s.end(shim.Exit{Code: 1, Process: "pip", Cause: err.Error()}, 0)
		return false
	}
	if built { // not before ours is held
		s.wg.Go(func() { sweepModules(m.Cache, time.Now()) })
	}
	s.log.Info("the session's Python packages are there", "in", entry, "after", time.Since(began).Round(time.Millisecond))
	s.spec.ReadOnly = append(s.spec.ReadOnly, entry)
	s.spec.JVM.Env = append(s.spec.JVM.Env, ModulesEnv+"="+entry) // for the workers it starts
	s.spec.Python.Env = append(s.spec.Python.Env, ModulesEnv+"="+entry)
	return true
}

// modules returns the directory of the packages, which no other process
// changes or removes while s.entry is open, and whether they were installed now.
func (s *Supervisor) modules(ctx context.Context, m *shim.Modules) (entry string, built bool, err error) {
	if err := os.MkdirAll(m.Cache, 0o711); err != nil {
		return "", false, fmt.Errorf("cannot make the directory of Python packages: %w", err)
	}
	tags, err := s.identify(ctx, m)
	if err != nil {
		return "", false, err
	}
	key, err := modulesKey(m, tags, time.Now())
	if err != nil {
		return "", false, err
	}
	entry = filepath.Join(m.Cache, key)
	for {
		if s.entry, err = s.hold(ctx, entry, syscall.LOCK_SH); err != nil {
			return "", false, err
		}
		if _, err := os.Lstat(entry); err == nil {
			now := time.Now()
			_ = os.Chtimes(entry+lockSuffix, now, now) // when it was last used
			return entry, built, nil
		}
		s.entry.Close()
		alone, err := s.hold(ctx, entry, syscall.LOCK_EX)
		if err != nil {
			return "", false, err
		}
		if _, err := os.Lstat(entry); errors.Is(err, fs.ErrNotExist) {
			if err := s.install(ctx, m, tags, entry); err != nil {
				alone.Close()
				return "", false, err
			}
			built = true
		}
		alone.Close()
	}
}

// words are everything that pip is to be given and that may name an object.
func words(m *shim.Modules) []string { return slices.Concat(m.Options, m.Specs) }

// identify returns the content of the s3:// objects that are asked for, by name.
func (s *Supervisor) identify(ctx context.Context, m *shim.Modules) (map[string]string, error) {
	if !slices.ContainsFunc(words(m), func(w string) bool { return strings.HasPrefix(w, "s3://") }) {
		return map[string]string{}, nil
	}
	out, err := s.installer(ctx, m, "identify", map[string]any{"options": list(m.Options), "specs": list(m.Specs)}, "")
	if err != nil {
		return nil, err
	}
	tags := map[string]string{}
	if err := json.Unmarshal([]byte(out), &tags); err != nil {
		return nil, fmt.Errorf("cannot tell what the session's Python packages consist of: %w", err)
	}
	return tags, nil
}

// install has pip install the packages and makes them the entry.
func (s *Supervisor) install(ctx context.Context, m *shim.Modules, tags map[string]string, entry string) error {
	// What builds runs any code, so what it can write lies in a directory that
	// it cannot replace.
	outer, err := os.MkdirTemp(m.Cache, buildPrefix)
	if err != nil {
		return fmt.Errorf("cannot make a directory to install Python packages in: %w", err)
	}
	defer removeAll(outer)
	inner := filepath.Join(outer, "b")
	err = os.Chmod(outer, 0o711)
	if err == nil {
		err = os.Mkdir(inner, 0o700)
	}
	uid := owner(s.spec)
	if err == nil && uid >= 0 {
		err = os.Chown(inner, uid, uid)
	}
	if err != nil {
		return fmt.Errorf("cannot make a directory to install Python packages in: %w", err)
	}
	_, err = s.installer(ctx, m, "install", map[string]any{
		"options": list(m.Options), "specs": list(m.Specs), "tags": tags, "env": table(m.Env), "config": table(m.Config), "into": inner,
	}, inner)
	if err != nil {
		return err
	}
	if err := admit(filepath.Join(inner, "site"), outer, entry, uid); err != nil {
		return fmt.Errorf("cannot keep the session's Python packages: %w", err)
	}
	return nil
}

// list makes JSON of no words an empty list.
func list(words []string) []string { return append([]string{}, words...) }

// table makes JSON of a nil map an empty object.
func table(m map[string]string) map[string]string { return maps.Collect(maps.All(m)) }

// installer runs the installer to its end, and ends all it has started. It
// returns what it printed first; the error quotes what it says of a failure.
func (s *Supervisor) installer(ctx context.Context, m *shim.Modules, command string, input map[string]any, writes string) (string, error) {
	text, err := json.Marshal(input)
	if err != nil {
		return "", err
	}
	c := shim.Command{
		Path: m.Installer[0], Args: append(slices.Clone(m.Installer[1:]), command),
		Env: s.spec.Python.Env, Dir: s.spec.Python.Dir,
	}
	logs := s.logsOf(shim.FromPython)
	out, stderr := &pump{log: logs[0]}, &pump{log: logs[1]}
	if command == "identify" {
		out.log = io.Discard // an answer to us
	}
	child, err := s.startInstaller(c, text, writes, out, stderr)
	if err != nil {
		return "", fmt.Errorf("cannot start pip: %w", err)
	}
	var pumps sync.WaitGroup
	pumps.Go(out.run)
	pumps.Go(stderr.run)
	select {
	case <-child.done:
	case <-s.ending:
		err = errEnding
	case <-ctx.Done():
		err = errEnding
	}
	child.signal(syscall.SIGKILL)
	killDescendants(3 * time.Second)
	if s.spec.Sandboxed {
		Sweep(s.spec.Key, s.spec.UID)
	}
	<-child.done
	out.sync()
	stderr.sync()
	out.stop()
	stderr.stop()
	pumps.Wait()
	for _, l := range logs {
		l.Close() // the lines that have not ended
	}
	switch {
	case err != nil:
		return "", err
	case s.spec.Sandboxed && InUse(s.spec.UID):
		return "", errors.New("the session's Python packages cannot be installed: what they started does not end")
	}
	switch code, sig := child.result(); {
	case sig != 0:
		return "", fmt.Errorf("the session's Python packages cannot be installed: pip was ended by signal %d (%s)", sig, syscall.Signal(sig))
	case code != 0:
		return "", errors.New("the session's Python packages cannot be installed: " + complaint(stderr.last()))
	}
	return strings.Join(out.last(), "\n"), nil
}

// startInstaller starts a process that reads the input, writes to the pumps and
// may write below a directory besides the session's own. The input is no
// argument, because every user of the machine can read those, and an index may
// be named with its password.
func (s *Supervisor) startInstaller(c shim.Command, input []byte, writes string, to ...*pump) (*child, error) {
	stdin, err := unnamed(s.spec.Dir, input)
	if err != nil {
		return nil, err
	}
	theirs := []*os.File{stdin}
	defer func() {
		for _, f := range theirs {
			f.Close()
		}
	}()
	for _, p := range to {
		our, their, err := pipe(owner(s.spec))
		if err != nil {
			return nil, err
		}
		p.from = our
		theirs = append(theirs, their)
	}
	before := s.spec.Writable
	if writes != "" {
		s.spec.Writable = append(slices.Clone(before), writes)
	}
	ch, err := spawn(s, "pip", c, theirs)
	s.spec.Writable = before
	return ch, err
}

// unnamed returns a file with the text that is open for reading and has no name.
func unnamed(dir string, text []byte) (*os.File, error) {
	f, err := os.CreateTemp(dir, ".input-*") // 0600
	if err != nil {
		return nil, err
	}
	_, err = f.Write(text)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err := errors.Join(err, os.Remove(f.Name())); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// complaint is what pip says of a failure: the lines it marks, what it lists as
// the cause of a conflict, and the last line of what it quotes of a build; else
// its own last ones.
func complaint(tail []string) string {
	var marked []string
	conflict := false // pip lists what cannot be had together
	for i, line := range tail {
		conflict = strings.HasPrefix(line, "The conflict is caused by") || conflict && strings.HasPrefix(line, "  ")
		line = strings.TrimSpace(line)
		switch {
		case conflict:
			marked = append(marked, line)
		case strings.HasPrefix(line, "ERROR:"), strings.HasPrefix(line, "error:"):
			marked = append(marked, line)
		case line == "[end of output]" && i > 0:
			marked = append(marked, strings.TrimSpace(tail[i-1]))
		}
	}
	if len(marked) == 0 {
		marked = tail[max(0, len(tail)-3):]
	}
	if len(marked) == 0 {
		return "pip says nothing of why"
	}
	return strings.Join(marked[max(0, len(marked)-8):], "\n")
}

// pinned is how a requirement looks that always means the same.
var pinned = regexp.MustCompile(`^[A-Za-z0-9._-]+(\[[^\]]*\])?\s*===?\s*[^*,\s;]+$`)

// key names packages by everything they are made of. Where a requirement
// leaves pip a choice, that is made anew after a while.
func modulesKey(m *shim.Modules, tags map[string]string, now time.Time) (string, error) {
	age := now.UnixNano() / int64(freshFor)
	open := func(spec string) bool {
		return !pinned.MatchString(spec) && (tags[spec] == "" || strings.HasSuffix(spec, ".txt"))
	}
	if !slices.ContainsFunc(m.Specs, open) {
		age = 0
	}
	text, err := json.Marshal([]any{1, m.Runtime, m.Specs, m.Options, m.Env, m.Config, tags, age})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16]), nil
}
