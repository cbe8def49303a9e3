package sandbox

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// serverGroup is the group that a server moves to where it splits its own up.
const serverGroup = groupPrefix + "server"

// FindGroups looks for where this process may make control groups: below its
// own. With version 2 a group that has processes cannot have groups that share
// and bound; where all processes of our group are ours, as in a service or a
// container, they move into a group below it. What cannot be had is missing in
// the result, and why is a sentence for people; empty: all can be had.
// It makes a group to see, and removes it. own says whether a process belongs
// to this server.
func FindGroups(own func(pid int) bool) (g Groups, why string) {
	mounted, err := hierarchies()
	if err != nil {
		return Groups{}, "control groups cannot be examined: " + err.Error()
	}
	if dir := mounted[""]; dir != "" && offers(dir, "memory") {
		base, err := split(dir, own)
		if err != nil {
			return Groups{}, err.Error()
		}
		g = Groups{Version: 2, CPU: base, Memory: base}
	} else {
		g = Groups{Version: 1, CPU: mounted["cpu"], Memory: mounted["memory"]}
		if os.Geteuid() != 0 {
			return Groups{}, "control groups of version 1 are root's"
		}
	}
	probe, err := g.Make("probe-"+strconv.Itoa(os.Getpid()), Limits{Cores: 1, Memory: 64})
	if err != nil {
		return Groups{}, err.Error()
	}
	if err := probe.Remove(0); err != nil {
		return Groups{}, err.Error()
	}
	switch {
	case g.CPU == "" && g.Memory == "":
		return Groups{}, "this machine has no control groups"
	case g.CPU == "":
		why = "there are no control groups for processors"
	case g.Memory == "":
		why = "there are no control groups for memory"
	}
	return g, why
}

// Attr makes a process start in the group that has no Init to join it: one of
// version 2, which an ordinary user may have. release is to be called once it was started.
func (g *Group) Attr(attr *syscall.SysProcAttr) (release func(), err error) {
	if g == nil || g.Version != 2 || len(g.Dirs) == 0 {
		return func() {}, nil
	}
	fd, err := unix.Open(g.Dirs[0], unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot enter a control group: %w", err)
	}
	attr.UseCgroupFD, attr.CgroupFD = true, fd
	return func() { _ = unix.Close(fd) }, nil
}

// hierarchies returns the directories of our own control groups: by controller
// for version 1, and under "" for version 2.
func hierarchies() (map[string]string, error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	paths := map[string]string{}
	for line := range strings.Lines(string(text)) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(part) == 3 {
			for controller := range strings.SplitSeq(part[1], ",") {
				paths[controller] = part[2]
			}
		}
	}
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	found := map[string]string{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !ok || len(left) < 5 || len(right) < 3 {
			continue
		}
		controllers := []string{""}
		if right[0] == "cgroup" {
			controllers = strings.Split(right[2], ",")
		} else if right[0] != "cgroup2" {
			continue
		}
		for _, c := range controllers {
			path, ours := paths[c]
			below, inside := strings.CutPrefix(path, strings.TrimSuffix(left[3], "/")) // what is mounted may be a part of the tree
			if ours && inside && found[c] == "" {
				found[c] = filepath.Join(left[4], below)
			}
		}
	}
	return found, nil
}

// offers says whether the group may hand a controller down.
func offers(dir, controller string) bool {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	return err == nil && slices.Contains(strings.Fields(string(text)), controller)
}

// split makes the group hand its controllers down, and returns it. Its
// processes are moved below it where they are in the way.
func split(dir string, own func(pid int) bool) (string, error) {
	if filepath.Base(dir) == serverGroup {
		dir = filepath.Dir(dir) // an earlier start has split it
	}
	const down = "+cpu +memory"
	err := set(dir, "cgroup.subtree_control", down)
	if !errors.Is(err, syscall.EBUSY) {
		return dir, err
	}
	pids, err := members(dir)
	if err != nil {
		return "", err
	}
	for _, pid := range pids {
		if pid != os.Getpid() && !own(pid) {
			return "", fmt.Errorf("the control group %s has processes that are not ours, such as %d; run the server as a service with delegated control groups", dir, pid)
		}
	}
	leaf := filepath.Join(dir, serverGroup)
	if err := os.Mkdir(leaf, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return "", fmt.Errorf("cannot make a control group: %w", err)
	}
	for _, pid := range pids {
		if err := set(leaf, "cgroup.procs", strconv.Itoa(pid)); err != nil && !errors.Is(err, syscall.ESRCH) {
			return "", err
		}
	}
	return dir, set(dir, "cgroup.subtree_control", down)
}

// members lists the processes of a group.
func members(dir string) ([]int, error) {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, word := range strings.Fields(string(text)) {
		if pid, err := strconv.Atoi(word); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
