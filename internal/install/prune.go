package install

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"glaux/internal/shim"
)

// usersDir holds one file for each server that uses a runtime: the path of the
// directory with its sessions.
const usersDir = "users"

// keepLast is how many versions of each part stay, whoever uses them.
const keepLast = 3

// Use notes in the runtime directory dir that the sessions below the directory
// sessions run with it, so that an update leaves them what they run with.
func Use(dir, sessions string) error {
	sessions, err := filepath.Abs(sessions)
	if err != nil {
		return fmt.Errorf("cannot note who uses the runtime: %w", err)
	}
	sum := sha256.Sum256([]byte(sessions))
	path := filepath.Join(dir, usersDir, hex.EncodeToString(sum[:8]))
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	err = os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = writeFile(path, []byte(sessions))
	}
	if err != nil {
		return fmt.Errorf("cannot note who uses the runtime: %w", err)
	}
	return nil
}

// prune removes what earlier versions left, but for the last ones and what
// sessions run with. Where that cannot be told, all of it stays.
func (in *installer) prune(r Runtime) {
	in.pruneHalves()
	used, err := in.used()
	if err != nil {
		in.say("leaving earlier versions alone: %v", err)
		return
	}
	in.pruneFormats(r, used)
	keep := append([]string{r.PythonPath[0], r.Archive, in.environmentDir()}, r.ClassPath...)
	for _, pattern := range []string{"driver/*.jar", "runner/*", lambdaDir + "/*.jar", "archive/*.jsa", "python-*"} {
		found, err := filepath.Glob(filepath.Join(in.Dir, filepath.FromSlash(pattern)))
		if err != nil || len(found) <= keepLast {
			continue
		}
		age := make(map[string]int64, len(found))
		for _, path := range found {
			if info, err := os.Stat(path); err == nil {
				age[path] = info.ModTime().UnixNano()
			}
		}
		sort.Slice(found, func(i, j int) bool { return age[found[i]] > age[found[j]] })
		for _, path := range found[keepLast:] {
			if slices.Contains(keep, path) || used.names(path) {
				continue
			}
			if err := os.RemoveAll(path); err != nil {
				in.say("cannot remove %s: %v", path, err)
			}
		}
	}
}

// pruneHalves removes what installations left that were killed at a training.
func (in *installer) pruneHalves() {
	for _, dir := range []string{lambdaDir, "archive"} {
		halves, _ := filepath.Glob(filepath.Join(in.Dir, dir, ".new-*"))
		for _, half := range halves {
			if err := os.RemoveAll(half); err != nil {
				in.say("cannot remove %s: %v", half, err)
			}
		}
	}
}

// pruneFormats removes the jars of table formats that are no longer the
// runtime's and that no session runs with.
func (in *installer) pruneFormats(r Runtime, used words) {
	found, err := filepath.Glob(filepath.Join(in.Dir, formatDir, "*.jar"))
	if err != nil {
		return
	}
	ours := slices.Concat(slices.Collect(maps.Values(r.Formats))...)
	for _, path := range found {
		if slices.Contains(ours, path) || used.names(path) {
			continue
		}
		if err := os.Remove(path); err != nil {
			in.say("cannot remove %s: %v", path, err)
		}
	}
}

// words is everything that the commands of sessions consist of.
type words []string

// names reports whether a session's commands name the path or what is below it.
func (w words) names(path string) bool {
	return slices.ContainsFunc(w, func(word string) bool {
		for {
			_, after, ok := strings.Cut(word, path)
			if !ok || after == "" || strings.ContainsRune("/:,;", rune(after[0])) {
				return ok
			}
			word = after // it was another one's, whose name is longer
		}
	})
}

// used returns what the sessions of every server that uses the runtime were
// started with. Servers that are gone are forgotten.
func (in *installer) used() (words, error) {
	users, err := filepath.Glob(filepath.Join(in.Dir, usersDir, "*"))
	if err != nil {
		return nil, err
	}
	var all words
	for _, user := range users {
		sessions, err := os.ReadFile(user)
		if err != nil {
			return nil, err
		}
		entries, err := os.ReadDir(string(sessions))
		if errors.Is(err, fs.ErrNotExist) {
			_ = os.Remove(user) // it does no harm there
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			text, err := os.ReadFile(filepath.Join(string(sessions), e.Name(), shim.SpecFile))
			if errors.Is(err, fs.ErrNotExist) {
				continue // it is being made, with what is installed now, or removed
			}
			if err != nil {
				return nil, err
			}
			var spec shim.Spec
			if err := json.Unmarshal(text, &spec); err != nil {
				return nil, fmt.Errorf("cannot read what session %q was started with: %w", e.Name(), err)
			}
			for _, c := range []shim.Command{spec.JVM, spec.Python} {
				all = append(append(append(all, c.Path), c.Args...), c.Env...)
			}
		}
	}
	return all, nil
}
