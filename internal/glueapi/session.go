package glueapi

import (
	"context"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"

	"glaux/internal/access"
	"glaux/internal/awsapi"
	"glaux/internal/session"
)

// sessionHandlers are the operations on sessions.
func (a *API) sessionHandlers() map[string]awsapi.Handler {
	return map[string]awsapi.Handler{
		"CreateSession": awsapi.Handle(a.CreateSession),
		"GetSession":    awsapi.Handle(a.GetSession),
		"ListSessions":  awsapi.Handle(a.ListSessions),
		"StopSession":   awsapi.Handle(a.StopSession),
		"DeleteSession": awsapi.Handle(a.DeleteSession),
	}
}

// CreateSession starts a session under the id that the caller chose.
func (a *API) CreateSession(ctx context.Context, who access.Caller, in *glue.CreateSessionInput) (*glue.CreateSessionOutput, error) {
	request := session.GlueRequest{
		ID:            *in.Id,
		Description:   aws.ToString(in.Description),
		Role:          *in.Role,
		Kind:          session.Kind(in.SessionType),
		Command:       aws.ToString(in.Command.Name),
		PythonVersion: aws.ToString(in.Command.PythonVersion),
		GlueVersion:   aws.ToString(in.GlueVersion),
		Timeout:       in.Timeout,
		IdleTimeout:   in.IdleTimeout,
		Arguments:     in.DefaultArguments,
		MaxCapacity:   in.MaxCapacity,
		WorkerType:    string(in.WorkerType),
		Workers:       in.NumberOfWorkers,
		Security:      aws.ToString(in.SecurityConfiguration),
		Origin:        aws.ToString(in.RequestOrigin),
		Tags:          fromTags(in.Tags),
	}
	if c := in.Connections; c != nil {
		request.Connections, request.HasConnections = slices.Clone(c.Connections), true
	}
	s, err := a.Sessions.StartGlue(ctx, who, request)
	if err != nil {
		return nil, err
	}
	return &glue.CreateSessionOutput{Session: toSession(&s)}, nil
}

// GetSession returns all that is known of a session.
func (a *API) GetSession(ctx context.Context, who access.Caller, in *glue.GetSessionInput) (*glue.GetSessionOutput, error) {
	s, err := a.Sessions.GetGlue(ctx, who, *in.Id)
	if err != nil {
		return nil, err
	}
	return &glue.GetSessionOutput{Session: toSession(&s)}, nil
}

// ListSessions returns a page of the sessions that have the tags, newest
// first, those that have ended among them, by their ids and whole.
func (a *API) ListSessions(ctx context.Context, who access.Caller, in *glue.ListSessionsInput) (*glue.ListSessionsOutput, error) {
	tags := fromTags(in.Tags)
	list := a.listing(who, "ListSessions", in.NextToken, textOf(tags)...)
	after, err := list.cursor()
	if err != nil {
		return nil, err
	}
	all, next, more, err := a.Sessions.ListGlue(ctx, who, tags, after, limit(in.MaxResults))
	if err != nil {
		return nil, err
	}
	out := &glue.ListSessionsOutput{NextToken: list.next(next, more), Ids: make([]string, 0, len(all)), Sessions: make([]types.Session, 0, len(all))}
	for i := range all {
		out.Ids = append(out.Ids, all[i].ID)
		out.Sessions = append(out.Sessions, *toSession(&all[i]))
	}
	return out, nil
}

// StopSession asks a session to end.
func (a *API) StopSession(ctx context.Context, who access.Caller, in *glue.StopSessionInput) (*glue.StopSessionOutput, error) {
	s, err := a.Sessions.StopGlue(ctx, who, *in.Id)
	if err != nil {
		return nil, err
	}
	return &glue.StopSessionOutput{Id: &s.ID}, nil
}

// DeleteSession takes a session away and frees its id at once.
func (a *API) DeleteSession(ctx context.Context, who access.Caller, in *glue.DeleteSessionInput) (*glue.DeleteSessionOutput, error) {
	if err := a.Sessions.DeleteGlue(ctx, who, *in.Id); err != nil {
		return nil, err
	}
	return &glue.DeleteSessionOutput{Id: in.Id}, nil
}

// toSession is a session as Glue shows it. Clients read most members without
// asking whether they are there.
func toSession(s *session.Session) *types.Session {
	g := s.Glue
	ran := s.ExecutionTime(time.Now()).Seconds()
	out := &types.Session{
		Id:                    &s.ID,
		CreatedOn:             stamp(s.Created),
		CompletedOn:           stamp(s.EndedAt),
		Status:                types.SessionStatus(s.GlueState()),
		Description:           filled(s.Description),
		Role:                  &s.ExecutionRole,
		Command:               &types.SessionCommand{Name: &g.Command, PythonVersion: filled(g.PythonVersion)},
		DefaultArguments:      g.Arguments,
		Progress:              s.Progress(),
		MaxCapacity:           &g.MaxCapacity,
		SecurityConfiguration: filled(g.Security),
		GlueVersion:           &g.GlueVersion,
		ExecutionTime:         aws.Float64(decimals(ran)),
		DPUSeconds:            aws.Float64(decimals(ran * g.MaxCapacity)),
		IdleTimeout:           aws.Int32(int32(s.IdleTimeout / time.Minute)),
		ProfileName:           filled(g.Profile),
		SessionType:           types.SessionType(g.Kind),
	}
	if g.HasConnections {
		out.Connections = &types.ConnectionsList{Connections: append([]string{}, g.Connections...)}
	}
	if g.WorkerType != "" {
		out.WorkerType, out.NumberOfWorkers = types.WorkerType(g.WorkerType), aws.Int32(int32(g.Workers))
	}
	if s.Reason != "" && (s.State == session.Queued || out.Status == types.SessionStatusFailed || out.Status == types.SessionStatusTimeout) {
		out.ErrorMessage = aws.String(shortened(s.Reason))
	}
	return out
}
