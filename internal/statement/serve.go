package statement

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"glaux/internal/cell"
	"glaux/internal/engine"
	"glaux/internal/session"
)

// errOver says that there is nothing to do for a statement, or its session, any more.
var errOver = errors.New("statement is over")

// serve runs the statements of one session, one after the other, until none is
// left or ctx ends.
func (m *Manager) serve(ctx, work context.Context, l *line) {
	var children sync.WaitGroup
	defer children.Wait()
	for {
		m.look(l)
		var st Statement
		none := false
		err := m.retry(ctx, "look for the next statement", func() (err error) {
			st, err = m.cfg.Store.FirstOpen(ctx, l.key)
			if none = errors.Is(err, ErrNotFound); none {
				err = nil
			}
			return err
		})
		switch {
		case err != nil:
			return
		case none && m.leave(l):
			return
		case none:
			continue
		}
		r, err := m.serveStatement(ctx, work, l, st)
		if err != nil && !errors.Is(err, errOver) {
			m.cfg.Log.DebugContext(ctx, "leaving statements to the next server", "session", string(l.key), "statement", st.ID, "why", err)
			return // it stays in lines: nothing of this server goes on with it
		}
		if r != nil {
			ids := []int{st.ID}
			if m.inherits(l.key) {
				for id := st.ID - 1; id >= 0 && id >= st.ID-leftovers; id-- {
					ids = append(ids, id)
				}
			}
			children.Go(func() { m.discard(work, r, l.key, ids) })
		}
	}
}

