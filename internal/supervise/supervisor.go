package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"glaux/internal/sandbox"
	"glaux/internal/shim"
)

// The supervisor's patience.
const (
	politeGrace = 10 * time.Second       // a driver that was asked to stop
	crashGrace  = 600 * time.Millisecond // the other process, once one has died
	termGrace   = 2 * time.Second        // between SIGTERM and SIGKILL
	judgedAfter = 2 * time.Second        // from an interrupt to the first signal
	killedAfter = 5 * time.Second        // from an interrupt to killing the interpreter
	pingEvery   = 2 * time.Second
	restAfter   = 10 * time.Second // without work; then the JVM gives memory back
	failGrace   = 2 * time.Second  // from a failed start to ending what does not end by itself
)

// mostMissed is how many pings in turn may be due while the answer to one is
// owed; then the interpreter counts as not responsive.
const mostMissed = 4

// Supervisor runs one session.
type Supervisor struct {
	spec shim.Spec
	log  *slog.Logger
	kids *children
	ooms uint64 // kernel's count of memory kills when we began

	group *sandbox.Group // of JVM and Python; nil: they have none

	logs   map[string]*Journal // the driver's streams, by name
	entry  *os.File            // keeps the Python packages of the session in their cache; nil: it has none
	jvm    *jvm
	python *python
	wg     sync.WaitGroup // everything Run waits for

	claimed chan struct{} // closed once a session has claimed a driver that waited

	mu       sync.Mutex // guards what follows, and what a claim changes of spec
	born     time.Time  // when the session had the driver: now, or when it claimed it
	claim    *claiming  // nil until there is one
	waiting  [2]bool    // JVM, Python: has come as far as it does before a claim
	refused  string     // why the JVM or Python cannot take the claim
	gateway  event      // where Python attaches to the JVM
	changed  chan struct{}
	epoch    uint64
	status   shim.Status
	cells    map[string]*cell
	running  *cell
	servers  int       // connections of servers
	idle     time.Time // since when there is none
	cause    string    // why the start failed, as the JVM says
	exit     *shim.Exit
	ending   chan struct{}             // closed once the driver is to end
	grace    time.Duration             // how politely
	force    chan struct{}             // closed once it is to end at once
	gone     bool                      // exit is on disk
	ready    [2]bool                   // JVM ready, Python attached
	worked   time.Time                 // when work was last seen
	rested   bool                      // the JVM has been told to rest since then
	served   bool                      // the JVM serves Spark Connect, or never will
	unserved string                    // why it never will
	asking   map[int64]chan<- uiAnswer // who waits for the JVM's UI, by number
	lastAsk  int64                     // the last number
}

// Run runs a session until its driver is gone, and writes why into the exit
// file. It takes over the listeners. When ctx ends, the driver is asked to
// stop. The error says why there is no record of an end.
func Run(ctx context.Context, spec shim.Spec, address, socket net.Listener, log *slog.Logger) error {
	if err := adoptOrphans(); err != nil {
		return err
	}
	now := time.Now()
	s := &Supervisor{
		spec: spec, log: log, kids: newChildren(), born: now, ooms: oomKills(), claimed: make(chan struct{}), group: (*sandbox.Group)(spec.Group),
		changed: make(chan struct{}), epoch: spec.Epoch, cells: map[string]*cell{}, idle: now,
		status: shim.Status{Phase: shim.PhaseStarted, Responsive: true},
		ending: make(chan struct{}), force: make(chan struct{}), logs: map[string]*Journal{},
	}
	for _, name := range []string{shim.Stdout, shim.Stderr} {
		s.logs[name] = NewJournal(filepath.Join(spec.Dir, shim.LogsDir), name, spec.MaxLog)
	}
	return s.run(ctx, address, socket)
}

