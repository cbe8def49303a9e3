package session

import (
	"context"
	"errors"
	"slices"
	"time"

	"glaux/internal/access"
	"glaux/internal/argument"
	"glaux/internal/fault"
	"glaux/internal/workgroup"
)

// The exceptions that have no kind of fault of their own.
const (
	codeIllegalState = "IllegalSessionStateException"
	codeUnsupported  = "OperationNotSupportedException"
)

// FindGlue returns the caller's Glue session of the id after asking whether
// the caller may do action on it. An unknown id is a fault of kind NotFound.
func (m *Manager) FindGlue(ctx context.Context, who access.Caller, action, id string) (Session, error) {
	if err := m.cfg.Access.Decide(ctx, who, action, m.cfg.Home.GlueSession(id)); err != nil {
		return Session{}, err
	}
	s, err := m.cfg.Store.FindSession(ctx, who.Account, Glue, id)
	if errors.Is(err, ErrNotFound) {
		return Session{}, noGlueSession(id)
	}
	if err != nil {
		return Session{}, internal("read session", err)
	}
	return m.shown(s), nil
}

func noGlueSession(id string) error {
	return fault.New(fault.NotFound, "Session %s not found.", id).About(id)
}

// GetGlue returns one session for GetSession.
func (m *Manager) GetGlue(ctx context.Context, who access.Caller, id string) (Session, error) {
	s, err := m.FindGlue(ctx, who, "glue:GetSession", id)
	if err != nil {
		return s, err
	}
	return m.asOfNow(s), nil
}

// asOfNow is s with how long its driver has lived.
func (m *Manager) asOfNow(s Session) Session {
	if s.State != Ended {
		if e := m.entry(s.Key); e != nil {
			s.Lived = e.lived()
		}
	}
	return s
}

// ListGlue returns a page of the account's Glue sessions that have all the
// tags, newest first, those that have ended among them, and where the next page
// begins; more is false after the last one.
func (m *Manager) ListGlue(ctx context.Context, who access.Caller, tags []workgroup.Tag, after Cursor, limit int) (page []Session, next Cursor, more bool, err error) {
	if err := m.cfg.Access.Decide(ctx, who, "glue:ListSessions", "*"); err != nil {
		return nil, next, false, err
	}
	page, err = m.cfg.Store.Sessions(ctx, Query{Account: who.Account, Face: Glue, Deleted: OnlyVisible, Tags: tags, After: after, Limit: limit + 1})
	if err != nil {
		return nil, next, false, internal("list sessions", err)
	}
	if more = len(page) > limit; more {
		page = page[:limit]
		last := page[limit-1]
		next = Cursor{Time: last.Created, ID: string(last.Key)}
	}
	for i := range page {
		page[i] = m.asOfNow(m.shown(page[i]))
	}
	return page, next, more, nil
}

// StopGlue asks a session to end and returns it as it is then: STOPPING at
// once. On a session that ended or is ending it does nothing and succeeds.
func (m *Manager) StopGlue(ctx context.Context, who access.Caller, id string) (Session, error) {
	s, err := m.FindGlue(ctx, who, "glue:StopSession", id)
	if err != nil {
		return s, err
	}
	return m.ask(ctx, s.Key, reasonAsked)
}

// DeleteGlue takes a session away from its callers: its id is free once this
// returns. One that is not over is ended.
func (m *Manager) DeleteGlue(ctx context.Context, who access.Caller, id string) error {
	s, err := m.FindGlue(ctx, who, "glue:DeleteSession", id)
	if err != nil {
		return err
	}
	s, err = m.cfg.Store.UpdateSession(ctx, s.Key, func(s *Session) error {
		s.Deleted = true
		if s.State == Stopping || s.State == Ended {
			return nil
		}
		return s.Move(Stop, time.Now(), Asked, "The session was deleted on request.")
	})
	switch {
	case errors.Is(err, ErrNotFound):
		return nil // somebody was faster
	case err != nil:
		return internal("delete session", err)
	}
	if e := m.entry(s.Key); e != nil {
		poke(e.kick)
		return nil // it is removed once nothing is left to look after
	}
	m.removeDeleted(ctx, s)
	return nil
}

