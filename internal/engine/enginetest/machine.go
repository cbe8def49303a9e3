package enginetest

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"glaux/internal/engine"
)

// machine is the running side of a fake driver: what a shim, a JVM and a
// Python are for a real one. It outlives the servers that drive it.
type machine struct {
	fake  *Fake
	spec  engine.Spec
	begin Start
	born  time.Time

	mu      sync.Mutex // guards what follows
	changed chan struct{}
	epoch   uint64
	status  engine.Status
	ready   bool
	exit    *engine.Exit
	failure *engine.StartError
	stopped bool // Stop was called
	cells   map[engine.CellID]*cell
	logs    map[engine.LogSource]*journal
	removed bool

	claim       *engine.Spec // of the session that claimed it
	unclaimable error        // what a claim fails with
}

// cell is one cell that runs or ran; machine.mu guards it.
type cell struct {
	script  Script
	code    engine.Cell
	begun   time.Time
	out     map[engine.Stream][]byte
	result  *engine.CellResult
	asked   bool // interrupted
	settled chan struct{}
}

func newMachine(f *Fake, spec engine.Spec, begin Start) *machine {
	spec.Properties, spec.Env = maps.Clone(spec.Properties), maps.Clone(spec.Env)
	return &machine{
		fake: f, spec: spec, begin: begin, born: time.Now(), epoch: spec.Epoch,
		changed: make(chan struct{}),
		status:  engine.Status{Phase: engine.Scheduled, Responsive: true},
		cells:   map[engine.CellID]*cell{},
		logs:    map[engine.LogSource]*journal{},
	}
}

// own returns a driver for a server of the epoch, or ErrStale.
func (m *machine) own(epoch uint64) (engine.Driver, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if epoch < m.epoch {
		return nil, engine.ErrStale
	}
	m.epoch = epoch
	return &driver{m: m, epoch: epoch}, nil
}

func (m *machine) handle(epoch uint64) engine.Handle {
	h := engine.Handle{Key: m.spec.Key, Data: fmt.Appendf(nil, `{"Version":1,"Epoch":%d}`, epoch), Epoch: epoch}
	m.mu.Lock()
	defer m.mu.Unlock()
	h.Waits = m.spec.Wait != "" && m.claim == nil
	return h
}

// change runs f with the lock held unless the driver is gone, then tells everyone.
func (m *machine) change(f func()) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.exit != nil {
		return false
	}
	f()
	m.tellLocked()
	return true
}

func (m *machine) tellLocked() {
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *machine) alive() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.exit == nil
}

// after runs f once d has passed: at once, in this call, for zero.
func after(d time.Duration, f func()) {
	if d <= 0 {
		f()
		return
	}
	time.AfterFunc(d, f)
}

func (m *machine) start() {
	after(m.begin.Scheduled, func() {
		m.change(func() { m.status.Phase = engine.Started })
		if m.begin.Hang {
			return
		}
		after(m.begin.Preparing, m.prepare)
	})
}

func (m *machine) prepare() {
	if fail := m.begin.Fail; fail != nil {
		m.mu.Lock()
		m.failure = fail
		m.mu.Unlock()
		m.end(fail.Exit)
		return
	}
	m.change(func() {
		if m.spec.Wait != "" && m.claim == nil {
			m.status.Phase = engine.Waiting
			if m.spec.Wait == engine.WaitProperties {
				return
			}
		}
		m.status.ApplicationID = "local-" + string(m.spec.Key)
		m.status.SparkVersion = "3.5.6"
		m.status.Executors = []engine.Executor{{ID: "driver", Host: "127.0.0.1", Cores: max(1, m.spec.Cores), Added: time.Now()}}
		if m.status.Phase != engine.Waiting {
			m.readyLocked()
		}
	})
}

// readyLocked lets code run.
func (m *machine) readyLocked() {
	m.ready = true
	m.status.Phase = engine.Prepared
	m.tellLocked()
}

// end makes the driver gone. It reports whether it was alive.
func (m *machine) end(e engine.Exit) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.exit != nil {
		return false
	}
	now := time.Now()
	e.Started, e.Ended, e.Lived = m.born, now, now.Sub(m.born)
	e.Asked = e.Asked || m.stopped
	for _, c := range m.cells {
		m.finishLocked(c, engine.Lost)
	}
	m.exit = &e
	m.status.Phase, m.status.Operations = engine.Gone, 0
	for i := range m.status.Executors {
		if x := &m.status.Executors[i]; x.Removed.IsZero() {
			x.Removed, x.Reason = now, "driver ended"
		}
	}
	m.tellLocked()
	return true
}

