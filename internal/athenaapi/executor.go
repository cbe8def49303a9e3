package athenaapi

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/athena"
	"github.com/aws/aws-sdk-go-v2/service/athena/types"

	"glaux/internal/access"
	"glaux/internal/engine"
	"glaux/internal/session"
)

// Spark's own id of the executor that is the driver.
const driverExecutor = "driver"

// notebookRuntime is the one application whose sizes Athena lists.
const notebookRuntime = "Athena notebook version 1"

// ListExecutors returns a page of a session's executors, newest first: the
// driver as COORDINATOR, others as WORKER. Those that are gone stay listed.
func (a *API) ListExecutors(ctx context.Context, who access.Caller, in *athena.ListExecutorsInput) (*athena.ListExecutorsOutput, error) {
	list := a.listing(who, "ListExecutors", in.NextToken, *in.SessionId, string(in.ExecutorStateFilter))
	after, err := list.cursor()
	if err != nil {
		return nil, err
	}
	s, err := a.Sessions.Executors(ctx, who, *in.SessionId)
	if err != nil {
		return nil, err
	}
	out := &athena.ListExecutorsOutput{SessionId: &s.ID, ExecutorsSummary: []types.ExecutorsSummary{}}
	var last session.Cursor
	most := limit(in.MaxResults)
	for i := range s.Executors {
		e := &s.Executors[i]
		state := executorState(&s, e)
		if in.ExecutorStateFilter != "" && state != in.ExecutorStateFilter || !older(e, after) {
			continue
		}
		if len(out.ExecutorsSummary) == most {
			out.NextToken = list.next(last, true)
			break
		}
		last = session.Cursor{Time: e.Added, ID: e.ID}
		out.ExecutorsSummary = append(out.ExecutorsSummary, toExecutorsSummary(e, state))
	}
	return out, nil
}

// older reports whether the executor comes after the cursor in a list that is
// ordered newest first.
func older(e *engine.Executor, c session.Cursor) bool {
	at, place := e.Added.UnixMicro(), c.Time.UnixMicro()
	return c.Time.IsZero() || at < place || at == place && e.ID < c.ID
}

func toExecutorsSummary(e *engine.Executor, state types.ExecutorState) types.ExecutorsSummary {
	kind := types.ExecutorTypeWorker
	if e.ID == driverExecutor {
		kind = types.ExecutorTypeCoordinator
	}
	return types.ExecutorsSummary{
		ExecutorId:          aws.String(e.ID),
		ExecutorType:        kind,
		ExecutorState:       state,
		ExecutorSize:        aws.Int64(1), // DPU
		StartDateTime:       millis(e.Added),
		TerminationDateTime: millis(e.Removed),
	}
}

// executorState is the wire's name for the state of an executor.
func executorState(s *session.Session, e *engine.Executor) types.ExecutorState {
	switch {
	case e.Removed.IsZero() && s.State == session.Stopping:
		return types.ExecutorStateTerminating
	case e.Removed.IsZero():
		return types.ExecutorStateRegistered
	case s.State == session.Ended && s.Cause == session.Crashed && e.ID == driverExecutor:
		return types.ExecutorStateFailed
	}
	return types.ExecutorStateTerminated
}

// millis is a time as the plain integers of executors have it: milliseconds
// since 1970. Athena's unit is not known.
func millis(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	return aws.Int64(t.UnixMilli())
}

// ListApplicationDPUSizes returns the sizes in DPU that a coordinator or an
// executor can have: there is one.
func (a *API) ListApplicationDPUSizes(ctx context.Context, who access.Caller, in *athena.ListApplicationDPUSizesInput) (*athena.ListApplicationDPUSizesOutput, error) {
	if _, err := a.listing(who, "ListApplicationDPUSizes", in.NextToken).cursor(); err != nil {
		return nil, err
	}
	if err := a.Sessions.MayList(ctx, who); err != nil {
		return nil, err
	}
	return &athena.ListApplicationDPUSizesOutput{ApplicationDPUSizes: []types.ApplicationDPUSizes{
		{ApplicationRuntimeId: aws.String(notebookRuntime), SupportedDPUSizes: []int32{1}},
	}}, nil
}
