package server

import (
	"cmp"
	"time"
)

// Pool says how many drivers are kept ready for sessions to come.
type Pool struct {
	// Max is how many drivers wait at most. 0: none, every start is a cold one.
	Max int `help:"Drivers that wait for sessions at most; 0: none." default:"8" yaml:"max"`
	// Min is how many wait of each configuration that a workgroup declares while
	// nobody asks for any. More wait while more is asked for.
	Min int `help:"Drivers that wait for each workgroup's configuration while nobody asks." default:"1" yaml:"min"`
	// Memory bounds what waits, MiB, by PoolDriver each. Zero: an eighth of the
	// machine's.
	Memory int `help:"Memory for drivers that wait, MiB; 0: an eighth of the machine's." default:"0" yaml:"memory"`
	// Age is how long one waits before another takes its place. Zero: 1 hour.
	Age time.Duration `help:"How long a driver waits before another takes its place." default:"1h" yaml:"age"`
}

// poolDriver is what a driver that waits is counted with, MiB (measured: about
// 190 of its own, and what it shares).
const poolDriver = 256

func (p *Pool) fill() { p.Age = cmp.Or(p.Age, time.Hour) }

func (p *Pool) check(within func(name string, value, low, high int64), lasts func(name string, value, low, high time.Duration)) {
	within("pool-max", int64(p.Max), 0, 1000)
	within("pool-min", int64(p.Min), 0, 1000)
	within("pool-memory", int64(p.Memory), 0, 1<<21)
	lasts("pool-age", p.Age, time.Minute, 24*time.Hour)
}
