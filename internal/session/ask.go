package session

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"glaux/internal/access"
	"glaux/internal/engine"
	"glaux/internal/fault"
)

// Find returns the caller's Athena session of the id after asking whether the
// caller may do action on it. An unknown id is a fault of kind Invalid.
func (m *Manager) Find(ctx context.Context, who access.Caller, action, id string) (Session, error) {
	s, err := m.cfg.Store.FindSession(ctx, who.Account, Athena, id)
	if errors.Is(err, ErrNotFound) {
		if err := m.cfg.Access.Decide(ctx, who, action, m.cfg.Home.Session("*", id)); err != nil {
			return Session{}, err
		}
		return Session{}, fault.Invalidf("Session %s is not found.", id).About(id)
	}
	if err != nil {
		return Session{}, internal("read session", err)
	}
	return m.shown(s), m.cfg.Access.Decide(ctx, who, action, m.cfg.Home.Session(s.Workgroup, s.ID))
}

// Get returns one session for GetSession.
func (m *Manager) Get(ctx context.Context, who access.Caller, id string) (Session, error) {
	s, err := m.Find(ctx, who, "athena:GetSession", id)
	if err == nil && s.State != Ended {
		if e := m.entry(s.Key); e != nil {
			s.Lived = e.lived()
		}
	}
	return s, err
}

// GetStatus returns one session for GetSessionStatus.
func (m *Manager) GetStatus(ctx context.Context, who access.Caller, id string) (Session, error) {
	return m.Find(ctx, who, "athena:GetSessionStatus", id)
}

// Endpoint returns one session for GetSessionEndpoint: one that is being made
// has an address already. It is a fault when the session has ended or is
// ending; the text is AWS's, which clients look for, and so is the name of the
// state in it.
func (m *Manager) Endpoint(ctx context.Context, who access.Caller, id string) (Session, error) {
	s, err := m.Find(ctx, who, "athena:GetSessionEndpoint", id)
	if err == nil && (s.State == Stopping || s.State == Ended) {
		err = fault.Invalidf("Can not generate Session endpoint URL for Session in STOPPED state").About(id)
	}
	return s, err
}

// ListRequest asks for a page of sessions.
type ListRequest struct {
	Workgroup string
	State     string // Athena's name; empty: the active ones
	After     Cursor // where the page begins; zero: at the newest
	Limit     int    // at most so many; at least 1
}

// List returns a page of the workgroup's sessions, newest first, and where the
// next page begins; more is false after the last one. Sessions that start or
// end meanwhile neither repeat nor hide others.
func (m *Manager) List(ctx context.Context, who access.Caller, in ListRequest) (page []Session, next Cursor, more bool, err error) {
	if err := m.cfg.Access.Decide(ctx, who, "athena:ListSessions", m.cfg.Home.Workgroup(in.Workgroup)); err != nil {
		return nil, next, false, err
	}
	if _, err := m.cfg.Workgroups.Find(ctx, who.Account, in.Workgroup); err != nil {
		return nil, next, false, err
	}
	q := Query{Account: who.Account, Face: Athena, Workgroup: in.Workgroup, After: in.After, Limit: in.Limit + 1}
	selectAthena(&q, in.State)
	page, err = m.cfg.Store.Sessions(ctx, q)
	if err != nil {
		return nil, next, false, internal("list sessions", err)
	}
	for i := range page {
		page[i] = m.shown(page[i])
	}
	if len(page) > in.Limit {
		page = page[:in.Limit]
		last := page[in.Limit-1]
		return page, Cursor{Time: last.Created, ID: string(last.Key)}, true, nil
	}
	return page, next, false, nil
}

