package athenaapi

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/athena"

	"glaux/internal/access"
	"glaux/internal/awsapi"
	"glaux/internal/session"
)

// Dashboards gives away the Spark UIs of sessions; ui.Dashboards has it.
type Dashboards interface {
	// URL returns where the caller, who may see it, opens the UI of the
	// session: once, and for an hour.
	URL(ctx context.Context, who access.Caller, s session.Session) (string, error)
}

// dashboardHandlers are the operations on the UIs of sessions.
func (a *API) dashboardHandlers() map[string]awsapi.Handler {
	return map[string]awsapi.Handler{"GetResourceDashboard": awsapi.Handle(a.GetResourceDashboard)}
}

// GetResourceDashboard returns the URL of a session's Spark UI: the live one
// while the session runs, its history afterwards.
func (a *API) GetResourceDashboard(ctx context.Context, who access.Caller, in *athena.GetResourceDashboardInput) (*athena.GetResourceDashboardOutput, error) {
	s, err := a.Sessions.Dashboard(ctx, who, *in.ResourceARN)
	if err != nil {
		return nil, err
	}
	url, err := a.Dashboards.URL(ctx, who, s)
	if err != nil {
		return nil, err
	}
	return &athena.GetResourceDashboardOutput{Url: &url}, nil
}
