package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// process is what the kernel says about one process.
type process struct {
	pid, parent int
	own, reaped time.Duration // processor time of its own, and of the children that it waited for
}

// processes lists all there are. One that ends meanwhile is left out.
func processes() ([]process, error) {
	names, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	var found []process
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		p, err := parseStat(string(text))
		if err != nil {
			return nil, err
		}
		found = append(found, p)
	}
	return found, nil
}

// parseStat reads one line of /proc/PID/stat.
func parseStat(text string) (p process, err error) {
	end := strings.LastIndexByte(text, ')') // a name may hold anything
	if end < 0 {
		return p, errors.New("no process's stat")
	}
	fields := strings.Fields(text[end+1:]) // from the third on
	if len(fields) < 15 {
		return p, errors.New("the process's stat is too short")
	}
	number := func(s string) int {
		n, e := strconv.Atoi(s)
		err = errors.Join(err, e)
		return n
	}
	pid, _, _ := strings.Cut(text, " ")
	p.pid, p.parent = number(pid), number(fields[1])
	const tick = 10 * time.Millisecond // on every Linux
	p.own = tick * time.Duration(number(fields[11])+number(fields[12]))
	p.reaped = tick * time.Duration(number(fields[13])+number(fields[14]))
	return p, err
}

// tree returns the processes below a root, the root among them.
func tree(root int) ([]process, error) {
	all, err := processes()
	if err != nil {
		return nil, err
	}
	children := map[int][]process{}
	var found []process
	for _, p := range all {
		children[p.parent] = append(children[p.parent], p)
		if p.pid == root {
			found = append(found, p)
		}
	}
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i].pid]...)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("there is no process %d", root)
	}
	return found, nil
}

// treeCPU returns the processor time that a tree of processes has used.
func treeCPU(root int) (total time.Duration, err error) {
	found, err := tree(root)
	for _, p := range found {
		total += p.own + p.reaped
	}
	return total, err
}

// treePSS returns the memory of the trees in MB: pages that several processes
// share are counted in parts.
func treePSS(roots ...int) (total float64, err error) {
	for _, root := range roots {
		found, err := tree(root)
		if err != nil {
			return 0, err
		}
		for _, p := range found {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.pid))
			if err != nil {
				continue // it ended, or is a zombie
			}
			for line := range strings.Lines(string(text)) {
				var kib float64
				if n, _ := fmt.Sscanf(line, "Pss: %f kB", &kib); n == 1 {
					total += kib * 1024 / 1e6
				}
			}
		}
	}
	return total, nil
}

// cpu returns the processor time that the server has used by itself.
func (s *server) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	p, err := parseStat(string(text))
	return p.own, err
}

// allCPU is what the server used with all that it started, sessions apart:
// those are nobody's children.
func (s *server) allCPU() (time.Duration, error) { return treeCPU(s.cmd.Process.Pid) }

// shim returns the process that all of a session's processes are below.
func (s *server) shim(session string) (int, error) {
	spec := []byte(filepath.Join(s.dir, "sessions", session, "spec.json"))
	names, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		args := bytes.Split(bytes.TrimSuffix(text, []byte{0}), []byte{0})
		if len(args) == 3 && string(args[1]) == "run" && bytes.Equal(args[2], spec) {
			return strconv.Atoi(filepath.Base(filepath.Dir(name)))
		}
	}
	return 0, fmt.Errorf("session %s has no shim", session)
}

// shims returns the processes that the sessions' are below.
func (s *server) shims(sessions []string) (roots []int, err error) {
	for _, id := range sessions {
		root, err := s.shim(id)
		if err != nil {
			return nil, err
		}
		roots = append(roots, root)
	}
	return roots, nil
}

// availableMB returns the machine's memory that is not in use.
func availableMB() (float64, error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		var kib float64
		if n, _ := fmt.Sscanf(line, "MemAvailable: %f kB", &kib); n == 1 {
			return kib * 1024 / 1e6, nil
		}
	}
	return 0, errors.New("no MemAvailable in /proc/meminfo")
}
