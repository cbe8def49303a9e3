package athenaapi

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/athena"
	"github.com/aws/aws-sdk-go-v2/service/athena/types"

	"glaux/internal/access"
	"glaux/internal/awsapi"
	"glaux/internal/session"
)

// sessionHandlers are the operations on sessions and their executors.
func (a *API) sessionHandlers() map[string]awsapi.Handler {
	return map[string]awsapi.Handler{
		"StartSession":            awsapi.Handle(a.StartSession),
		"GetSession":              awsapi.Handle(a.GetSession),
		"GetSessionStatus":        awsapi.Handle(a.GetSessionStatus),
		"ListSessions":            awsapi.Handle(a.ListSessions),
		"TerminateSession":        awsapi.Handle(a.TerminateSession),
		"ListExecutors":           awsapi.Handle(a.ListExecutors),
		"ListApplicationDPUSizes": awsapi.Handle(a.ListApplicationDPUSizes),
	}
}

// StartSession starts a session in a Spark workgroup.
func (a *API) StartSession(ctx context.Context, who access.Caller, in *athena.StartSessionInput) (*athena.StartSessionOutput, error) {
	s, err := a.Sessions.Start(ctx, who, session.Request{
		Workgroup:       *in.WorkGroup,
		Description:     aws.ToString(in.Description),
		Config:          *fromEngineConfiguration(in.EngineConfiguration), // required
		NotebookVersion: aws.ToString(in.NotebookVersion),
		IdleMinutes:     in.SessionIdleTimeoutInMinutes,
		ExecutionRole:   aws.ToString(in.ExecutionRole),
		Monitoring:      fromMonitoringConfiguration(in.MonitoringConfiguration),
		Tags:            fromTags(in.Tags),
		CopyTags:        in.CopyWorkGroupTags,
		Token:           aws.ToString(in.ClientRequestToken),
	})
	if err != nil {
		return nil, err
	}
	return &athena.StartSessionOutput{SessionId: &s.ID, State: sessionState(&s)}, nil
}

// GetSession returns all that is known of a session.
func (a *API) GetSession(ctx context.Context, who access.Caller, in *athena.GetSessionInput) (*athena.GetSessionOutput, error) {
	s, err := a.Sessions.Get(ctx, who, *in.SessionId)
	if err != nil {
		return nil, err
	}
	return &athena.GetSessionOutput{
		SessionId:               &s.ID,
		Description:             filled(s.Description),
		WorkGroup:               &s.Workgroup,
		EngineVersion:           &s.Engine,
		EngineConfiguration:     toEngineConfiguration(&s.Config),
		NotebookVersion:         filled(s.NotebookVersion),
		MonitoringConfiguration: toMonitoringConfiguration(s.Monitoring),
		SessionConfiguration:    toSessionConfiguration(&s),
		Status:                  toSessionStatus(&s),
		Statistics:              &types.SessionStatistics{DpuExecutionInMillis: aws.Int64(s.DPUMillis(time.Now()))},
	}, nil
}

// GetSessionStatus returns the state of a session.
func (a *API) GetSessionStatus(ctx context.Context, who access.Caller, in *athena.GetSessionStatusInput) (*athena.GetSessionStatusOutput, error) {
	s, err := a.Sessions.GetStatus(ctx, who, *in.SessionId)
	if err != nil {
		return nil, err
	}
	return &athena.GetSessionStatusOutput{SessionId: &s.ID, Status: toSessionStatus(&s)}, nil
}

// ListSessions returns a page of a workgroup's sessions, newest first: the
// active ones, or those in the state of the filter.
func (a *API) ListSessions(ctx context.Context, who access.Caller, in *athena.ListSessionsInput) (*athena.ListSessionsOutput, error) {
	list := a.listing(who, "ListSessions", in.NextToken, *in.WorkGroup, string(in.StateFilter))
	after, err := list.cursor()
	if err != nil {
		return nil, err
	}
	all, next, more, err := a.Sessions.List(ctx, who, session.ListRequest{
		Workgroup: *in.WorkGroup, State: string(in.StateFilter), After: after, Limit: limit(in.MaxResults),
	})
	if err != nil {
		return nil, err
	}
	out := &athena.ListSessionsOutput{NextToken: list.next(next, more), Sessions: make([]types.SessionSummary, 0, len(all))}
	for i := range all {
		s := &all[i]
		out.Sessions = append(out.Sessions, types.SessionSummary{
			SessionId:   &s.ID,
			Description: filled(s.Description),
			EngineVersion: &types.EngineVersion{ // here a structure, in GetSession a string
				SelectedEngineVersion: &s.Engine, EffectiveEngineVersion: &s.Engine,
			},
			NotebookVersion: filled(s.NotebookVersion),
			Status:          toSessionStatus(s),
		})
	}
	return out, nil
}

// TerminateSession asks a session to end.
func (a *API) TerminateSession(ctx context.Context, who access.Caller, in *athena.TerminateSessionInput) (*athena.TerminateSessionOutput, error) {
	s, err := a.Sessions.Terminate(ctx, who, *in.SessionId)
	if err != nil {
		return nil, err
	}
	return &athena.TerminateSessionOutput{State: sessionState(&s)}, nil
}

// sessionState is the wire's name for the state of a session.
func sessionState(s *session.Session) types.SessionState { return types.SessionState(s.AthenaState()) }

func toSessionStatus(s *session.Session) *types.SessionStatus {
	return &types.SessionStatus{
		State:                sessionState(s),
		StateChangeReason:    filled(s.Reason),
		StartDateTime:        stamp(s.Created),
		LastModifiedDateTime: stamp(s.Changed),
		EndDateTime:          stamp(s.EndedAt),
		IdleSinceDateTime:    stamp(s.IdleSince),
	}
}

func toSessionConfiguration(s *session.Session) *types.SessionConfiguration {
	c := &types.SessionConfiguration{
		ExecutionRole:               filled(s.ExecutionRole),
		WorkingDirectory:            filled(s.WorkingDir),
		IdleTimeoutSeconds:          aws.Int64(int64(s.IdleTimeout / time.Second)),
		SessionIdleTimeoutInMinutes: aws.Int32(int32(s.IdleTimeout / time.Minute)),
	}
	if s.Encryption != "" {
		c.EncryptionConfiguration = &types.EncryptionConfiguration{
			EncryptionOption: types.EncryptionOption(s.Encryption), KmsKey: filled(s.KMSKey),
		}
	}
	return c
}

// stamp is a time as the wire has it, with at most three decimals; nil when it is zero.
func stamp(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.Truncate(time.Millisecond)
	return &t
}
