// Package enginetest holds the conformance suite of the engine contracts and a
// scriptable fake that passes it.
//
// The fake lives in memory, starts no process and no lasting goroutine, and
// measures time only with package time, so it works inside a testing/synctest
// bubble. It plays the part of the machine: hand the same *Fake to two servers
// in turn to simulate a restart, and the second one adopts what the first left.
package enginetest

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"sync"
	"time"

	"glaux/internal/engine"
)

// Fake is a machine on which fake drivers run, and a Launcher for it. The
// fields are read when they are needed; set them before use.
type Fake struct {
	// OnLaunch scripts a start; nil starts every driver at once.
	OnLaunch func(engine.Spec) Start
	// OnCell scripts a cell; nil takes the cell's code for a script (Parse).
	OnCell func(engine.Key, engine.Cell) Script
	// OnDial plays the services of a driver that runs; nil answers for none.
	OnDial func(engine.Key, engine.Service) (net.Conn, error)

	mu       sync.Mutex
	machines map[engine.Key]*machine // every driver that is not removed
	mute     map[engine.Key]bool     // those that answer no Adopt
	order    []engine.Key            // in the order of their launch
}

var (
	_ engine.Launcher = (*Fake)(nil)
	_ engine.Killer   = (*Fake)(nil)
)

// fakeHandle is the Data of a fake's Handle.
type fakeHandle struct {
	Version int
	Epoch   uint64
}

// Launch starts a fake driver, or returns the one that has the key.
func (f *Fake) Launch(ctx context.Context, spec engine.Spec) (engine.Driver, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f.mu.Lock()
	m := f.machines[spec.Key]
	f.mu.Unlock()
	if m != nil {
		return m.own(spec.Epoch)
	}
	var start Start
	if f.OnLaunch != nil {
		start = f.OnLaunch(spec)
	}
	if start.Refuse != nil {
		return nil, start.Refuse
	}
	f.mu.Lock()
	if f.machines == nil {
		f.machines = map[engine.Key]*machine{}
	}
	m, raced := f.machines[spec.Key]
	if !raced {
		m = newMachine(f, spec, start)
		f.machines[spec.Key] = m
		f.order = append(f.order, spec.Key)
	}
	f.mu.Unlock()
	if !raced {
		m.start()
	}
	return m.own(spec.Epoch)
}

// Adopt returns the fake driver of the handle, or ErrGone.
func (f *Fake) Adopt(_ context.Context, h engine.Handle) (engine.Driver, error) {
	f.mu.Lock()
	m, mute := f.machines[h.Key], f.mute[h.Key]
	f.mu.Unlock()
	if m == nil {
		return nil, engine.ErrGone
	}
	if mute && m.alive() {
		return nil, engine.ErrNoReply
	}
	epoch := h.Epoch
	if epoch == 0 && len(h.Data) > 0 {
		var data fakeHandle
		if err := json.Unmarshal(h.Data, &data); err != nil {
			return nil, fmt.Errorf("cannot adopt driver %q: %w", h.Key, err)
		}
		epoch = data.Epoch
	}
	if epoch == 0 {
		epoch = m.spec.Epoch
	}
	return m.own(epoch)
}

// Kill ends the fake driver as one that was lost.
func (f *Fake) Kill(_ context.Context, key engine.Key) error {
	if m := f.machine(key); m != nil {
		m.end(engine.Exit{Lost: true, Code: -1})
	}
	return nil
}

// Mute makes the driver answer no Adopt from now on, as a stopped process would.
func (f *Fake) Mute(key engine.Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mute == nil {
		f.mute = map[engine.Key]bool{}
	}
	f.mute[key] = true
}

// List returns every fake driver that was not removed, in the order of launch.
func (f *Fake) List(context.Context) ([]engine.Handle, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []engine.Handle
	for _, k := range f.order {
		if m := f.machines[k]; m != nil {
			out = append(out, m.handle(m.spec.Epoch))
		}
	}
	return out, nil
}

// Crash ends the driver from outside, as a killed process would. It reports
// whether there was one alive.
func (f *Fake) Crash(key engine.Key, e engine.Exit) bool {
	m := f.machine(key)
	return m != nil && m.end(e)
}

// SetResponsive plays an interpreter that stops or starts answering pings.
func (f *Fake) SetResponsive(key engine.Key, ok bool, note string) {
	if m := f.machine(key); m != nil {
		m.change(func() { m.status.Responsive, m.status.Note = ok, note })
	}
}

// SetExecutors replaces the executors a driver shows.
func (f *Fake) SetExecutors(key engine.Key, list []engine.Executor) {
	if m := f.machine(key); m != nil {
		m.change(func() { m.status.Executors = list })
	}
}

// SetTasks replaces the task counts of the running cell.
func (f *Fake) SetTasks(key engine.Key, n engine.Tasks) {
	if m := f.machine(key); m != nil {
		m.change(func() { m.status.Tasks = n })
	}
}

// SetOperations replaces the Spark Connect operations that a driver shows: how
// many run, and when the last of them ended.
func (f *Fake) SetOperations(key engine.Key, running int, ended time.Time) {
	if m := f.machine(key); m != nil {
		m.change(func() { m.status.Operations, m.status.Operated = running, ended })
	}
}

// Alive returns the keys of the drivers that run, in the order of launch.
func (f *Fake) Alive() []engine.Key {
	f.mu.Lock()
	keys := append([]engine.Key(nil), f.order...)
	f.mu.Unlock()
	var out []engine.Key
	for _, k := range keys {
		if m := f.machine(k); m != nil && m.alive() {
			out = append(out, k)
		}
	}
	return out
}

// Spec returns what the driver was launched with; ok is false when there is none.
func (f *Fake) Spec(key engine.Key) (spec engine.Spec, ok bool) {
	m := f.machine(key)
	if m == nil {
		return spec, false
	}
	return m.spec, true
}

// Kept returns how many ended cells' records a driver still keeps.
func (f *Fake) Kept(key engine.Key) int {
	m := f.machine(key)
	if m == nil {
		return 0
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.cells)
}

func (f *Fake) machine(key engine.Key) *machine {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.machines[key]
}

func (f *Fake) remove(key engine.Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.machines, key)
}

func (f *Fake) script(key engine.Key, c engine.Cell) Script {
	if f.OnCell != nil {
		return f.OnCell(key, c)
	}
	s, err := Parse(c.Code)
	if err != nil {
		s.Error = &engine.CellError{Name: "SyntaxError", Value: err.Error(), Traceback: []string{"SyntaxError: " + err.Error()}}
	}
	return s
}
