package session

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"glaux/internal/engine"
)

// errNotDue says that there is nothing to change.
var errNotDue = errors.New("nothing to change")

// serving is one session while its driver is looked after. The goroutine that
// runs serve owns it.
type serving struct {
	m    *Manager
	e    *entry
	d    engine.Driver
	work context.Context // outlives the server's context for a bounded time
	s    Session         // the row as last read or written

	stopping bool               // Stop of the driver was called
	begun    time.Time          // when serveDriver did
	shows    engine.Status      // of the driver, as last seen; no phase: not yet
	shown    []engine.Executor  // as the driver last showed them and the row has them
	failure  *engine.StartError // why the driver did not become ready
	told     bool               // Ready has returned
	origin   engine.Origin      // where the driver came from
	queued   time.Duration      // until a budget was found
	launched time.Duration      // until the launcher had a driver
	fresh    bool               // it was launched here, not taken over
	stood    standing           // how long the state that judge is about has lasted
}

// exit is what Wait returned.
type exit struct {
	engine.Exit
	err error
}

// serve looks after one session until it is over and cleaned up, or ctx ends.
func (m *Manager) serve(ctx, work context.Context, e *entry) {
	log := m.cfg.Log.With("session", string(e.key))
	var s Session
	gone := false
	err := m.retry(ctx, "read session", func() (err error) {
		s, err = m.cfg.Store.Session(ctx, e.key)
		if errors.Is(err, ErrNotFound) {
			gone, err = true, nil
		}
		return err
	})
	if err != nil {
		return
	}
	if gone || s.State == Ended {
		m.vacate(e.key)
		close(e.ended)
		m.serveLeftover(ctx, e, s, gone)
		return
	}
	if s.State == Queued {
		v := &serving{m: m, e: e, work: work, s: s}
		if !v.serveQueued(ctx) {
			return
		}
		s = v.s
	}
	asked := time.Now()
	d, end, err := m.acquire(ctx, s, e)
	launched := time.Since(asked)
	switch {
	case errors.Is(err, engine.ErrStale):
		log.WarnContext(ctx, "a newer server owns the session, leaving it alone")
		return
	case err != nil:
		return // ctx ended
	case end != nil:
		e.err = engine.ErrGone
		close(e.known)
		sv := &serving{m: m, e: e, work: work, s: s}
		if sv.end(*end, engine.Exit{}) {
			m.abandon(ctx, e)
		}
		return
	}
	e.driver = d
	close(e.known)
	sv := &serving{m: m, e: e, d: d, work: work, s: s, origin: m.origin(s.Key), queued: max(0, s.Admitted.Sub(s.Created))}
	if s.State == Launching && len(s.Handle) == 0 {
		sv.launched, sv.fresh = launched, true
		if sv.origin.Tier != engine.Warm {
			m.ledger.launched(s.Key)
		}
	}
	if !sv.save(func(s *Session) error {
		s.Handle, s.ServerID, s.Epoch = d.Handle().Data, m.cfg.ServerID, m.cfg.Epoch
		s.RuntimeVersion = m.cfg.RuntimeVersion
		if s.State == Launching {
			s.Reason = waitingFor(sv.origin)
		}
		return nil
	}) {
		return
	}
	m.attend(sv.s, d)
	if sv.serveDriver(ctx) {
		m.cleanUp(ctx, e)
	}
}

// ending is how and why a session ends.
type ending struct {
	cause Cause
	why   string
}

