package session

import (
	"slices"
	"time"
)

// Athena's session states.
const (
	athenaCreating    = "CREATING"
	athenaCreated     = "CREATED"
	athenaIdle        = "IDLE"
	athenaBusy        = "BUSY"
	athenaDegraded    = "DEGRADED"
	athenaTerminating = "TERMINATING"
	athenaTerminated  = "TERMINATED"
	athenaFailed      = "FAILED"
)

// AthenaState projects a session onto Athena's SessionState.
func (s *Session) AthenaState() string { return athenaState(s.State, s.Cause) }

// ShownState is the state as the session's own face shows it.
func (s *Session) ShownState() string {
	if s.Face == Glue {
		return s.GlueState()
	}
	return s.AthenaState()
}

func athenaState(s State, c Cause) string {
	switch s {
	case Queued, Launching:
		return athenaCreating
	case Started:
		return athenaCreated
	case Idle:
		return athenaIdle
	case Busy:
		return athenaBusy
	case Degraded:
		return athenaDegraded
	case Stopping:
		return athenaTerminating
	case Ended:
		if slices.Contains(failures(), c) {
			return athenaFailed
		}
	}
	return athenaTerminated
}

// failures are the causes that Athena shows as FAILED, not TERMINATED.
func failures() []Cause { return []Cause{Crashed, FailedStart, Lost} }

// selectAthena narrows q to the sessions that Athena shows in the state. An
// empty one selects those that are active, as ListSessions does without a
// filter.
func selectAthena(q *Query, state string) {
	switch state {
	case "":
		q.States = []State{Queued, Launching, Started, Idle, Busy, Degraded}
	case athenaCreating:
		q.States = []State{Queued, Launching}
	case athenaCreated:
		q.States = []State{Started}
	case athenaIdle:
		q.States = []State{Idle}
	case athenaBusy:
		q.States = []State{Busy}
	case athenaDegraded:
		q.States = []State{Degraded}
	case athenaTerminating:
		q.States = []State{Stopping}
	case athenaTerminated:
		q.States, q.Causes = []State{Ended}, []Cause{Asked, Expired, Lifetime}
	case athenaFailed:
		q.States, q.Causes = []State{Ended}, failures()
	}
}

// live are the states of a session that is not over.
func live() []State {
	return []State{Queued, Launching, Started, Idle, Busy, Degraded, Stopping}
}

// DPUMillis is what the session has used up to now, in nominal DPU
// milliseconds: the DPUs of its driver times the driver's lifetime, which is
// the owner's measurement once the driver is gone and grows until then.
func (s *Session) DPUMillis(now time.Time) int64 {
	var lived time.Duration
	switch {
	case s.Lived > 0:
		lived = s.Lived
	case s.Spawned.IsZero():
	case s.State == Ended:
		lived = s.EndedAt.Sub(s.Spawned)
	default:
		lived = now.Sub(s.Spawned)
	}
	return max(0, int64(s.DPUs)*lived.Milliseconds())
}

// roleFrom says where a session has its execution role from.
func (s *Session) roleFrom() string {
	if s.Face == Glue {
		return "session"
	}
	return "workgroup"
}
