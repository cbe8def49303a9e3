// Package sandbox starts a session's processes with less than the server has.
//
// As root a session has a uid of its own. A process of it runs with that uid
// alone, without supplementary groups or a way back (no_new_privs), in a mount
// namespace of its own in which every directory that the uid may not enter,
// but that leads to something it needs, is covered by an empty one with only
// the needed directories in it, read-only where they are only read. That is
// done by a second start of the shim's program (Init) in the new namespace.
//
// As an ordinary user, and on systems other than Linux, processes run as that
// user without any of this.
package sandbox

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Config says how to start one process.
type Config struct {
	UID      int      `json:"uid"`              // also the gid
	ReadOnly []string `json:"ro,omitempty"`     // absolute directories the process reads
	Writable []string `json:"rw,omitempty"`     // absolute directories it writes
	Dir      string   `json:"dir"`              // its working directory
	Names    string   `json:"names"`            // directory whose "passwd" and "group" are shown in /etc; empty: as it is
	Parent   int      `json:"parent"`           // it dies with this process
	Groups   []string `json:"groups,omitempty"` // directories of the control groups it joins
}

// InitArg is the first argument of the shim's program when it is Init.
const InitArg = "init"

// WriteNames puts files into dir that give the uid a name, for Config.Names:
// Hadoop refuses a user without one. They are the system's, with one more line.
func WriteNames(dir string, uid int, name, home string) error {
	for file, line := range map[string]string{
		"passwd": fmt.Sprintf("%s:x:%d:%d::%s:/bin/sh\n", name, uid, uid, home),
		"group":  fmt.Sprintf("%s:x:%d:\n", name, uid),
	} {
		b, _ := os.ReadFile("/etc/" + file) // without one ours is the only entry
		if len(b) > 0 && b[len(b)-1] != '\n' {
			b = append(b, '\n')
		}
		path := filepath.Join(dir, file)
		if err := os.WriteFile(path, append(b, line...), 0o644); err != nil {
			return err
		}
		if err := os.Chmod(path, 0o644); err != nil { // whatever our umask is
			return err
		}
	}
	return nil
}

// InitArgs returns the arguments that make the shim's program Init for cfg and
// then the program at path with args.
func InitArgs(cfg Config, path string, args []string) ([]string, error) {
	b, err := json.Marshal(cfg)
	if err != nil {
		return nil, fmt.Errorf("cannot encode sandbox: %w", err)
	}
	return append([]string{InitArg, string(b), path}, args...), nil
}

// cover is one directory that is hidden, and what shows through.
type cover struct {
	dir   string
	binds []bind
}

// bind shows what is at from under the name at.
type bind struct {
	from, at string
	write    bool
}

// plan finds the covers: for every needed path the topmost ancestor that
// enter refuses. A path reached through symbolic links is shown under both of
// its names. Of a needed directory that is itself refused the entries are
// shown. Paths that do not exist are left out.
func plan(cfg Config, enter func(dir string) bool) []cover {
	found := map[string]*cover{}
	add := func(b bind) {
		top := blocked(b.at, enter)
		if top == "" {
			return
		}
		c := found[top]
		if c == nil {
			c = &cover{dir: top}
			found[top] = c
		}
		if !slices.ContainsFunc(c.binds, func(x bind) bool { return x.at == b.at }) {
			c.binds = append(c.binds, b)
		}
	}
	each := func(paths []string, write bool) {
		for _, p := range paths {
			p = filepath.Clean(p)
			real, err := filepath.EvalSymlinks(p)
			if err != nil {
				continue
			}
			for _, at := range []string{real, p} {
				if enter(real) {
					add(bind{real, at, write})
					continue
				}
				entries, _ := os.ReadDir(real) // none: then there is nothing to show
				for _, e := range entries {
					add(bind{filepath.Join(real, e.Name()), filepath.Join(at, e.Name()), write})
				}
			}
		}
	}
	each(cfg.Writable, true) // first, so that they win over the same path read-only
	each(cfg.ReadOnly, false)
	out := make([]cover, 0, len(found))
	for _, c := range found {
		// A directory is mounted before what lies inside it.
		slices.SortFunc(c.binds, func(x, y bind) int { return strings.Compare(x.at, y.at) })
		out = append(out, *c)
	}
	slices.SortFunc(out, func(x, y cover) int { return strings.Compare(x.dir, y.dir) })
	return out
}

// blocked returns the topmost ancestor of path that enter refuses, or "".
func blocked(path string, enter func(string) bool) string {
	dir := "/"
	for part := range strings.SplitSeq(strings.Trim(filepath.Dir(path), "/"), "/") {
		dir = filepath.Join(dir, part)
		if !enter(dir) {
			return dir
		}
	}
	return ""
}

// Prefix returns the directories a Python interpreter needs: the one its
// program is installed in and, for a virtual environment, that of its base.
func Prefix(python string) []string {
	out := []string{filepath.Dir(filepath.Dir(python))}
	if real, err := filepath.EvalSymlinks(python); err == nil {
		out = append(out, filepath.Dir(filepath.Dir(real)))
	}
	// Each link on the way may live somewhere else than both.
	for at, hops := python, 0; hops < 16; hops++ {
		next, err := os.Readlink(at)
		if err != nil {
			break
		}
		if !filepath.IsAbs(next) {
			next = filepath.Join(filepath.Dir(at), next)
		}
		out = append(out, filepath.Dir(filepath.Dir(next)))
		at = next
	}
	slices.Sort(out)
	return slices.Compact(out)
}
