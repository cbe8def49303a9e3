package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"glaux/internal/engine"
	"glaux/internal/fault"
	"glaux/internal/ident"
	"glaux/internal/machine"
)

// QueueMeter counts what the queue did.
type QueueMeter interface {
	// Waited is told of each session that leaves the queue: after how long, and
	// whether it has its place now.
	Waited(d time.Duration, admitted bool)
	// Refused is told of each session that was refused, and by what.
	Refused(by string)
}

// create writes a session that has asked the budgets: it starts, with a driver
// that is ready for it if there is one, or it waits, or is refused with a fault.
func (m *Manager) create(ctx context.Context, made func(key string) Creation) (Session, bool, error) {
	if err := m.loadLedger(ctx); err != nil {
		return Session{}, false, err
	}
	n, reserved := m.reserve(made)
	by := m.admit(&n, reserved)
	if reserved && n.Session.State == Queued { // no driver waits with it, so it takes nobody's key
		m.ledger.undo(n.Session.Key)
		m.release(n.Session.Key)
		n, reserved = made(ident.NewID()), false
		by = m.admit(&n, false)
	}
	s, created, err := m.cfg.Store.CreateSession(ctx, n)
	if !created {
		m.ledger.undo(n.Session.Key)
		poke(m.look)
		if reserved && (err == nil || refused(err)) { // otherwise there may be a session all the same
			m.release(n.Session.Key)
		}
	}
	if by != "" && errors.Is(err, n.Refused) && m.cfg.QueueMeter != nil {
		m.cfg.QueueMeter.Refused(by)
	}
	return s, created, err
}

// admit asks for a place and notes in n what came of it. It returns what refused
// the session; empty: nothing. warm: its driver runs already.
func (m *Manager) admit(n *Creation, warm bool) (by string) {
	s := &n.Session
	wants := m.cfg.Budgets.needOf(s)
	wants.warm = warm
	if n.Refused = m.cfg.Budgets.never(wants, s.Glue != nil); n.Refused != nil {
		return "size"
	}
	v := m.ledger.ask(wants, m.memory(), time.Now())
	switch {
	case v.refused != nil:
		n.Refused, by = v.refused, v.by
	case v.waits != nil:
		s.State = Queued
		s.Reason = m.waiting(s)
		poke(m.look)
	default:
		s.Admitted = s.Created
	}
	return by
}

// isRefusal says whether an error of create is for the caller as it is.
func isRefusal(err error) bool {
	_, ok := errors.AsType[*fault.Error](err)
	return ok
}

// loadLedger takes in the sessions that there are, before anything is decided.
func (m *Manager) loadLedger(ctx context.Context) error {
	if m.ledger.isLoaded() {
		return nil
	}
	all, err := m.cfg.Store.Sessions(ctx, Query{States: live()})
	if err != nil {
		return err
	}
	m.ledger.load(all, time.Now())
	return nil
}

// memory is what there is now; nil: nobody asks.
func (m *Manager) memory() *machine.Memory {
	if m.cfg.Memory == nil {
		return nil
	}
	now := m.cfg.Memory()
	return &now
}

// vacate gives back the place of a session that is over.
func (m *Manager) vacate(key Key) {
	m.ledger.leave(key)
	poke(m.look)
}

// waiting is for people why a session waits; empty: it does not.
func (m *Manager) waiting(s *Session) string {
	w, ok := m.ledger.waits(s.Key)
	if !ok {
		return ""
	}
	return fmt.Sprintf("The session waits to be started: %s. It is number %d of %d in the queue, and waits until %s at most.",
		w.what, w.rank, w.of, s.Created.Add(m.patience(s)).UTC().Format("15:04:05 MST"))
}

// shown is s as callers see it: one that waits says where it stands now.
func (m *Manager) shown(s Session) Session {
	if s.State == Queued {
		if why := m.waiting(&s); why != "" {
			s.Reason = why
		}
	}
	return s
}

