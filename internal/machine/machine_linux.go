package machine

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// A Reader reads what memory there is. The zero value reads that of this
// process's machine and control group. It is safe for concurrent use.
type Reader struct {
	// Root is where proc and sys are found. Empty: /.
	Root string
}

// Read returns what memory there is now.
func (r Reader) Read() Memory {
	m := r.machine()
	for _, g := range r.groups() {
		m = m.tighter(g)
	}
	return m
}

// machine is the memory of the whole machine.
func (r Reader) machine() Memory {
	m := Memory{Available: -1, Pressure: pressure(r.path("proc/pressure/memory"))}
	for line := range strings.Lines(text(r.path("proc/meminfo"))) {
		name, value, _ := strings.Cut(line, ":")
		kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
		switch {
		case err != nil:
		case name == "MemTotal":
			m.Total = kib >> 10
		case name == "MemAvailable":
			m.Available = kib >> 10
		}
	}
	if m.Total == 0 { // no proc: the kernel itself says how much there is
		var info syscall.Sysinfo_t
		if syscall.Sysinfo(&info) == nil {
			m.Total = int(uint64(info.Totalram) * uint64(info.Unit) >> 20)
		}
	}
	return m
}

// unlimited is more than any machine has: what version 1 says where a group has
// no limit.
const unlimited = 1 << 50

// groups are the limits of this process's control groups: its own and every one
// above it, each of which holds for it.
func (r Reader) groups() (all []Memory) {
	for line := range strings.Lines(text(r.path("proc/self/cgroup"))) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(part) != 3 {
			continue
		}
		switch {
		case part[0] == "0" && part[1] == "":
			all = append(all, r.climb("sys/fs/cgroup", part[2], version2)...)
		case hasWord(part[1], "memory"):
			all = append(all, r.climb("sys/fs/cgroup/memory", part[2], version1)...)
		}
	}
	return all
}

// climb reads the group and those above it that are seen from here. In a
// container the group's name may be that of outside, and its own is the root.
func (r Reader) climb(mount, group string, read func(dir string) (Memory, bool)) (all []Memory) {
	for at := filepath.Clean("/" + group); ; at = filepath.Dir(at) {
		if m, ok := read(r.path(filepath.Join(mount, at))); ok {
			all = append(all, m)
		}
		if at == "/" {
			return all
		}
	}
}

// version2 reads a group of the unified hierarchy.
func version2(dir string) (Memory, bool) {
	return group(dir, "memory.max", "memory.current", "inactive_file")
}

// version1 reads a group of the memory controller's own hierarchy.
func version1(dir string) (Memory, bool) {
	return group(dir, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
}

// group reads one group; false: it has no limit.
func group(dir, limit, usage, droppable string) (Memory, bool) {
	most, ok := number(text(filepath.Join(dir, limit)))
	if !ok || most >= unlimited {
		return Memory{}, false
	}
	m := Memory{Total: int(most >> 20), Available: -1, Pressure: pressure(filepath.Join(dir, "memory.pressure"))}
	if used, ok := number(text(filepath.Join(dir, usage))); ok {
		for line := range strings.Lines(text(filepath.Join(dir, "memory.stat"))) {
			name, value, _ := strings.Cut(line, " ")
			if n, ok := number(value); ok && name == droppable {
				used -= n
			}
		}
		m.Available = int(max(0, most-max(0, used)) >> 20)
	}
	return m, true
}

// pressure reads the share of the last ten seconds in which everything waited.
func pressure(path string) float64 { return stalled(path, "full") }

// CPUPressure is for how many percent of the last ten seconds something that
// could run waited for a processor. Where the kernel does not say, it is about
// the last minute: by how much those that ran or waited outnumbered processors.
func (r Reader) CPUPressure() float64 {
	if path := r.path("proc/pressure/cpu"); text(path) != "" {
		return stalled(path, "some")
	}
	minute, _, _ := strings.Cut(text(r.path("proc/loadavg")), " ")
	load, _ := strconv.ParseFloat(minute, 64)
	return min(100, max(0, load-float64(runtime.NumCPU()))*100)
}

// stalled reads the ten seconds' average of a line.
func stalled(path, kind string) float64 {
	for line := range strings.Lines(text(path)) {
		field := strings.Fields(line)
		if len(field) > 1 && field[0] == kind {
			n, _ := strconv.ParseFloat(strings.TrimPrefix(field[1], "avg10="), 64)
			return n
		}
	}
	return 0
}

func (r Reader) path(name string) string { return filepath.Join("/", r.Root, name) }

// text is a file's text; empty where it cannot be read.
func text(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(b)
}

func number(s string) (int64, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	return n, err == nil
}

// hasWord says whether one of the words of a list with commas is word.
func hasWord(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if w == word {
			return true
		}
	}
	return false
}