// Executors returns a session with all its executors, newest first; those
// that are gone stay listed.
func (m *Manager) Executors(ctx context.Context, who access.Caller, id string) (Session, error) {
	s, err := m.Find(ctx, who, "athena:ListExecutors", id)
	if err != nil {
		return s, err
	}
	if st, ok := m.Status(s.Key); ok && s.State != Ended && len(st.Executors) > 0 {
		s.Executors = slices.Clone(st.Executors)
	}
	slices.SortStableFunc(s.Executors, func(a, b engine.Executor) int {
		if c := b.Added.Compare(a.Added); c != 0 {
			return c
		}
		return strings.Compare(b.ID, a.ID)
	})
	return s, nil
}

// MayList asks whether the caller may list the sizes of applications.
func (m *Manager) MayList(ctx context.Context, who access.Caller) error {
	return m.cfg.Access.Decide(ctx, who, "athena:ListApplicationDPUSizes", "*")
}

// Terminate asks a session to end and returns it as it is then: TERMINATING at
// once. On a session that ended or is ending it does nothing and succeeds.
func (m *Manager) Terminate(ctx context.Context, who access.Caller, id string) (Session, error) {
	s, err := m.Find(ctx, who, "athena:TerminateSession", id)
	if err != nil {
		return s, err
	}
	return m.ask(ctx, s.Key, reasonAsked)
}

// ask writes that a session is to end and wakes whoever looks after it.
func (m *Manager) ask(ctx context.Context, key Key, why string) (Session, error) {
	var as Session
	s, err := m.cfg.Store.UpdateSession(ctx, key, func(s *Session) error {
		if s.State == Stopping || s.State == Ended {
			as = *s
			return errNotDue
		}
		return s.Move(Stop, time.Now(), Asked, why)
	})
	switch {
	case errors.Is(err, errNotDue):
		s = as
	case err != nil:
		return s, internal("end session", err)
	}
	if e := m.entry(key); e != nil {
		poke(e.kick)
	}
	return s, nil
}

// EndWorkgroup asks every live session of the workgroup to end, for a
// workgroup that is deleted. It returns once that is written.
func (m *Manager) EndWorkgroup(ctx context.Context, account, name string) error {
	all, err := m.cfg.Store.Sessions(ctx, Query{Account: account, Workgroup: name, States: live()})
	if err != nil {
		return internal("list sessions", err)
	}
	for i := range all {
		if _, err := m.ask(ctx, all[i].Key, "The session was terminated because its workgroup was deleted."); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	return nil
}

// Live returns how many sessions are not over.
func (m *Manager) Live(ctx context.Context) (int, error) {
	all, err := m.cfg.Store.Sessions(ctx, Query{States: live()})
	if err != nil {
		return 0, internal("list sessions", err)
	}
	return len(all), nil
}

// leaveAfter is how long EndAll waits for what drivers left behind to be
// removed, once every end is recorded.
const leaveAfter = 5 * time.Second

// EndAll ends every session, for a server that is to leave nothing behind. It
// refuses new ones from then on, calls progress with a line for people after
// each step, and returns once every driver is gone and that is recorded, or
// with the error of ctx. What drivers left behind that is still needed, such as
// logs whose target is down, stays for the next server. Run must be running.
func (m *Manager) EndAll(ctx context.Context, progress func(string)) error {
	m.close()
	for _, done := range []<-chan struct{}{m.recovered, m.drained} { // then every session there will be is listed
		select {
		case <-done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	all, err := m.cfg.Store.Sessions(ctx, Query{States: live()})
	if err != nil {
		return internal("list sessions", err)
	}
	for i := range all {
		if _, err := m.ask(ctx, all[i].Key, "The session was ended because the server was stopped."); err != nil {
			return err
		}
	}
	for i := range all {
		if err := m.AwaitEnd(ctx, all[i].Key); err != nil {
			return err
		}
		progress("session " + all[i].ID + " ended")
	}
	leave := time.NewTimer(leaveAfter)
	defer leave.Stop()
	for _, e := range m.entries() {
		select {
		case <-e.gone:
		case <-leave.C:
			m.cfg.Log.WarnContext(ctx, "what drivers left behind is still needed and stays")
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
