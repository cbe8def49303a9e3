package supervise

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"glaux/internal/shim"
)

// cell is one block of code that runs or ran. Supervisor.mu guards it, but for
// the spools, which guard themselves.
type cell struct {
	id     string
	dir    string
	spools map[string]*Spool
	begun  time.Time
	asked  bool // to be interrupted
	killed bool // with the interpreter
	ending bool // somebody is writing its record
	record *shim.Record
	ended  chan struct{} // closed with record
}

// runCell starts a cell; the code of the result is empty when it was taken.
func (s *Supervisor) runCell(id, code string) (shim.Code, string) {
	if !shim.ValidCell(id) {
		return shim.Bad, fmt.Sprintf("%q cannot name a cell", id)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.cells[id] != nil:
		return "", "" // taken before
	case s.exit != nil:
		return shim.Gone, "the driver ends"
	case s.status.Phase != shim.PhasePrepared:
		return shim.NotPrepared, ""
	case s.running != nil:
		return shim.Busy, s.running.id
	}
	c := &cell{id: id, dir: filepath.Join(s.spec.Dir, shim.CellsDir, id), begun: time.Now(), ended: make(chan struct{}), spools: map[string]*Spool{}}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return shim.Failed, err.Error()
	}
	for _, name := range []string{shim.Stdout, shim.Stderr, shim.Displays} {
		c.spools[name] = NewSpool(filepath.Join(c.dir, name), s.spec.MaxOutput)
	}
	s.routeLocked(c)
	if !s.python.send(frame{"op": "run", "id": id, "code": code}) {
		s.routeLocked(nil)
		return shim.Failed, "the interpreter takes no messages"
	}
	s.cells[id], s.running = c, c
	s.status.Cell, s.status.TasksDone, s.status.TasksTotal = id, 0, 0
	s.tellLocked()
	return "", ""
}

// scala is the language of sessions whose cells run in the JVM.
const scala = "scala"

// pumps are those of what cells write, by stream. Spark's own log is on the
// JVM's standard error and is no part of a cell.
func (s *Supervisor) pumps() map[*pump]string {
	all := map[*pump]string{s.python.out: shim.Stdout, s.python.err: shim.Stderr}
	if s.spec.Language == scala && s.jvm != nil {
		all[s.jvm.out] = shim.Stdout
	}
	return all
}

// routeLocked gives what is written from now on to a cell; nil: to the log.
func (s *Supervisor) routeLocked(c *cell) {
	for p, stream := range s.pumps() {
		if c == nil {
			p.route(nil)
			continue
		}
		p.route(&tee{spool: c.spools[stream], log: p.log, left: teeLimit, cell: c.id})
	}
}

// sync returns once all that was written has been taken.
func (s *Supervisor) sync() {
	for p := range s.pumps() {
		p.sync()
	}
}

// endWithin bounds the wait for a JVM that is on its way out.
const endWithin = 5 * time.Second

// jvmEnds says whether the JVM has ended or is about to, and waits until it has.
func (s *Supervisor) jvmEnds() bool {
	s.mu.Lock()
	ch := s.jvm.process()
	s.mu.Unlock()
	if ch == nil {
		return false
	}
	select {
	case <-ch.done:
		return true
	default:
	}
	if !exiting(ch.pid) {
		return false
	}
	timer := time.NewTimer(endWithin)
	defer timer.Stop()
	select {
	case <-ch.done:
		return true
	case <-timer.C:
		return false
	}
}

// done handles the runner's word that a cell has ended.
func (s *Supervisor) done(p *python, e *event) {
	if !e.OK && !e.Interrupted && s.jvmEnds() {
		return // it saw its gateway break: the cell is lost with the JVM, whose end says why
	}
	s.mu.Lock()
	c := s.running
	if c == nil || c.id != e.ID || c.ending {
		s.mu.Unlock()
		return
	}
	c.ending = true
	s.mu.Unlock()
	p.heard()
	r := &shim.Record{Outcome: shim.Succeeded}
	if !e.OK {
		r.Outcome, r.Error = shim.Raised, &shim.CellError{}
		_ = json.Unmarshal(e.Error, r.Error) // what is missing stays empty
		if e.Interrupted {
			r.Outcome = shim.Cancelled
		}
	}
	s.sync()
	s.settle(c, r)
}