// patience is how long a session waits at most. Its idle timeout counts from
// the beginning, because nobody uses it.
func (m *Manager) patience(s *Session) time.Duration {
	most := m.cfg.Budgets.maxWait(s.Workgroup)
	if s.IdleTimeout > 0 {
		most = min(most, s.IdleTimeout)
	}
	if s.Glue != nil && s.Glue.Timeout > 0 {
		most = min(most, s.Glue.Timeout)
	}
	return most
}

// Recheck looks whether sessions that wait can start: for whoever has given
// memory back. It returns at once.
func (m *Manager) Recheck() { poke(m.look) }

// Queue returns what metrics show of budgets and of the queue.
func (m *Manager) Queue() QueueStats { return m.ledger.stats() }

// serveQueue gives places to sessions that wait whenever there may be one, until
// ctx ends.
func (m *Manager) serveQueue(ctx context.Context) {
	timer := time.NewTimer(lookEvery)
	defer timer.Stop()
	var reclaimed time.Time
	for {
		var due <-chan time.Time
		if m.ledger.anyone() {
			now := time.Now()
			again, memory := m.ledger.look(m.memory(), now)
			if memory && m.cfg.Reclaim != nil && now.Sub(reclaimed) >= lookEvery {
				if reclaimed = now; m.cfg.Reclaim() {
					continue
				}
			}
			if again > 0 {
				timer.Reset(again)
				due = timer.C
			}
		}
		select {
		case <-m.look:
		case <-due:
		case <-ctx.Done():
			return
		}
	}
}

// serveQueued looks after a session while it waits, and returns true once it
// has its place and is about to be launched; false: it is over, or ctx ended.
func (v *serving) serveQueued(ctx context.Context) bool {
	admitted := v.m.ledger.join(v.m.cfg.Budgets.needOf(&v.s))
	poke(v.m.look)
	waited := max(0, time.Since(v.s.Created)) // before this server looked; from here on the clock may be set
	begun := time.Now()
	give := time.NewTimer(v.m.patience(&v.s) - waited)
	defer give.Stop()
	for v.s.State == Queued {
		select {
		case <-admitted:
			if !v.take(Admitted, "", "") || v.s.State == Queued && !v.read(ctx) {
				return false
			}
		case <-give.C:
			w, _ := v.m.ledger.waits(v.e.key)
			if v.m.ledger.withdraw(v.e.key) && !v.giveUp(w.what) {
				return false
			}
		case <-v.e.kick:
			if !v.read(ctx) {
				return false
			}
		case <-ctx.Done():
			return false
		}
	}
	if !v.left(waited + time.Since(begun)) {
		return true
	}
	v.m.forget(ctx, v.e)
	return false
}

// left notes that the session is in the queue no longer, and returns true when
// it is over.
func (v *serving) left(waited time.Duration) bool {
	over := v.s.State == Ended
	if q := v.m.cfg.QueueMeter; q != nil {
		q.Waited(waited, !over)
	}
	if over {
		v.m.cfg.Log.InfoContext(v.work, "session ended in the queue", "session", string(v.e.key), "cause", string(v.s.Cause), "reason", v.s.Reason)
		v.m.vacate(v.e.key)
		v.e.err = engine.ErrGone
		close(v.e.known)
		close(v.e.ended)
	}
	return over
}

// giveUp ends a session that has waited for what as long as it may.
func (v *serving) giveUp(what string) bool {
	if what == "" { // nobody has decided yet
		what = "no place was found for it"
	}
	s, most := &v.s, v.m.patience(&v.s)
	switch {
	case most == v.m.cfg.Budgets.maxWait(s.Workgroup):
		return v.take(Exited, FailedStart, fmt.Sprintf("The session could not be started: it waited for %s, and still %s.", minutes(most), what))
	case s.Glue != nil && most == s.Glue.Timeout:
		return v.take(Stop, Lifetime, fmt.Sprintf("The session reached its timeout of %s while it waited to be started.", minutes(most)))
	}
	return v.take(TimedOut, Expired, fmt.Sprintf("The session waited to be started for %s, which is its idle timeout.", minutes(most)))
}
