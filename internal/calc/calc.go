// Package calc keeps calculations: code run inside a session, its states,
// results and progress.
package calc

import (
	"time"

	"glaux/internal/engine"
	"glaux/internal/session"
)

// State is a calculation's state; the names are the wire's.
type State string

// The states of a calculation.
const (
	Creating  State = "CREATING"
	Created   State = "CREATED"
	Queued    State = "QUEUED"
	Running   State = "RUNNING"
	Canceling State = "CANCELING"
	Canceled  State = "CANCELED"
	Completed State = "COMPLETED"
	Failed    State = "FAILED"
)

// Calculation is one calculation as it is stored.
type Calculation struct {
	ID          string
	Session     session.Key
	Account     string
	Workgroup   string
	Description string
	Code        string
	State       State
	Reason      string // StateChangeReason; empty on success
	Submitted   time.Time
	Completed   time.Time // zero until terminal
	Run         time.Duration
	DPUMillis   int64
	Progress    engine.Tasks
	WorkingDir  string // s3:// location of the three objects, without trailing slash
	StdoutURI   string // set once the objects were put
	StderrURI   string
	ResultURI   string
	ResultType  string
	Version     int64
}
