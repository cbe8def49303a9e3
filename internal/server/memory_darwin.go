package server

import "golang.org/x/sys/unix"

// physicalMiB returns the machine's memory.
func physicalMiB() int {
	n, err := unix.SysctlUint64("hw.memsize")
	if err != nil {
		return 4096
	}
	return int(n >> 20)
}
