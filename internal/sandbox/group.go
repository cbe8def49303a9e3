package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Groups is where control groups of sessions can be made. The zero value: nowhere.
type Groups struct {
	Version int    // of the control groups: 1 or 2
	CPU     string // directory below which groups that share processors are made; empty: there are none
	Memory  string // the same for groups that bound memory; with version 2 the same directory
}

// Limits are what a group is made for.
type Limits struct {
	Cores  int // its share of processors, where they are contended
	Memory int // all that its processes take together, MiB; zero: not bounded
}

// Group is the control group of one session: it says which share of contended
// processors its JVM and Python have together, and how much memory.
type Group struct {
	Version int      `json:"v"`
	CPU     string   `json:"cpu,omitempty"`    // its directory for processors
	Memory  string   `json:"memory,omitempty"` // its directory for memory
	MiB     int      `json:"mib,omitempty"`    // its bound; zero: none
	Cores   int      `json:"cores,omitempty"`  // its share of processors
	Dirs    []string `json:"dirs"`             // what a process joins
}

// groupPrefix begins the names of our groups, so that people know whose they are.
const groupPrefix = "glaux-"

// weight is the share of one core, which makes four cores, a data processing
// unit, worth twice what a process outside of all groups has.
const (
	weightV1 = 512 // of 1024, which is the default
	weightV2 = 50  // of 100, which is the default
)

// Make makes the group of a session. Nothing of it is left on an error.
func (g Groups) Make(name string, l Limits) (_ *Group, err error) {
	made := &Group{Version: g.Version}
	defer func() {
		if err != nil {
			_ = made.Remove(0)
		}
	}()
	create := func(parent string) (string, error) {
		dir := filepath.Join(parent, groupPrefix+name)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", fmt.Errorf("cannot make a control group: %w", err)
		}
		made.Dirs = append(made.Dirs, dir)
		return dir, nil
	}
	if g.CPU != "" {
		if made.CPU, err = create(g.CPU); err != nil {
			return nil, err
		}
		made.Cores = l.Cores
		if err = made.Yield(false); err != nil {
			return nil, err
		}
	}
	if g.Memory != "" && l.Memory > 0 {
		if made.Memory = made.CPU; g.Memory != g.CPU {
			if made.Memory, err = create(g.Memory); err != nil {
				return nil, err
			}
		}
		if err = made.bound(l.Memory); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// Yield leaves the group a third of its share of contended processors, or
// gives it back. A nil group has none.
func (g *Group) Yield(on bool) error {
	switch {
	case g == nil:
		return nil
	case on:
		return g.share(g.Cores * 3)
	}
	return g.share(g.Cores * 10)
}

// share sets the group's share of contended processors, in tenths of cores.
func (g *Group) share(tenths int) error {
	if g.CPU == "" {
		return nil
	}
	file, value := "cpu.shares", max(2, tenths*weightV1/10)
	if g.Version == 2 {
		file, value = "cpu.weight", min(max(1, tenths*weightV2/10), 10000)
	}
	return set(g.CPU, file, strconv.Itoa(value))
}

// bound limits the group's memory, and keeps it from swapping instead.
func (g *Group) bound(mib int) error {
	file, swap, most := "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", strconv.FormatInt(int64(mib)<<20, 10)
	none := most // with version 1 it counts both
	if g.Version == 2 {
		file, swap, none = "memory.max", "memory.swap.max", "0"
	}
	if err := set(g.Memory, file, most); err != nil {
		return err
	}
	_ = set(g.Memory, swap, none) // not there on a machine that does not count it
	g.MiB = mib
	return nil
}

// set writes a file of a control group.
func set(dir, file, value string) error {
	if err := os.WriteFile(filepath.Join(dir, file), []byte(value), 0o644); err != nil {
		return fmt.Errorf("cannot set a limit: %w", err)
	}
	return nil
}

// All are the directories that a process of the group joins; none for nil.
func (g *Group) All() []string {
	if g == nil {
		return nil
	}
	return g.Dirs
}

// Kills counts the processes of the group that the kernel has ended because it
// had no more memory for it. A nil group, or one that is gone, has none.
func (g *Group) Kills() uint64 {
	if g == nil || g.Memory == "" {
		return 0
	}
	file := "memory.oom_control"
	if g.Version == 2 {
		file = "memory.events"
	}
	text, err := os.ReadFile(filepath.Join(g.Memory, file))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
			v, _ := strconv.ParseUint(strings.TrimSpace(n), 10, 64)
			return v
		}
	}
	return 0
}

// Remove removes the group. Processes that have just ended may still be
// counted in it: it tries again for so long. A group that is gone is no error.
func (g *Group) Remove(within time.Duration) error {
	if g == nil {
		return nil
	}
	var errs []error
	end := time.Now().Add(within)
	for _, dir := range g.Dirs {
		err := os.Remove(dir)
		for err != nil && !errors.Is(err, fs.ErrNotExist) && time.Now().Before(end) {
			time.Sleep(2 * time.Millisecond)
			err = os.Remove(dir)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("cannot remove a control group: %w", err))
		}
	}
	return errors.Join(errs...)
}

// left is the age from which an empty group is nobody's: its session was to
// join it within moments.
const left = 10 * time.Minute

// Sweep removes the empty groups that sessions left behind whose shim and
// server were both killed.
func (g Groups) Sweep() {
	for _, parent := range []string{g.CPU, g.Memory} {
		found, _ := filepath.Glob(filepath.Join(parent, groupPrefix+"*")) // the pattern is good
		for _, dir := range found {
			if info, err := os.Stat(dir); parent != "" && err == nil && time.Since(info.ModTime()) > left {
				_ = os.Remove(dir) // refused while it has processes
			}
		}
	}
}

// join puts the calling process into the groups. It is called by Init, where
// only one thread of it matters: the one that becomes the program.
func join(dirs []string) error {
	for _, dir := range dirs {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0o644); err != nil {
			return fmt.Errorf("cannot enter a control group: %w", err)
		}
	}
	return nil
}
