package server

import (
	"os"
	"runtime"
	"strconv"
	"strings"
)

// spared is what the machine keeps for everything but sessions, MiB.
const spared = 1024

// maxSessions returns how many sessions may live at once: what is configured,
// or as many as fit into the machine's memory, at least one.
func (c *Config) maxSessions(memoryMiB int) int {
	if c.MaxSessions > 0 {
		return c.MaxSessions
	}
	return max(1, (memoryMiB-spared)/c.DPU.Memory)
}

// given is how many processors this process was given.
var given = runtime.GOMAXPROCS(0)

// processors returns how many the server computes on: what is configured, or
// half of what there is, at least one.
func (c *Config) processors() int {
	if c.Processors > 0 {
		return c.Processors
	}
	return max(1, given/2)
}

// machineMiB returns the memory this process may use: the machine's, or the
// limit of the control group it runs in when that is lower.
func machineMiB() int {
	total := physicalMiB()
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		if err == nil && n>>20 < int64(total) {
			total = int(n >> 20)
		}
	}
	return total
}
