package glueapi

import (
	"context"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"

	"glaux/internal/access"
	"glaux/internal/awsapi"
	"glaux/internal/fault"
	"glaux/internal/session"
)

// Endpoints knows where Spark Connect is served.
type Endpoints interface {
	// Endpoint returns the address of a session's Spark Connect, as an https
	// URL, and a token for who. It is a fault when none is served.
	Endpoint(who access.Caller, key session.Key) (url, token string, expires time.Time, err error)
}

// Dashboards gives away the Spark UIs of sessions; ui.Dashboards has it.
type Dashboards interface {
	// URL returns where the caller, who may see it, opens the UI of the
	// session: once, and for an hour.
	URL(ctx context.Context, who access.Caller, s session.Session) (string, error)
}

// SystemLogs gives away what the drivers of sessions wrote.
type SystemLogs interface {
	// URL returns where the caller, who may see them, downloads the logs of the
	// session's driver, for an hour.
	URL(ctx context.Context, who access.Caller, s session.Session) (string, error)
}

// endpointHandlers are the operations that lead to a session in other ways
// than statements.
func (a *API) endpointHandlers() map[string]awsapi.Handler {
	return map[string]awsapi.Handler{
		"GetSessionEndpoint":      awsapi.Handle(a.GetSessionEndpoint),
		"GetDashboardUrl":         awsapi.Handle(a.GetDashboardUrl),
		"GetSystemLogsForSession": awsapi.Handle(a.GetSystemLogsForSession),
	}
}

// GetSessionEndpoint returns where Spark Connect of a session is, and a token
// for it. Glue's documentation appends ":443" to the URL, so it has a port only
// where that is another one.
func (a *API) GetSessionEndpoint(ctx context.Context, who access.Caller, in *glue.GetSessionEndpointInput) (*glue.GetSessionEndpointOutput, error) {
	s, err := a.Sessions.GlueEndpoint(ctx, who, *in.SessionId)
	if err != nil {
		return nil, err
	}
	url, token, expires, err := a.Endpoints.Endpoint(who, s.Key)
	if err != nil {
		return nil, err
	}
	url = "sc://" + strings.TrimPrefix(url, "https://")
	return &glue.GetSessionEndpointOutput{SparkConnect: &types.SessionEndpoint{Url: &url, AuthToken: &token, AuthTokenExpirationTime: stamp(expires)}}, nil
}

// GetDashboardUrl returns the URL of a session's Spark UI: the live one while
// the session runs, its history afterwards.
func (a *API) GetDashboardUrl(ctx context.Context, who access.Caller, in *glue.GetDashboardUrlInput) (*glue.GetDashboardUrlOutput, error) { //nolint:revive // the operation's name
	if in.ResourceType != types.GlueResourceTypeSession {
		return nil, fault.New(fault.NotFound, "Job run %s not found.", *in.ResourceId).About(*in.ResourceId)
	}
	s, err := a.Sessions.GlueDashboard(ctx, who, *in.ResourceId)
	if err != nil {
		return nil, err
	}
	url, err := a.Dashboards.URL(ctx, who, s)
	if err != nil {
		return nil, err
	}
	return &glue.GetDashboardUrlOutput{Url: &url}, nil
}

// GetSystemLogsForSession returns where the logs of a session's driver can be
// downloaded.
func (a *API) GetSystemLogsForSession(ctx context.Context, who access.Caller, in *glue.GetSystemLogsForSessionInput) (*glue.GetSystemLogsForSessionOutput, error) {
	s, err := a.Sessions.FindGlue(ctx, who, "glue:GetSystemLogsForSession", *in.Id)
	if err != nil {
		return nil, err
	}
	url, err := a.SystemLogs.URL(ctx, who, s)
	if err != nil {
		return nil, err
	}
	return &glue.GetSystemLogsForSessionOutput{SystemLogsUrl: &url}, nil
}
