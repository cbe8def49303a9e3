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
	Admitted  time.Time // when it had its place in the budgets; zero while it waits
	Spawned   time.Time // when the driver process was first seen to run; zero before
	IdleSince time.Time // zero while not idle
	EndedAt   time.Time // zero until Ended

	Glue    *GlueConfig // of the Glue face; nil for Athena's
	Deleted bool        // callers no longer see it, and its id is free; Glue only

	Work           string            // id of the calculation that has the session; empty: none
	Statements     int               // how many were ever made, which is the id of the next
	Open           int               // how many of them wait or run
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

// Kind is Glue's SessionType.
type Kind string

// The kinds of Glue sessions.
const (
	Livy         Kind = "LIVY"          // runs statements
	SparkConnect Kind = "SPARK_CONNECT" // is driven through Spark Connect alone
)

// GlueConfig is what a Glue session was asked for, as it reads back, with
// Glue's defaults filled in.
type GlueConfig struct {
	Kind           Kind
	Command        string            // "glueetl" or "gluestreaming"
	PythonVersion  string            // as given; empty: absent
	GlueVersion    string            // "5.1"
	Arguments      map[string]string // DefaultArguments
	Connections    []string
	HasConnections bool          // the member was given, if only as an empty list
	MaxCapacity    float64       // DPUs; always set
	WorkerType     string        // empty when MaxCapacity was asked for
	Workers        int           // zero when MaxCapacity was asked for
	Security       string        // name of the security configuration; empty: none
	Profile        string        // name of the usage profile that applied; empty: none
	Origin         string        // RequestOrigin
	Timeout        time.Duration // the session's longest life
	Idle           time.Duration // how long it may be idle
}
