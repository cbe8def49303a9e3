package server

import "syscall"

// physicalMiB returns the machine's memory.
func physicalMiB() int {
	var info syscall.Sysinfo_t
	if err := syscall.Sysinfo(&info); err != nil {
		return 4096 // it cannot fail with a valid pointer
	}
	return int(uint64(info.Totalram) * uint64(info.Unit) >> 20)
}
