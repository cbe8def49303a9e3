// Package session keeps sessions: one domain object behind Athena's and
// Glue's faces, its state machine, and the manager that moves it.
package session

import (
	"time"

	"glaux/internal/engine"
	"glaux/internal/workgroup"
)

// Key is a session's own random UUID, distinct from the id a caller sees. It
// names the driver, its sockets, directories and processes.
type Key = engine.Key

// Face says through which service a session was made; each lists only its own.
type Face string

// The faces of a session.
const (
	Athena Face = "athena"
	Glue   Face = "glue"
)

// Cause says why a session ended.
type Cause string

// The causes of an end.
const (
	Asked       Cause = "asked"
	Expired     Cause = "idle"     // idle timeout
	Lifetime    Cause = "lifetime" // maximum age
	Crashed     Cause = "crashed"
	FailedStart Cause = "failed-start"
	Lost        Cause = "lost" // shim killed, reboot, reused pid, or no server came back in time
)

// Session is one session as it is stored.
type Session struct {
	Key       Key
	Account   string
	Face      Face
	ID        string // what callers use; for Athena it equals Key
	Workgroup string
	Engine    string // workgroup.EnginePySpark or workgroup.EngineSpark35
	Owner     string // caller's ARN
	OwnerID   string // caller's user id

	Description     string
	NotebookVersion string
	NotebookID      string
	Config          workgroup.EngineConfig // as asked for, read back by GetSession
	Properties      map[string]string      // the merged Spark properties the driver was launched with
	Monitoring      *workgroup.Monitoring
	ExecutionRole   string
	WorkingDir      string // s3:// location for results
	KMSKey          string
	Encryption      string // SSE_S3, …; empty: none
	IdleTimeout     time.Duration

	Desired State // Idle (run) or Ended
	State   State
	Cause   Cause  // set once Ended, or while Stopping
	Reason  string // StateChangeReason; a sentence for people

	Created   time.Time
	Changed   time.Time // last change of State
	Spawned   time.Time // when the driver process was first seen to run; zero before
	IdleSince time.Time // zero while not idle
	EndedAt   time.Time // zero until Ended

	Work           string            // id of the calculation that has the session; empty: none
	Operating      bool              // Spark Connect operations run
	Executors      []engine.Executor // as last seen; newest first
	DPUs           int               // of the driver; metering
	Lived          time.Duration     // of the driver: up to now in what Get returns, to its end as its owner measured it once Ended
	RuntimeVersion string
	Handle         []byte // engine.Handle.Data; empty until launched
	ServerID       string // server that owns the driver
	Epoch          uint64
	Version        int64 // row version, for compare-and-swap
}
