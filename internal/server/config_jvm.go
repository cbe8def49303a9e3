package server

import (
	"cmp"
	"log/slog"

	"glaux/internal/sandbox"
	"glaux/internal/supervise"
)

// Confine is what keeps sessions from each other's memory and processors, where
// the machine has control groups for that.
type Confine struct {
	// Beyond is the memory that a session's JVM and Python may take together
	// beyond the JVM's heap, MiB: the JVM's own, and all of Python's. A session
	// that takes more ends, and says so. Negative: it is not bounded.
	Beyond int `name:"beyond-heap" help:"Memory that a session's processes may take together beyond the JVM's heap, MiB; -1: no bound." default:"2048" yaml:"beyond-heap"`
	// Off makes no control groups.
	Off bool `help:"Give sessions no control groups: no bound of memory, no shares of processors." yaml:"off"`
}

func (c *Confine) fill() { c.Beyond = cmp.Or(c.Beyond, 2048) }

// groups finds where control groups of sessions can be made, and says what
// cannot be had.
func (c *Confine) groups(log *slog.Logger) sandbox.Groups {
	if c.Off {
		return sandbox.Groups{}
	}
	g, why := sandbox.FindGroups(supervise.Ours)
	if why != "" {
		log.Info("sessions share memory and processors without limits", "why", why)
	}
	g.Sweep()
	return g
}
