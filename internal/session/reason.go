package session

import (
	"fmt"
	"strings"
	"syscall"
	"time"

	"glaux/internal/engine"
)

const reasonAsked = "The session was terminated on request."

// tailLines is how many of the driver's last lines a reason quotes.
const tailLines = 5

// verdict says how a session ends whose driver has ended so.
func (v *serving) verdict(x engine.Exit) ending {
	if v.failure != nil {
		return ending{FailedStart, reasonStart(v.failure)}
	}
	switch v.s.State {
	case Queued, Launching, Started:
		return ending{FailedStart, "The session could not be started: " + reasonExit(x)}
	case Idle, Busy, Degraded, Stopping, Ended:
	}
	switch {
	case x.Lost:
		return ending{Lost, "The session was lost: its driver was ended together with its supervisor, or the machine restarted."}
	case x.Orphan:
		return ending{Lost, "The session was ended by its supervisor: no server came back in time."}
	case x.Asked:
		return ending{Asked, "The session was ended from outside the service."}
	}
	if v.s.State == Degraded && v.s.Reason != "" && !x.Memory && !strings.HasPrefix(v.s.Reason, x.Process+" ") {
		// Unless it was for this very end: what it was judged for says more than what else it wrote.
		x.Tail = nil
		return ending{Crashed, "The session crashed: " + v.s.Reason + ". Then " + reasonExit(x)}
	}
	return ending{Crashed, "The session crashed: " + reasonExit(x)}
}

// reasonStart is the StateChangeReason of a start that failed.
func reasonStart(e *engine.StartError) string {
	return "The session could not be started: " + e.Cause
}

// reasonExit says for people how a driver ended: out of memory, by a signal or
// with an exit code, and the last lines it wrote.
func reasonExit(x engine.Exit) string {
	name := x.Process
	if name == "" {
		name = "driver"
	}
	var b strings.Builder
	switch {
	case x.Lost:
		b.WriteString("its driver is gone and left no record of its end")
	case x.Memory && x.Signal != 0:
		fmt.Fprintf(&b, "the %s process ran out of memory and was killed with signal %d (%s)", name, x.Signal, syscall.Signal(x.Signal))
		if x.Limit > 0 {
			fmt.Fprintf(&b, "; the session has %d MiB for all its processes together", x.Limit)
		}
	case x.Memory:
		fmt.Fprintf(&b, "the %s process ran out of memory and exited with code %d", name, x.Code)
	case x.Signal != 0:
		fmt.Fprintf(&b, "the %s process was killed with signal %d (%s)", name, x.Signal, syscall.Signal(x.Signal))
	default:
		fmt.Fprintf(&b, "the %s process exited with code %d", name, x.Code)
	}
	tail := x.Tail
	if len(tail) > tailLines {
		tail = tail[len(tail)-tailLines:]
	}
	if len(tail) > 0 {
		b.WriteString("; last lines of stderr:\n" + strings.Join(tail, "\n"))
	} else {
		b.WriteByte('.')
	}
	return b.String()
}

// minutes writes a duration as people set it.
func minutes(d time.Duration) string {
	switch n := d / time.Minute; {
	case n == 1:
		return "1 minute"
	case n > 1 && d%time.Minute == 0:
		return fmt.Sprintf("%d minutes", n)
	}
	return d.String()
}
