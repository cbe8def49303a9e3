package session

import (
	"slices"
	"strings"
	"time"

	"glaux/internal/ident"
)

// Glue's session states.
const (
	glueProvisioning = "PROVISIONING"
	glueReady        = "READY"
	glueFailed       = "FAILED"
	glueTimeout      = "TIMEOUT"
	glueStopping     = "STOPPING"
	glueStopped      = "STOPPED"
)

// GlueState projects a session onto Glue's SessionStatus.
func (s *Session) GlueState() string {
	switch s.State {
	case Queued, Launching, Started:
		return glueProvisioning
	case Idle, Busy, Degraded:
		return glueReady
	case Stopping:
		return glueStopping
	case Ended:
		switch {
		case slices.Contains(failures(), s.Cause):
			return glueFailed
		case s.Cause == Expired || s.Cause == Lifetime:
			return glueTimeout
		}
	}
	return glueStopped
}

// GlueReady says whether the session takes statements and connections.
func (s *Session) GlueReady() bool { return s.GlueState() == glueReady }

// ExecutionTime is for how long the session's driver has lived.
func (s *Session) ExecutionTime(now time.Time) time.Duration {
	switch {
	case s.Lived > 0:
		return s.Lived
	case s.Spawned.IsZero():
		return 0
	case s.State == Ended:
		return max(0, s.EndedAt.Sub(s.Spawned))
	}
	return max(0, now.Sub(s.Spawned))
}

// Progress is how far a session's start has come, 0 to 1.
func (s *Session) Progress() float64 {
	switch s.State {
	case Queued, Launching:
		return 0
	case Started:
		return 0.5
	case Idle, Busy, Degraded, Stopping, Ended:
	}
	return 1
}

// GlueLogGroup is the log group of what the drivers of Glue sessions write: to
// standard error, or to standard output.
func GlueLogGroup(stderr bool) string {
	if stderr {
		return ident.GlueLogs + "error"
	}
	return ident.GlueLogs + "output"
}

// GlueLogStream is the name of a session's log streams: its id, as far as a
// stream may be called so, and the beginning of its key, because another session
// may have had the id.
func (s *Session) GlueLogStream() string {
	return strings.NewReplacer(":", "_", "*", "_").Replace(s.ID) + "_" + string(s.Key)[:ident.KeyInStream]
}