// acquire returns the session's driver: the one that runs, or a new one. The
// ending is set when there is none and will be none; the error is
// engine.ErrStale or that of ctx.
func (m *Manager) acquire(ctx context.Context, s Session, e *entry) (engine.Driver, *ending, error) {
	if e.found != nil && e.found.Waits && !m.reap(ctx, e) {
		return nil, nil, ctx.Err()
	}
	h := engine.Handle{Key: s.Key, Data: s.Handle}
	if e.found != nil {
		h.Data = e.found.Data
	}
	if len(h.Data) == 0 && e.found == nil {
		if s.Desired == Ended {
			return nil, &ending{Asked, reasonAsked}, nil
		}
		return m.launch(ctx, s)
	}
	h.Epoch = m.cfg.Epoch
	giveUp := time.Now().Add(m.cfg.AdoptTimeout)
	for {
		d, err := m.cfg.Launcher.Adopt(ctx, h)
		switch {
		case err == nil:
			return d, nil, nil
		case errors.Is(err, engine.ErrStale), ctx.Err() != nil:
			return nil, nil, errors.Join(err, ctx.Err())
		case errors.Is(err, engine.ErrGone):
			return nil, &ending{Lost, "The session was lost: its driver no longer runs and left no record of its end."}, nil
		case time.Now().After(giveUp):
			return nil, &ending{Lost, fmt.Sprintf("The session was lost: its driver did not answer the server (%v).", err)}, nil
		}
		if err := pause(ctx, retryEvery); err != nil {
			return nil, nil, err
		}
	}
}

// reap ends a driver that still waits for the session whose key it has, because
// no pool of this server has it: the session gets another. False: ctx ended.
func (m *Manager) reap(ctx context.Context, e *entry) bool {
	return m.retry(ctx, "end a driver that waits", func() error {
		d, err := m.cfg.Launcher.Adopt(ctx, engine.Handle{Key: e.key, Epoch: m.cfg.Epoch})
		if err == nil {
			at, cancel := context.WithTimeout(ctx, m.cfg.StopGrace)
			defer cancel()
			if err = d.Stop(at); err == nil || errors.Is(err, engine.ErrGone) {
				err = d.Remove(ctx)
			}
		}
		if err == nil || errors.Is(err, engine.ErrGone) {
			e.found = nil
			return nil
		}
		return err
	}) == nil
}

func (m *Manager) launch(ctx context.Context, s Session) (engine.Driver, *ending, error) {
	if why := reserved(s.Properties); why != "" {
		return nil, &ending{FailedStart, why}, nil
	}
	if m.cfg.Assume != nil {
		if err := m.cfg.Assume(&s); err != nil {
			m.cfg.Log.WarnContext(ctx, "cannot assume the execution role of a session", "session", s.ID, "err", err)
			return nil, &ending{FailedStart, fmt.Sprintf("The session could not be started: its execution role %q cannot be assumed; give the %s a role of this account.", s.ExecutionRole, s.roleFrom())}, nil
		}
	}
	spec, err := m.spec(s)
	if err != nil {
		return nil, &ending{FailedStart, "The session could not be started: " + err.Error()}, nil
	}
	d, err := m.cfg.Launcher.Launch(ctx, spec)
	switch {
	case err == nil:
		return d, nil, nil
	case errors.Is(err, engine.ErrStale), ctx.Err() != nil:
		return nil, nil, errors.Join(err, ctx.Err())
	}
	if start, ok := errors.AsType[*engine.StartError](err); ok {
		return nil, &ending{FailedStart, reasonStart(start)}, nil
	}
	return nil, &ending{FailedStart, "The session could not be started: " + err.Error()}, nil
}

func (m *Manager) spec(s Session) (engine.Spec, error) {
	spec := engine.Spec{
		Key:        s.Key,
		Epoch:      m.cfg.Epoch,
		Properties: s.Properties,
		Region:     m.cfg.Home.Region,
		AgentToken: m.cfg.AgentToken(s.Key),
		Cores:      m.cfg.Cores,
		HeapMiB:    m.cfg.HeapMiB,
		MaxOutput:  m.cfg.MaxOutput,
		MaxLog:     m.cfg.MaxLog,
		Orphaned:   m.cfg.Orphaned,
		// What a session writes without saying where outlives it.
		Warehouse: strings.TrimSuffix(s.WorkingDir, "/"+s.ID),
		EventLog:  m.eventLog(s),
	}
	if s.Glue != nil {
		return spec, m.glueSpec(&s, &spec)
	}
	return spec, nil
}