// beginLocked starts a cell and returns it, to be played without the lock.
func (m *machine) beginLocked(code engine.Cell, s Script) *cell {
	c := &cell{script: s, code: code, begun: time.Now(), settled: make(chan struct{}), out: map[engine.Stream][]byte{
		engine.Stdout: []byte(s.Stdout), engine.Stderr: []byte(s.Stderr), engine.Displays: nil,
	}}
	for _, d := range s.Displays {
		c.out[engine.Displays] = append(append(c.out[engine.Displays], d...), '\n')
	}
	m.cells[code.ID] = c
	m.logLocked(engine.LogStdout, 'p', s.Stdout)
	m.logLocked(engine.LogStderr, 'p', s.Stderr)
	m.status.Cell, m.status.Tasks = code.ID, s.Tasks
	m.tellLocked()
	return c
}

// play lets a cell run to its end. It ends by itself when the cell does.
func (m *machine) play(c *cell) {
	done := func() {
		if c.script.Crash != nil {
			m.end(*c.script.Crash)
			return
		}
		m.change(func() {
			if c.result == nil {
				c.out[engine.Stdout] = append(c.out[engine.Stdout], c.script.Late...)
			}
			m.finishLocked(c, engine.Succeeded)
		})
	}
	switch {
	case c.script.Takes < 0: // until interrupted
		return
	case c.script.Hold == nil:
		after(c.script.Takes, done)
		return
	}
	after(c.script.Takes, func() { m.serveHold(c, done) })
}

// serveHold waits for a held cell in the background. What it starts ends with
// the cell.
func (m *machine) serveHold(c *cell, done func()) {
	go func() {
		select {
		case <-c.script.Hold:
			done()
		case <-c.settled:
		}
	}()
}

// finishLocked writes the cell's record unless it has one.
func (m *machine) finishLocked(c *cell, how engine.Outcome) {
	if c.result != nil {
		return
	}
	r := &engine.CellResult{
		ID: c.code.ID, Outcome: how, Started: c.begun, Ended: time.Now(), Run: time.Since(c.begun),
		Sizes: map[engine.Stream]int64{}, Truncated: maps.Clone(c.script.Truncated),
	}
	switch {
	case how == engine.Cancelled:
		r.Error = &engine.CellError{Name: "KeyboardInterrupt", Traceback: []string{"KeyboardInterrupt"}}
		c.out[engine.Stderr] = append(c.out[engine.Stderr], traceback(r.Error)...)
	case how == engine.Succeeded && c.script.Error != nil:
		r.Outcome, r.Error = engine.Failed, c.script.Error
		c.out[engine.Stderr] = append(c.out[engine.Stderr], traceback(c.script.Error)...)
	}
	for s, b := range c.out {
		if over := int64(len(b)) - m.spec.MaxOutput; m.spec.MaxOutput > 0 && over > 0 {
			b = b[:m.spec.MaxOutput]
			c.out[s] = b
			if r.Truncated == nil {
				r.Truncated = map[engine.Stream]int64{}
			}
			r.Truncated[s] += over
		}
		r.Sizes[s] = int64(len(b))
	}
	c.result = r
	if m.status.Cell == c.code.ID {
		m.status.Cell, m.status.Tasks = "", engine.Tasks{}
	}
	close(c.settled)
}

func traceback(e *engine.CellError) []byte {
	var b []byte
	for _, l := range e.Traceback {
		b = append(append(b, l...), '\n')
	}
	return b
}

// interrupt plays the ladder on a cell.
func (m *machine) interrupt(c *cell) {
	if !c.script.Stubborn {
		after(c.script.InterruptTakes, func() { m.change(func() { m.finishLocked(c, engine.Cancelled) }) })
		return
	}
	after(Judged, func() {
		m.change(func() {
			if c.result == nil {
				m.status.Responsive, m.status.Note = false, "the interpreter does not react to an interrupt and will be killed"
			}
		})
	})
	after(Killed, func() {
		killed := false
		m.change(func() {
			killed = c.result == nil
			m.finishLocked(c, engine.Cancelled)
		})
		if killed {
			m.end(engine.Exit{Code: -1, Signal: 9, Process: "python", Tail: []string{"the interpreter was killed because it did not react to an interrupt"}})
		}
	})
}

// snapshotLocked copies the status for a watcher.
func (m *machine) snapshotLocked() engine.Status {
	s := m.status
	s.Executors = slices.Clone(s.Executors)
	return s
}