func (s *Supervisor) run(ctx context.Context, address, socket net.Listener) error {
	// Reaping, the address and the protocol last until the record of the end
	// is written, so they do not stop with ctx.
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	reaper, stopReaping := context.WithCancel(context.WithoutCancel(ctx))
	var reaping sync.WaitGroup
	reaping.Go(func() { s.kids.Run(reaper) })
	var serving sync.WaitGroup
	serving.Go(func() { s.serve(inner, socket) })
	serving.Go(func() { newRelay(s.spec.Agent).serve(inner, address) })
	var watching sync.WaitGroup
	watch, stopWatching := context.WithCancel(inner)
	watching.Go(func() { s.tick(watch) })

	if s.spec.Wait != "" {
		s.giveWay(true)
	} else {
		s.note()
	}
	if s.prepare(ctx) {
		s.start()
	}
	select {
	case <-s.ending:
	case <-ctx.Done():
		s.end(shim.Exit{Asked: true, Cause: "the shim was told to end"}, politeGrace)
	}
	s.teardown()
	stopWatching()
	watching.Wait()
	err := s.finish()
	stop()
	serving.Wait()
	stopReaping()
	reaping.Wait()
	s.wg.Wait()
	return err
}

// note writes what the session's people are to know at its start.
func (s *Supervisor) note() {
	to := s.logsOf(shim.FromShim)[1]
	for _, line := range s.spec.Notes {
		_, _ = to.Write([]byte(line + "\n")) // journals never fail
	}
	to.Close()
}

// start starts both processes at once; a failure ends the driver.
func (s *Supervisor) start() {
	j, jerr := startJVM(s)
	p, perr := startPython(s)
	s.mu.Lock()
	s.jvm, s.python = j, p
	s.mu.Unlock()
	if err := errors.Join(jerr, perr); err != nil {
		s.log.Error("cannot start the driver", "error", err)
		s.end(shim.Exit{Code: 1, Process: "shim", Cause: err.Error()}, 0)
	}
	s.saveState()
	if j != nil {
		s.wg.Go(func() { s.serveJVM(j) })
	}
	if p != nil {
		s.wg.Go(func() { s.servePython(p) })
	}
}

// saveState writes the stamps, by which a later server finds the processes.
func (s *Supervisor) saveState() {
	var st State
	st.Shim, _ = StampOf(os.Getpid())
	if s.jvm != nil {
		st.JVM = s.jvm.child.stamp
	}
	if s.python != nil {
		st.Python = s.python.child.stamp
	}
	s.mu.Lock()
	st.Waits = s.waitsLocked()
	s.mu.Unlock()
	if err := writeJSON(filepath.Join(s.spec.Dir, shim.StateFile), st, false); err != nil {
		s.log.Error("cannot write state", "error", err)
	}
}

// end begins the end of the driver, once; the first reason is kept.
func (s *Supervisor) end(e shim.Exit, grace time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.exit != nil {
		return
	}
	e.Ready = s.status.Phase == shim.PhasePrepared
	if !e.Ready && s.cause != "" {
		e.Cause = s.cause
	}
	s.exit, s.grace = &e, grace
	s.log.Info("driver ends", "asked", e.Asked, "orphan", e.Orphan, "process", e.Process, "code", e.Code, "signal", e.Signal, "cause", e.Cause)
	if !e.Asked && !e.Orphan && e.Ready {
		s.status.Responsive, s.status.Note = false, e.Cause
	}
	s.tellLocked()
	close(s.ending)
}

// asked is end for a server's stop request; force kills at once.
func (s *Supervisor) asked(force bool) {
	s.end(shim.Exit{Asked: true}, politeGrace)
	if !force {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.force:
	default:
		close(s.force)
	}
}

