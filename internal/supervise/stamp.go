// Package supervise owns a session's processes: it starts the JVM and Python,
// notices their ends, spools what they write, speaks the shim's protocol with
// the server, and leaves nothing behind. It runs in the shim, a process of its
// own; the server uses only Stamp and Sweep, to find and end what a shim that
// was killed left.
package supervise

import (
	"os"
	"syscall"
)

// Stamp names one process for ever: a pid is used again, a pid with its start
// time within one boot is not.
type Stamp struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // in the system's own unit since boot
	Boot  string `json:"boot"`
}

// State is the content of state.json: the processes of a session.
type State struct {
	Shim   Stamp `json:"shim"`
	JVM    Stamp `json:"jvm"`
	Python Stamp `json:"python"`
	Waits  bool  `json:"waits,omitempty"` // for a session to claim the driver
}

// StampOf returns the stamp of a live process. The error is os.ErrProcessDone
// when there is none.
func StampOf(pid int) (Stamp, error) {
	start, zombie, err := startOf(pid)
	if err != nil {
		return Stamp{}, err
	}
	if zombie {
		return Stamp{}, os.ErrProcessDone
	}
	boot, err := bootID()
	if err != nil {
		return Stamp{}, err
	}
	return Stamp{PID: pid, Start: start, Boot: boot}, nil
}

// Alive says whether the very process still runs. A zombie does not.
func (s Stamp) Alive() bool {
	if s.PID <= 0 {
		return false
	}
	now, err := StampOf(s.PID)
	return err == nil && now == s
}

// Signal sends a signal to the process if it is still the same one.
func (s Stamp) Signal(sig syscall.Signal) error {
	if !s.Alive() {
		return os.ErrProcessDone
	}
	return syscall.Kill(s.PID, sig)
}