// serveStatement takes one statement to its end, and returns the runner of its
// session where there was one. The error is errOver when somebody else ended
// it, cell.ErrLeave, or that of ctx.
func (m *Manager) serveStatement(ctx, work context.Context, l *line, st Statement) (engine.Runner, error) {
	cancel := m.serves(l, st.ID) // before the row says so: whoever stops a statement that runs finds it
	if st.State == Cancelling {
		cell.Poke(cancel)
	}
	s, err := m.session(ctx, l.key)
	if err != nil {
		return nil, err
	}
	res := engine.CellResult{ID: cellID(st.ID), Outcome: engine.Lost}
	if st.State == Waiting && s.Desired == session.Ended {
		return nil, m.finish(work, nil, l, st, res) // it is not begun any more
	}
	if st.State == Waiting {
		err := m.retry(ctx, "begin a statement", func() error {
			began, err := m.cfg.Store.UpdateStatement(ctx, l.key, st.ID, func(st *Statement) error { return st.Move(Began, time.Now(), Output{}) })
			if err == nil {
				st = began
			}
			return final(err)
		})
		if err != nil {
			return nil, err
		}
		if st.State == Waiting { // it was cancelled, or went with its session
			return nil, errOver
		}
		m.moved(l)
	}
	r, err := m.cfg.Sessions.Runner(ctx, l.key)
	switch {
	case err == nil:
		j := cell.Job{
			Cell: engine.Cell{ID: cellID(st.ID), Code: st.Code}, Runner: r, Cancel: cancel, Noun: "statement",
			Watch: watcher{m, l.key, st.ID, cancel}, Log: m.cfg.Log, TakeTimeout: m.cfg.TakeTimeout,
		}
		if res, err = j.Serve(ctx); err != nil {
			return nil, err
		}
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	return r, m.finish(work, r, l, st, res)
}

// final makes a success of an error that says that there is nothing to change.
func final(err error) error {
	if _, refused := errors.AsType[*TransitionError](err); refused || errors.Is(err, ErrNotFound) || errors.Is(err, session.ErrNotFound) || errors.Is(err, errOver) {
		return nil
	}
	return err
}

// session reads the session of a line; errOver: it is gone, and its statements
// with it.
func (m *Manager) session(ctx context.Context, key session.Key) (s session.Session, err error) {
	gone := false
	err = m.retry(ctx, "read session", func() (err error) {
		s, err = m.cfg.Sessions.Session(ctx, key)
		if gone = errors.Is(err, session.ErrNotFound); gone {
			err = nil
		}
		return err
	})
	if gone {
		err = errOver
	}
	return s, err
}

// watcher finds what a stop of a statement missed.
type watcher struct {
	m      *Manager
	key    session.Key
	id     int
	cancel chan struct{}
}

func (watcher) Sending()    {}
func (watcher) Held()       {}
func (watcher) Handed(bool) {}

// Lasts looks for a stop that an earlier server wrote after this one had read
// the row.
func (w watcher) Lasts(ctx context.Context) {
	if st, err := w.m.cfg.Store.Statement(ctx, w.key, w.id); err == nil && st.State == Cancelling {
		cell.Poke(w.cancel)
	}
}

// finish keeps the output, and then writes the end of the statement together
// with its session's: nothing says AVAILABLE before it can be read. The error
// is that of ctx.
func (m *Manager) finish(ctx context.Context, r engine.Runner, l *line, st Statement, res engine.CellResult) error {
	began := time.Now()
	if res.Outcome == engine.Lost && res.Error == nil {
		m.awaitEnd(ctx, l.key)
	}
	s, err := m.session(ctx, l.key)
	if err != nil {
		return err
	}
	out, err := m.output(ctx, r, s, res)
	if err != nil {
		return err
	}
	kept := time.Now()
	tasks := m.cfg.Sessions.Tasks(l.key, res.ID)
	err = m.retry(ctx, "record the end of a statement", func() error {
		_, err := m.cfg.Store.EndStatement(ctx, l.key, st.ID, func(st *Statement, s *session.Session) error {
			return end(st, s, res, tasks, out)
		})
		return final(err)
	})
	m.moved(l)
	m.cfg.Log.DebugContext(ctx, "statement ended", "session", string(l.key), "statement", st.ID, "outcome", string(res.Outcome), "run", res.Run,
		"reading", kept.Sub(began), "recording", time.Since(kept))
	return err
}

// end writes the end of a statement into its row and its session's.
func end(st *Statement, s *session.Session, res engine.CellResult, tasks engine.Tasks, out Output) error {
	e, why := verdict(s, res)
	if why != "" {
		out.Status, out.ErrorName, out.ErrorValue, out.Traceback = StatusError, errorLost, why, nil
	}
	if st.State == Waiting && e == Interrupted { // it never ran, and nothing went wrong
		out = Output{}
	}
	ended := res.Ended
	if ended.IsZero() {
		ended = time.Now()
	}
	st.Tasks = tasks
	if err := st.Move(e, ended, out); err != nil {
		return err
	}
	return s.Dequeue(time.Now())
}

// errorLost is the ErrorName of a statement whose session ended under it.
const errorLost = "SessionError"

// verdict is how a statement ends whose cell has ended so, and why where its
// code does not say.
func verdict(s *session.Session, res engine.CellResult) (Event, string) {
	switch res.Outcome {
	case engine.Succeeded:
		return Succeeded, ""
	case engine.Failed:
		return Raised, ""
	case engine.Cancelled:
		return Interrupted, ""
	case engine.Lost:
	}
	meant := []session.Cause{"", session.Asked, session.Expired, session.Lifetime}
	switch {
	case res.Error != nil:
		return Broke, "The statement was lost: " + res.Error.Value + "."
	case s.Desired == session.Ended && slices.Contains(meant, s.Cause):
		return Interrupted, strings.TrimSpace("The statement was cancelled because its session ended. " + s.Reason)
	case s.Reason != "":
		return Broke, "The statement was lost because its session ended. " + s.Reason
	}
	return Broke, "The statement was lost: its session's driver has no record of it."
}

// awaitEnd gives the session a moment to know why its driver is gone.
func (m *Manager) awaitEnd(ctx context.Context, key session.Key) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	_ = m.cfg.Sessions.AwaitEnd(ctx, key) // without it the reason is less plain
}

// discard drops what the driver keeps of statements that are over.
func (m *Manager) discard(ctx context.Context, r engine.Runner, key session.Key, ids []int) {
	for _, id := range ids {
		err := r.Discard(ctx, cellID(id))
		if err != nil && ctx.Err() == nil && !errors.Is(err, engine.ErrGone) && !errors.Is(err, engine.ErrNoCell) {
			m.cfg.Log.WarnContext(ctx, "cannot discard what is kept of an ended cell", "session", string(key), "statement", id, "err", err)
		}
	}
}