// teardown ends both processes and everything below them.
func (s *Supervisor) teardown() {
	s.mu.Lock()
	j, p, grace, running := s.jvm, s.python, s.grace, s.running
	s.mu.Unlock()
	if running != nil && p != nil && grace == politeGrace {
		p.send(frame{"op": "interrupt", "id": running.id})
	}
	if p != nil {
		p.send(frame{"op": "exit"})
	}
	if j != nil {
		j.stop()
	}
	wait := func(d time.Duration) bool {
		timer := time.NewTimer(d)
		defer timer.Stop()
		for _, ch := range []*child{j.process(), p.process()} {
			if ch == nil {
				continue
			}
			select {
			case <-ch.done:
			case <-timer.C:
				return false
			case <-s.force:
				return false
			}
		}
		return true
	}
	if !wait(grace) {
		j.process().signal(syscall.SIGTERM)
		p.process().signal(syscall.SIGTERM)
		if grace < politeGrace || !wait(termGrace) {
			j.process().signal(syscall.SIGKILL)
			p.process().signal(syscall.SIGKILL)
		}
	}
	killDescendants(3 * time.Second)
	for _, ch := range []*child{j.process(), p.process()} {
		if ch != nil {
			<-ch.done
		}
	}
	if j != nil {
		j.close()
	}
	if p != nil {
		p.close()
	}
	s.wg.Wait() // what they wrote has been taken
	if err := s.group.Remove(time.Second); err != nil {
		s.log.Warn("a control group is left", "error", err)
	}
	s.lose()
	for _, j := range s.logs {
		j.Close()
	}
}

// logsOf are the writers of one process to the driver's stdout and stderr.
func (s *Supervisor) logsOf(process byte) [2]*journalWriter {
	return [2]*journalWriter{{j: s.logs[shim.Stdout], from: process}, {j: s.logs[shim.Stderr], from: process}}
}

// finish writes the record of the end and tells everybody.
func (s *Supervisor) finish() error {
	now := time.Now()
	s.mu.Lock()
	e, born := *s.exit, s.born
	s.mu.Unlock()
	e.Started, e.Ended, e.Lived = born.UnixMilli(), now.UnixMilli(), now.Sub(born)
	err := writeJSON(filepath.Join(s.spec.Dir, shim.ExitFile), e, true)
	if err != nil {
		err = fmt.Errorf("cannot record the driver's end: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
	s.status.Phase = shim.PhaseGone
	s.status.Cell, s.status.TasksDone, s.status.TasksTotal, s.status.Operations = "", 0, 0, 0
	s.status.Executors = slices.Clone(s.status.Executors) // snapshots share the old one
	for i := range s.status.Executors {
		if x := &s.status.Executors[i]; x.Removed == 0 {
			x.Removed, x.Reason = e.Ended, "the driver ended"
		}
	}
	s.tellLocked()
	return err
}

// childEnded is called when the JVM or Python has been reaped.
func (s *Supervisor) childEnded(ch *child, tail []string) {
	code, sig := ch.result()
	e := shim.Exit{Process: ch.name, Code: code, Signal: sig, Tail: tail}
	killed := sig == int(syscall.SIGKILL) && !ch.shot
	e.Memory = ch.name == "java" && code == outOfMemory || killed && oomKills() > s.ooms
	if killed && s.group.Kills() > 0 {
		e.Memory, e.Limit = true, s.group.MiB
	}
	switch {
	case e.Limit > 0:
		e.Cause = fmt.Sprintf("%s ran out of memory: the session has %d MiB for its JVM and Python together", ch.name, e.Limit)
	case e.Memory:
		e.Cause = ch.name + " ran out of memory"
	case sig != 0:
		e.Cause = fmt.Sprintf("%s was ended by signal %d (%s)", ch.name, sig, syscall.Signal(sig))
	default:
		e.Cause = fmt.Sprintf("%s ended with status %d", ch.name, code)
	}
	s.mu.Lock()
	if c := s.running; c != nil && c.killed && ch.name == "python" {
		e.Cause = "the interpreter was killed because it did not react to an interrupt"
		e.Tail = append(slices.Clone(tail), e.Cause)
	}
	s.mu.Unlock()
	s.lose()
	s.end(e, crashGrace)
}

// outOfMemory is the JVM's exit status after -XX:+ExitOnOutOfMemoryError.
const outOfMemory = 3

// change runs f with the lock held and tells everyone who watches.
func (s *Supervisor) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	s.tellLocked()
}

func (s *Supervisor) tellLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// isReady notes that one half is ready: 0 the JVM, 1 Python.
func (s *Supervisor) isReady(half int) {
	s.change(func() {
		s.ready[half] = true
		if half == 1 {
			s.status.Attached = time.Since(s.born).Milliseconds()
		}
		if s.waitsLocked() {
			return
		}
		if s.ready == [2]bool{true, true} && s.status.Phase == shim.PhaseStarted {
			s.status.Phase, s.worked = shim.PhasePrepared, time.Now()
			s.log.Info("driver is ready", "after", time.Since(s.born))
		}
	})
}

// failStart notes why the start failed and, if nothing ends by itself, ends it.
func (s *Supervisor) failStart(cause string, weak bool) {
	s.mu.Lock()
	if s.cause == "" || !weak {
		s.cause = cause
	}
	s.mu.Unlock()
	s.wg.Go(func() {
		select {
		case <-s.ending:
		case <-time.After(failGrace):
			s.end(shim.Exit{Code: 1, Process: "shim", Cause: cause}, crashGrace)
		}
	})
}

// tick looks after what has no event of its own: pings, rest, the owner's
// absence, and a session directory that somebody has removed.
func (s *Supervisor) tick(ctx context.Context) {
	t := time.NewTicker(pingEvery)
	defer t.Stop()
	s.mu.Lock()
	orphan := time.NewTimer(max(s.spec.Orphaned, time.Millisecond))
	s.mu.Unlock()
	defer orphan.Stop()
	claimed := s.claimed
	was, _ := os.Stat(s.spec.Dir)
	var outgrown uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-orphan.C:
			orphan.Reset(s.orphaned())
		case <-claimed: // the session's patience is another
			claimed = nil
			orphan.Reset(max(s.orphaned(), time.Millisecond))
		case <-t.C:
			if now, err := os.Stat(s.spec.Dir); err != nil || !os.SameFile(was, now) {
				s.end(shim.Exit{Orphan: true, Cause: "the session's directory is gone"}, crashGrace)
			}
			if p := s.runner(); p != nil {
				s.judge(p.ping())
			}
			s.rest()
			outgrown = s.outgrown(outgrown)
		}
	}
}