// eventLog is the directory of a session's event log; empty: it keeps none.
func (m *Manager) eventLog(s Session) string {
	// Glue sessions always keep one, shown or not: a driver that waits does not
	// know yet whether it is to be.
	wanted := s.Glue != nil || s.Monitoring.EventLogs()
	if m.cfg.EventLogs == "" || !wanted {
		return ""
	}
	return filepath.Join(m.cfg.EventLogs, string(s.Key))
}

// serveDriver moves the session as its driver moves, until the driver is gone
// and that is recorded (true), or this server's part is over (false).
func (v *serving) serveDriver(ctx context.Context) bool {
	ctx, cancel := context.WithCancel(ctx)
	var children sync.WaitGroup
	defer children.Wait()
	defer cancel()

	status := make(chan engine.Status)
	ready := make(chan error, 1)
	exited := make(chan exit, 1)
	children.Go(func() { v.watch(ctx, status) })
	children.Go(func() { ready <- v.d.Ready(ctx) })
	children.Go(func() { exited <- v.wait(ctx) })

	start := time.NewTimer(v.m.cfg.StartTimeout)
	defer start.Stop()
	v.begun = time.Now()
	v.stood.begin(v.s, v.begun)
	check := time.NewTimer(v.due())
	defer check.Stop()
	stop := func() {
		if !v.stopping {
			v.stopping = true
			children.Go(func() { v.stop(ctx) })
		}
	}
	if v.s.Desired == Ended {
		stop()
	}
	for {
		select {
		case <-ctx.Done():
			return false
		case <-v.e.kick:
			if !v.read(ctx) {
				return false
			}
		case st := <-status:
			if !v.seen(st) {
				return false
			}
		case err := <-ready:
			v.told = true
			start.Stop()
			if !v.ready(ctx, err) {
				return false
			}
		case <-start.C:
			if !v.take(Stop, FailedStart, fmt.Sprintf("The session could not be started: its driver was not ready after %s.", v.m.cfg.StartTimeout)) {
				return false
			}
		case <-check.C:
			if !v.judge() {
				return false
			}
		case x := <-exited:
			if x.err != nil {
				return false
			}
			if !v.told {
				v.lastWord(ctx, ready)
			}
			by := v.verdict(x.Exit)
			v.m.flush(ctx, &v.s)
			return v.end(by, x.Exit)
		}
		if v.s.Desired == Ended || v.failure != nil {
			stop()
		}
		check.Reset(v.due())
	}
}

// watch hands on the driver's status until the driver is gone.
func (v *serving) watch(ctx context.Context, to chan<- engine.Status) {
	for {
		err := v.d.Watch(ctx, func(st engine.Status) {
			v.e.mu.Lock()
			v.e.status = st
			if st.Cell != "" {
				v.e.cell, v.e.tasks = st.Cell, st.Tasks
			}
			v.e.mu.Unlock()
			select {
			case to <- st:
			case <-ctx.Done():
			}
		})
		if err == nil || errors.Is(err, engine.ErrGone) || pause(ctx, retryEvery) != nil {
			return
		}
	}
}

// wait returns how the driver ended, or the error of ctx.
func (v *serving) wait(ctx context.Context) exit {
	for {
		x, err := v.d.Wait(ctx)
		switch {
		case err == nil:
			return exit{Exit: x}
		case errors.Is(err, engine.ErrGone):
			return exit{Exit: engine.Exit{Lost: true}}
		case errors.Is(err, engine.ErrStale):
			return exit{err: err}
		}
		if err := pause(ctx, retryEvery); err != nil {
			return exit{err: err}
		}
	}
}

