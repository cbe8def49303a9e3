package machine

import "golang.org/x/sys/unix"

// A Reader reads what memory there is. It is safe for concurrent use.
type Reader struct {
	// Root is not used on this system.
	Root string
}

// Read returns what memory there is now. The kernel says which part of it is
// free, in percent, and nothing of pressure.
func (Reader) Read() Memory {
	m := Memory{Total: 4096, Available: -1}
	if n, err := unix.SysctlUint64("hw.memsize"); err == nil {
		m.Total = int(n >> 20)
	}
	if percent, err := unix.SysctlUint32("kern.memorystatus_level"); err == nil && percent <= 100 {
		m.Available = m.Total / 100 * int(percent)
	}
	return m
}

// CPUPressure is zero: the kernel does not say.
func (Reader) CPUPressure() float64 { return 0 }
