package session

import (
	"context"
	"errors"

	"glaux/internal/access"
	"glaux/internal/fault"
)

// Dashboard returns the Athena session of the ARN for GetResourceDashboard. A
// resource that is no session of this account and region is a fault of kind
// Invalid, an unknown session one of NotFound, and a session whose managed
// logging is off has no dashboard.
func (m *Manager) Dashboard(ctx context.Context, who access.Caller, arn string) (Session, error) {
	if err := m.cfg.Access.Decide(ctx, who, "athena:GetResourceDashboard", arn); err != nil {
		return Session{}, err
	}
	of, ok := m.cfg.Home.Parse(arn)
	if !ok || of.Session == "" || who.Account != m.cfg.Home.Account {
		return Session{}, fault.Invalidf("ResourceARN %s is not the ARN of a session.", arn).About(arn)
	}
	s, err := m.cfg.Store.FindSession(ctx, who.Account, Athena, of.Session)
	switch {
	case errors.Is(err, ErrNotFound), err == nil && s.Workgroup != of.Workgroup:
		return Session{}, fault.New(fault.NotFound, "Resource %s is not found.", arn).About(arn)
	case err != nil:
		return Session{}, internal("read session", err)
	case !s.Monitoring.ManagedLogs():
		return Session{}, fault.Invalidf("The dashboard is not available: managed logging is not enabled for session %s.", s.ID).About(arn)
	}
	return s, nil
}