// stop ends the driver: politely for StopGrace, then by force.
func (v *serving) stop(ctx context.Context) {
	for {
		grace, cancel := context.WithTimeout(ctx, v.m.cfg.StopGrace)
		err := v.d.Stop(grace)
		cancel()
		if err == nil || errors.Is(err, engine.ErrGone) || errors.Is(err, engine.ErrStale) || ctx.Err() != nil {
			return
		}
		v.m.cfg.Log.WarnContext(ctx, "cannot stop driver, trying again", "session", string(v.e.key), "err", err)
		if pause(ctx, retryEvery) != nil {
			return
		}
	}
}

// save writes the session, trying until that works or the work context ends.
// It returns false when this server is to leave the session alone.
func (v *serving) save(change func(*Session) error) bool {
	var stale bool
	err := v.m.retry(v.work, "write session", func() error {
		s, err := v.m.update(v.work, v.e.key, change)
		switch {
		case err == nil:
			v.s = s
			v.e.alive(&s)
		case errors.Is(err, errNotDue):
		case errors.Is(err, engine.ErrStale), errors.Is(err, ErrNotFound):
			stale = true
		default:
			if _, refused := errors.AsType[*TransitionError](err); !refused {
				return err
			}
		}
		return nil
	})
	return err == nil && !stale
}

// read takes the row anew.
func (v *serving) read(ctx context.Context) bool {
	return v.m.retry(ctx, "read session", func() error {
		s, err := v.m.cfg.Store.Session(ctx, v.e.key)
		if err == nil {
			v.s = s
		}
		return err
	}) == nil
}

// take moves the session by one event; one that its state refuses changes nothing.
func (v *serving) take(e Event, c Cause, why string) bool {
	return v.save(func(s *Session) error { return s.Move(e, time.Now(), c, why) })
}

// seen moves the session by what its driver shows.
func (v *serving) seen(st engine.Status) bool {
	v.shows = st
	if st.Phase == engine.Started && v.s.State == Launching && !v.take(Spawned, "", "") {
		return false
	}
	if !st.Responsive && (st.Phase == engine.Prepared) {
		if !v.take(Silent, "", st.Note) {
			return false
		}
	}
	if len(st.Executors) > 0 && !slices.EqualFunc(st.Executors, v.shown, sameExecutor) {
		if !v.save(func(s *Session) error {
			s.Executors = slices.Clone(st.Executors)
			return nil
		}) {
			return false
		}
		v.shown = st.Executors
	}
	if st.Responsive && v.s.State == Degraded && !v.save(func(s *Session) error {
		return s.Move(s.goesOn(), time.Now(), "", "")
	}) {
		return false
	}
	return v.operate(st)
}

// operate moves the session by the Connect operations that its driver shows.
func (v *serving) operate(st engine.Status) bool {
	if st.Phase != engine.Prepared || st.Operations == 0 && st.Operated.IsZero() && !v.s.Operating {
		return true
	}
	return v.save(func(s *Session) error {
		return s.Operate(st.Operations > 0, st.Operated, time.Now())
	})
}

func sameExecutor(a, b engine.Executor) bool {
	return a.ID == b.ID && a.Host == b.Host && a.Cores == b.Cores && a.Reason == b.Reason &&
		a.Added.Equal(b.Added) && a.Removed.Equal(b.Removed)
}

// ready moves the session once its driver can run code, or never will.
func (v *serving) ready(ctx context.Context, err error) bool {
	switch start, failed := errors.AsType[*engine.StartError](err); {
	case err == nil:
		if v.m.ledger.grown(v.e.key) {
			poke(v.m.look)
		}
		first := v.s.State == Launching || v.s.State == Started
		if !v.take(Ready, "", "") {
			return false
		}
		if first && v.fresh && v.s.State == Idle {
			v.started(ctx)
		}
		return v.operate(v.shows)
	case ctx.Err() != nil:
		return false
	case v.s.State != Launching && v.s.State != Started:
		// It was ready before, or is to end: how it ended says more.
	case failed:
		v.failure = start
	default:
		v.failure = &engine.StartError{Cause: err.Error()}
	}
	return true
}

