package server

import (
	"cmp"
	"time"
)

// Glue is how Glue sessions are run.
type Glue struct {
	// Timeout is the longest life of a session that asks for none: 1 minute to
	// 30 days. The default is Glue's.
	Timeout time.Duration `help:"Longest life of a Glue session that asks for none." default:"48h" yaml:"timeout"`
	// IdleTimeout is how long a session may be idle that does not say so: 1
	// minute to 30 days. Zero, as at Glue: as long as it may live.
	IdleTimeout time.Duration `help:"Idle timeout of Glue sessions that ask for none; 0: as long as they may live." default:"0" yaml:"idle-timeout"`
	// UsageProfile is the usage profile of every caller whose entry among the
	// roles and users names no other. Empty: none.
	UsageProfile string `help:"Usage profile that limits the Glue sessions of everyone whose role or user has none of its own." placeholder:"NAME" yaml:"usage-profile"`
}

// fill puts the defaults where nothing is said.
func (g *Glue) fill() { g.Timeout = cmp.Or(g.Timeout, 48*time.Hour) }

// check reports the faults of the settings.
func (g *Glue) check(lasts func(string, time.Duration, time.Duration, time.Duration)) {
	lasts("glue-timeout", g.Timeout, time.Minute, 30*24*time.Hour)
	if g.IdleTimeout != 0 {
		lasts("glue-idle-timeout", g.IdleTimeout, time.Minute, 30*24*time.Hour)
	}
}