// removeDeleted removes the row of a session that was deleted and is over. One
// that cannot be removed now is at the next sweep.
func (m *Manager) removeDeleted(ctx context.Context, s Session) {
	if !s.Deleted || s.State != Ended {
		return
	}
	if err := m.cfg.Store.DeleteSession(ctx, s.Key); err != nil {
		m.cfg.Log.WarnContext(ctx, "cannot remove a deleted session", "session", s.ID, "key", string(s.Key), "err", err)
	}
}

// GlueEndpoint returns one session for GetSessionEndpoint: one that is READY
// and driven through Spark Connect.
func (m *Manager) GlueEndpoint(ctx context.Context, who access.Caller, id string) (Session, error) {
	s, err := m.FindGlue(ctx, who, "glue:GetSessionEndpoint", id)
	switch {
	case err != nil:
		return s, err
	case s.Glue.Kind != SparkConnect:
		return s, coded(codeUnsupported, "GetSessionEndpoint is not supported for sessions of type %s.", s.Glue.Kind).About(id)
	case !s.GlueReady():
		return s, coded(codeIllegalState, "Session is not ready, session_id=%s, status=%s", id, s.GlueState()).About(id)
	}
	return s, nil
}

// GlueTags returns the tags of a session, in the order of their keys.
func (m *Manager) GlueTags(ctx context.Context, who access.Caller, id string) ([]workgroup.Tag, error) {
	s, err := m.FindGlue(ctx, who, "glue:GetTags", id)
	if err != nil {
		return nil, err
	}
	tags, err := m.cfg.Tags.SessionTags(ctx, s.Key)
	return tags, tagged(id, err)
}

// TagGlue adds tags to a session; a key that is there gets the new value.
func (m *Manager) TagGlue(ctx context.Context, who access.Caller, id string, tags []workgroup.Tag) error {
	s, err := m.FindGlue(ctx, who, "glue:TagResource", id)
	if err != nil {
		return err
	}
	if err := workgroup.CheckTags(tags); err != nil {
		return err
	}
	return tagged(id, m.cfg.Tags.ChangeSessionTags(ctx, s.Key, func(have []workgroup.Tag) ([]workgroup.Tag, error) {
		merged := workgroup.Merge(have, tags)
		return merged, workgroup.CheckTags(merged)
	}))
}

// UntagGlue removes tags by their keys. Keys that are not there are ignored.
func (m *Manager) UntagGlue(ctx context.Context, who access.Caller, id string, keys []string) error {
	s, err := m.FindGlue(ctx, who, "glue:UntagResource", id)
	if err != nil {
		return err
	}
	return tagged(id, m.cfg.Tags.ChangeSessionTags(ctx, s.Key, func(have []workgroup.Tag) ([]workgroup.Tag, error) {
		return slices.DeleteFunc(slices.Clone(have), func(t workgroup.Tag) bool { return slices.Contains(keys, t.Key) }), nil
	}))
}

// tagged turns a session that is gone meanwhile into a fault.
func tagged(id string, err error) error {
	if errors.Is(err, ErrNotFound) {
		return noGlueSession(id)
	}
	return err
}

// coded makes a fault that is an exception of its own.
func coded(code, format string, args ...any) *fault.Error {
	f := fault.New(fault.Invalid, format, args...)
	f.Code = code
	return f
}

// GlueDashboard returns one session for GetDashboardUrl: one whose Spark UI was
// asked for when it was made.
func (m *Manager) GlueDashboard(ctx context.Context, who access.Caller, id string) (Session, error) {
	s, err := m.FindGlue(ctx, who, "glue:GetDashboardUrl", id)
	if err == nil && !s.showsUI() {
		err = coded(codeUnsupported, "The Spark UI is not enabled for session %s: create it with the argument --enable-spark-live-ui true.", id).About(id)
	}
	return s, err
}

// showsUI says whether the Spark UI of a Glue session may be seen: it was asked
// for, and so its event log is kept.
func (s *Session) showsUI() bool {
	effect, err := argument.Parse(s.Glue.Arguments)
	return err == nil && (effect.LiveUI || effect.EventLogs != "")
}