// lastWord waits a moment for Ready to say why a driver that is gone did not start.
func (v *serving) lastWord(ctx context.Context, ready <-chan error) {
	moment := time.NewTimer(time.Second)
	defer moment.Stop()
	select {
	case err := <-ready:
		v.ready(ctx, err)
	case <-moment.C:
	case <-ctx.Done():
	}
}

// end records the end, trying until that works, and reports whether it is recorded.
func (v *serving) end(by ending, x engine.Exit) bool {
	if !v.save(func(s *Session) error {
		at := time.Now()
		if !x.Ended.IsZero() && x.Ended.Before(at) && x.Ended.After(s.Created) {
			at = x.Ended
		}
		if err := s.Move(Exited, at, by.cause, by.why); err != nil {
			return err
		}
		if s.Lived = x.Lived; s.Lived == 0 { // nobody is left who measured it
			s.Lived = v.e.lived()
		}
		for i := range s.Executors {
			if s.Executors[i].Removed.IsZero() {
				s.Executors[i].Removed = s.EndedAt
			}
		}
		return nil
	}) {
		return false
	}
	v.m.vacate(v.e.key)
	v.m.cfg.Log.InfoContext(v.work, "session ended", "session", string(v.e.key), "cause", string(v.s.Cause), "reason", v.s.Reason)
	close(v.e.ended)
	return true
}

// serveLeftover ends and removes a driver whose session has ended or does not
// exist, once nothing needs its records any more.
func (m *Manager) serveLeftover(ctx context.Context, e *entry, s Session, orphan bool) {
	h := engine.Handle{Key: e.key, Epoch: m.cfg.Epoch}
	if e.found != nil {
		h.Data = e.found.Data
	}
	d, err := m.cfg.Launcher.Adopt(ctx, h)
	if err != nil {
		e.err = engine.ErrGone
		close(e.known)
		if errors.Is(err, engine.ErrStale) {
			m.cfg.Log.WarnContext(ctx, "a newer server owns a driver without a live session, leaving it alone", "driver", string(e.key))
			m.forget(ctx, e)
			return
		}
		m.abandon(ctx, e)
		return
	}
	e.driver = d
	close(e.known)
	m.cfg.Log.WarnContext(ctx, "ending a driver without a live session", "driver", string(e.key), "orphan", orphan)
	if !orphan {
		m.attend(s, d)
	}
	v := &serving{m: m, e: e, d: d}
	v.stop(ctx)
	m.cleanUp(ctx, e)
}

// abandon ends what may still run of a driver that was given up, because it is
// gone or answers nobody, and removes what it left behind.
func (m *Manager) abandon(ctx context.Context, e *entry) {
	if k, ok := m.cfg.Launcher.(engine.Killer); ok {
		if m.retry(ctx, "end a driver that does not answer", func() error { return k.Kill(ctx, e.key) }) != nil {
			return // ctx ended; the next server goes on
		}
	}
	d, err := m.cfg.Launcher.Adopt(ctx, engine.Handle{Key: e.key, Epoch: m.cfg.Epoch})
	if err != nil { // nothing is left, as a rule
		if !errors.Is(err, engine.ErrGone) && ctx.Err() == nil {
			m.cfg.Log.WarnContext(ctx, "cannot remove what a driver left behind", "session", string(e.key), "err", err)
		}
		m.forget(ctx, e)
		return
	}
	e.driver = d
	m.cleanUp(ctx, e)
}

// cleanUp removes what a driver that is gone left behind, once its
// calculations have what they need.
func (m *Manager) cleanUp(ctx context.Context, e *entry) {
	for _, w := range m.work {
		if err := w.Settle(ctx, e.key); err != nil {
			return // ctx ended; the next server goes on
		}
	}
	if err := e.driver.Remove(ctx); err != nil && ctx.Err() == nil {
		m.cfg.Log.WarnContext(ctx, "cannot remove what a driver left behind", "session", string(e.key), "err", err)
	}
	m.forget(ctx, e)
}
