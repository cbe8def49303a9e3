package statement

import (
	"context"
	"errors"
	"fmt"
	"time"

	"glaux/internal/access"
	"glaux/internal/cell"
	"glaux/internal/fault"
	"glaux/internal/session"
)

// The exceptions that have no kind of fault of their own.
const (
	codeIllegalState = "IllegalSessionStateException"
	codeUnsupported  = "OperationNotSupportedException"
)

// find returns the caller's session after asking whether the caller may do
// action. A session that runs no statements is a fault.
func (m *Manager) find(ctx context.Context, who access.Caller, action, id string) (session.Session, error) {
	s, err := m.cfg.Sessions.FindGlue(ctx, who, "glue:"+action, id)
	if err != nil {
		return s, err
	}
	if s.Glue != nil && s.Glue.Kind == session.SparkConnect {
		f := fault.New(fault.Invalid, "%s is not supported for sessions of type %s.", action, session.SparkConnect)
		f.Code = codeUnsupported
		return s, f.About(id)
	}
	return s, nil
}

// reach is find for what reads statements: AWS has nobody to ask for them once
// the driver is gone, and says so. Here that is kept for drivers that failed:
// what ran to its end in a session that was stopped or timed out stays
// readable.
func (m *Manager) reach(ctx context.Context, who access.Caller, action, id string) (session.Session, error) {
	s, err := m.find(ctx, who, action, id)
	if err != nil {
		return s, err
	}
	if s.State == session.Ended && (s.Cause == session.Crashed || s.Cause == session.FailedStart || s.Cause == session.Lost) {
		f := fault.New(fault.Invalid, "Session unavailable, fail to call ReplServer.")
		f.Code = codeIllegalState
		return s, f.About(id)
	}
	return s, nil
}

// Start puts code at the end of a session's queue and returns the statement as
// WAITING. Refusals are faults and create nothing.
func (m *Manager) Start(ctx context.Context, who access.Caller, sessionID, code string) (Statement, error) {
	s, err := m.find(ctx, who, "RunStatement", sessionID)
	if err != nil {
		return Statement{}, err
	}
	if err := m.open(); err != nil {
		return Statement{}, err
	}
	st := Statement{Session: s.Key, Code: code, State: Waiting, Submitted: time.Now().UTC()}
	st, err = m.cfg.Store.CreateStatement(ctx, st, func(s *session.Session) (int, error) {
		if !s.GlueReady() {
			return 0, fault.Invalidf("Session is not ready, session_id=%s, status=%s", s.ID, s.GlueState()).About(s.ID)
		}
		if s.Open >= m.cfg.MaxQueue {
			return 0, fault.New(fault.TooMany, "The session has %d statements that wait or run, which is the limit. Run this one once some of them have ended.", s.Open).About(s.ID)
		}
		return s.Enqueue(time.Now())
	})
	switch {
	case errors.Is(err, session.ErrNotFound):
		return Statement{}, fault.New(fault.NotFound, "Session %s not found.", sessionID).About(sessionID)
	case err != nil:
		if _, refused := errors.AsType[*fault.Error](err); refused {
			return Statement{}, err
		}
		return Statement{}, internal("create statement", err)
	}
	m.begin(s.Key)
	return st, nil
}

// Get returns one statement of a session. One that is not over it returns a
// little later, or as soon as something has changed.
func (m *Manager) Get(ctx context.Context, who access.Caller, sessionID string, id int) (Statement, error) {
	s, err := m.reach(ctx, who, "GetStatement", sessionID)
	if err != nil {
		return Statement{}, err
	}
	changed := m.watch(s.Key) // before the row is read: nothing is missed
	st, err := m.statement(ctx, s, id)
	if err != nil || st.State.Terminal() || changed == nil || m.cfg.Patience == 0 {
		return st, err
	}
	if cell.Await(ctx, changed, m.cfg.Patience) {
		return m.statement(ctx, s, id)
	}
	return m.live(st), nil
}

// statement reads one statement; an unknown one is a fault.
func (m *Manager) statement(ctx context.Context, s session.Session, id int) (Statement, error) {
	st, err := m.cfg.Store.Statement(ctx, s.Key, id)
	switch {
	case errors.Is(err, ErrNotFound):
		return st, unknown(s, id)
	case err != nil:
		return st, internal("read statement", err)
	}
	return m.live(st), nil
}

func unknown(s session.Session, id int) error {
	return fault.New(fault.NotFound, "Statement %d of session %s not found.", id, s.ID).About(fmt.Sprint(id))
}

// live is st with the tasks of its cell as they are at the moment.
func (m *Manager) live(st Statement) Statement {
	if st.State == Running || st.State == Cancelling {
		st.Tasks = m.cfg.Sessions.Tasks(st.Session, cellID(st.ID))
	}
	return st
}

// List returns the statements of a session in the order of their ids, from the
// given one on: a page of at most so many, and no more once their codes and
// outputs have reached so many bytes. more is false after the last page.
func (m *Manager) List(ctx context.Context, who access.Caller, sessionID string, from, limit, bytes int) (page []Statement, more bool, err error) {
	s, err := m.reach(ctx, who, "ListStatements", sessionID)
	if err != nil {
		return nil, false, err
	}
	page, err = m.cfg.Store.Statements(ctx, s.Key, from, limit, bytes)
	if err != nil {
		return nil, false, internal("list statements", err)
	}
	for i := range page {
		page[i] = m.live(page[i])
	}
	return page, len(page) > 0 && page[len(page)-1].ID+1 < s.Statements, nil
}

// Cancel asks a statement to end: one that waits is CANCELLED at once, one that
// runs is once its interpreter has been interrupted. On one that is over, or is
// being cancelled, it does nothing and succeeds.
func (m *Manager) Cancel(ctx context.Context, who access.Caller, sessionID string, id int) error {
	s, err := m.reach(ctx, who, "CancelStatement", sessionID)
	if err != nil {
		return err
	}
	st, err := m.cfg.Store.EndStatement(ctx, s.Key, id, func(st *Statement, s *session.Session) error {
		if st.State.Terminal() || st.State == Cancelling {
			return errOver
		}
		if err := st.Move(Stop, time.Now(), Output{}); err != nil || !st.State.Terminal() {
			return err
		}
		return s.Dequeue(time.Now())
	})
	switch {
	case errors.Is(err, errOver):
		return nil
	case errors.Is(err, ErrNotFound), errors.Is(err, session.ErrNotFound):
		return unknown(s, id)
	case err != nil:
		return internal("cancel statement", err)
	}
	if st.State == Cancelling {
		m.interrupt(s.Key, id)
	}
	return nil
}