// orphaned ends the driver if no server was there for too long, and returns
// when to look again.
func (s *Supervisor) orphaned() time.Duration {
	s.mu.Lock()
	away, here, most := time.Since(s.idle), s.servers > 0, s.spec.Orphaned
	s.mu.Unlock()
	switch {
	case most <= 0:
		return time.Hour
	case here:
		return min(most, 5*time.Second)
	case away >= most:
		s.end(shim.Exit{Orphan: true, Cause: fmt.Sprintf("no server came back within %v", most)}, politeGrace)
		return time.Hour
	}
	return most - away
}

// judge notes whether the interpreter answers pings. While a cell runs it may
// well not: code that holds the interpreter's lock is at work, and a stop that
// it does not heed is judged by serveInterrupt.
func (s *Supervisor) judge(missed int) {
	const note = "the interpreter does not answer"
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.status.Phase != shim.PhasePrepared && s.status.Phase != shim.PhaseWaiting || s.exit != nil || s.running != nil:
	case missed >= mostMissed && s.status.Responsive:
		s.status.Responsive, s.status.Note = false, note
		s.tellLocked()
	case missed < mostMissed && s.status.Note == note:
		s.status.Responsive, s.status.Note = true, ""
		s.tellLocked()
	}
}

// rest tells the JVM once that nothing has run for a while.
func (s *Supervisor) rest() {
	s.mu.Lock()
	j := s.jvm
	if s.running != nil || s.status.Operations > 0 {
		s.worked, s.rested = time.Now(), false
	}
	due := (s.status.Phase == shim.PhasePrepared || s.status.Phase == shim.PhaseWaiting) && s.exit == nil && !s.rested && time.Since(s.worked) >= restAfter
	if due {
		s.rested = true
	}
	s.mu.Unlock()
	if due {
		j.command(frame{"op": "rest"})
	}
}

// writeJSON replaces a file atomically; it survives a crash of the machine
// when sync is set.
func writeJSON(path string, v any, sync bool) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil && sync {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
