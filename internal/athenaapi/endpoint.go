package athenaapi

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/athena"

	"glaux/internal/access"
	"glaux/internal/awsapi"
	"glaux/internal/session"
)

// Endpoints knows where Spark Connect is served.
type Endpoints interface {
	// Endpoint returns the address of a session's Spark Connect, as an https
	// URL, and a token for who. It is a fault when none is served.
	Endpoint(who access.Caller, key session.Key) (url, token string, expires time.Time, err error)
}

// endpointHandlers are the operations on the endpoints of sessions.
func (a *API) endpointHandlers() map[string]awsapi.Handler {
	return map[string]awsapi.Handler{
		"GetSessionEndpoint": awsapi.Handle(a.GetSessionEndpoint),
	}
}

// GetSessionEndpoint returns where Spark Connect of a session is, and a token
// for it, also while the session is being made.
func (a *API) GetSessionEndpoint(ctx context.Context, who access.Caller, in *athena.GetSessionEndpointInput) (*athena.GetSessionEndpointOutput, error) {
	s, err := a.Sessions.Endpoint(ctx, who, *in.SessionId)
	if err != nil {
		return nil, err
	}
	url, token, expires, err := a.Endpoints.Endpoint(who, s.Key)
	if err != nil {
		return nil, err
	}
	return &athena.GetSessionEndpointOutput{EndpointUrl: &url, AuthToken: &token, AuthTokenExpirationTime: &expires}, nil
}