// lose ends the running cell of a driver that has ended or is about to.
func (s *Supervisor) lose() {
	s.mu.Lock()
	c := s.running
	if c == nil || c.ending {
		s.mu.Unlock()
		return
	}
	c.ending = true
	r := &shim.Record{Outcome: shim.Lost}
	if c.killed {
		r.Outcome = shim.Cancelled
	}
	s.mu.Unlock()
	s.sync()
	s.settle(c, r)
}

// settle stamps the cell's end, writes its record and lets the next one run.
func (s *Supervisor) settle(c *cell, r *shim.Record) {
	now := time.Now()
	s.mu.Lock()
	s.routeLocked(nil)
	s.mu.Unlock()
	logs := s.python.logs[:]
	if s.spec.Language == scala && s.jvm != nil {
		logs = append(logs[:len(logs):len(logs)], s.jvm.logs[0])
	}
	for _, l := range logs {
		l.Close() // what the next cell writes is another line
	}
	r.ID, r.Started, r.Ended, r.Run = c.id, c.begun.UnixMilli(), now.UnixMilli(), now.Sub(c.begun)
	r.Sizes, r.Truncated = map[string]int64{}, map[string]int64{}
	for name, sp := range c.spools {
		size, dropped := sp.Close(name != shim.Displays)
		r.Sizes[name] = size
		if dropped > 0 {
			r.Truncated[name] = dropped
		}
	}
	if err := writeJSON(filepath.Join(c.dir, shim.RecordFile), r, true); err != nil {
		s.log.Error("cannot write a cell's record", "cell", c.id, "error", err)
	}
	s.change(func() {
		c.record = r
		close(c.ended)
		s.worked, s.rested = now, false
		if s.running == c {
			s.running = nil
			s.status.Cell, s.status.TasksDone, s.status.TasksTotal = "", 0, 0
			if s.exit == nil && s.status.Note == judgedNote {
				s.status.Responsive, s.status.Note = true, ""
			}
		}
	})
}

const judgedNote = "the interpreter does not react to an interrupt and will be killed"

// interrupt asks for the end of a cell and sets the ladder up, once.
func (s *Supervisor) interrupt(id string) shim.Code {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.cells[id]
	switch {
	case c == nil:
		return shim.NoCell
	case c.record != nil || c.asked || s.exit != nil:
		return ""
	}
	c.asked = true
	p, j := s.python, s.jvm
	p.send(frame{"op": "interrupt", "id": id})
	s.wg.Go(func() { s.serveInterrupt(c, p, j) })
	return ""
}

// serveInterrupt climbs the ladder until the cell has ended.
func (s *Supervisor) serveInterrupt(c *cell, p *python, j *jvm) {
	j.command(frame{"op": "cancel", "group": c.id})
	judged, killed := time.NewTimer(judgedAfter), time.NewTimer(killedAfter)
	defer judged.Stop()
	defer killed.Stop()
	for {
		select {
		case <-c.ended:
			return
		case <-s.ending:
			return
		case <-judged.C:
			s.log.Warn("a cell does not react to an interrupt", "cell", c.id)
			s.change(func() { s.status.Responsive, s.status.Note = false, judgedNote })
			p.child.signal(syscall.SIGINT)
		case <-killed.C:
			s.mu.Lock()
			c.killed = c.record == nil && !c.ending
			kill := c.killed
			s.mu.Unlock()
			if kill {
				s.log.Warn("the interpreter is killed", "cell", c.id)
				p.child.signal(syscall.SIGKILL)
			}
			return
		}
	}
}

// discard drops an ended cell.
func (s *Supervisor) discard(id string) shim.Code {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.cells[id]
	if c == nil {
		return ""
	}
	if c.record == nil {
		return shim.Busy
	}
	delete(s.cells, id)
	if err := os.RemoveAll(c.dir); err != nil {
		s.log.Error("cannot discard a cell", "cell", id, "error", err)
	}
	return ""
}
