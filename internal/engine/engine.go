// Package engine holds the contracts between a session and whatever runs its
// driver (the JVM and Python behind it). Package enginetest is the suite that
// every implementation passes, the fake included.
package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// Key names one driver: a random UUID that is written to the store before
// Launch and never reused. It alone names sockets, directories and processes.
type Key string

// Spec says what to launch. It holds no credentials; a driver asks for those at AgentToken's endpoint.
type Spec struct {
	Key        Key
	Epoch      uint64            // owner epoch; a shim refuses a lower one than it has seen
	Properties map[string]string // Spark properties, keys start with "spark."
	Args       []string          // sys.argv[1:] of the user's code
	Env        map[string]string // extra environment of JVM and Python
	Region     string            // AWS_REGION inside the driver
	AgentToken string            // sent as the Authorization header to the credentials endpoint
	Cores      int               // task slots of the driver: local[Cores]
	HeapMiB    int               // JVM heap limit, MiB
	MaxOutput  int64             // bytes kept of each output stream of a cell
	MaxLog     int64             // bytes kept of each of the driver's own streams; zero: the launcher's choice
	Orphaned   time.Duration     // the driver ends itself when no server has come back for so long
	Warehouse  string            // s3:// location of spark.sql.warehouse.dir; empty: in the work directory
	EventLog   string            // directory for Spark's event log, which outlives the driver; empty: none is written

	Language Language     // of every cell; empty: Python
	Display  Display      // how the values of cells are shown; empty: Notebook
	Formats  []string     // table formats whose jars are on the class path: "iceberg", "delta", "hudi"
	Modules  Requirements // Python packages beside the runtime's; a *StartError holds pip's words when they cannot be had
	Files    []string     // copied into the work directory before the first cell; paths of the session's file systems, such as s3://bucket/key
	Notes    []string     // lines for people, written to the driver's standard error once, at its start

	Wait Wait // the driver waits for a session to claim it; empty: it is one's from the beginning
}

// Wait is how far a driver comes that waits for a session to claim it.
type Wait string

// The ways to wait.
const (
	// WaitContext: SparkContext up, Python attached, first queries run.
	WaitContext Wait = "context"
	// WaitProperties: JVM and Python are there, Spark's classes loaded and
	// compiled; the context is made once the session's properties are known.
	WaitProperties Wait = "properties"
)

// Language is what the cells of a driver are written in.
type Language string

// The languages of cells.
const (
	Python Language = "python"
	Scala  Language = "scala"
)

// Display says how the value of a cell's last expression becomes its last line
// of Displays.
type Display string

// The ways to show values.
const (
	// Notebook shows every representation a value has, and open figures.
	Notebook Display = "notebook"
	// Plain shows text/plain alone, as Python's own prompt does, and understands the
	// magics %matplot, %plotly, %json and %table, whose lines of Displays have
	// their MIME type beside an empty or short text/plain.
	Plain Display = "plain"
)

// Requirements are Python packages to install for one driver, as pip takes them.
type Requirements struct {
	Specs   []string // requirement specifiers, and s3:// locations of wheels and archives
	Options []string // further arguments of "pip install"
}

// Handle finds a launched driver again after a restart of the server. It is
// opaque to everything but the launcher that made it, versioned, and saved
// with the session.
type Handle struct {
	Key   Key
	Data  []byte // JSON of the launcher
	Waits bool   // the driver was launched to wait, and no session has claimed it; as List and Adopt saw it
	Epoch uint64 // owner epoch to adopt with; zero: the one Data was made with
}

// Launcher starts drivers. Its methods are safe for concurrent use.
type Launcher interface {
	// Launch starts a driver and returns once it is scheduled, not once it is
	// ready. It is idempotent by Spec.Key.
	Launch(context.Context, Spec) (Driver, error)
	// Adopt finds a driver that an earlier server launched. The error is
	// ErrGone when neither the driver nor a record of its end exists.
	Adopt(context.Context, Handle) (Driver, error)
	// List returns every driver that runs or left something behind, so that
	// nothing is ever orphaned.
	List(context.Context) ([]Handle, error)
}

// Driver is one launched driver. Its methods are safe for concurrent use.
type Driver interface {
	Handle() Handle
	// Ready blocks until code can run. It returns a *StartError when the
	// driver ended or refused to start, with a cause a person can act on.
	Ready(context.Context) error
	// Watch calls f with the driver's status at once and after every change,
	// one call at a time, until the driver is gone (nil) or ctx ends.
	Watch(ctx context.Context, f func(Status)) error
	// Dial connects to a service of the driver. The error is ErrUnserved, with
	// the reason, when the driver lives but will never have that service.
	Dial(context.Context, Service) (net.Conn, error)
	// Stop asks politely, forces when ctx ends, and returns once the driver is gone.
	Stop(context.Context) error
	// Wait returns when the driver is gone.
	Wait(context.Context) (Exit, error)
	// Remove deletes what a driver that is gone left behind. Idempotent.
	Remove(context.Context) error
}

// Claimer is the ability of a driver that was launched with Spec.Wait to become
// a session's.
type Claimer interface {
	// Claim gives a driver that waits to the session of the spec, whose Key is
	// the driver's own: its logs, its lifetime and its executors' begin now, and
	// Properties, Args, Display, Notes and Orphaned of the spec hold from here
	// on. With WaitContext only properties count that a running context takes;
	// all others, and all else in the spec, are to be those that it was launched
	// with. JVM and Python answer before Claim returns. After an error the
	// driver ends. Idempotent for the same spec.
	Claim(ctx context.Context, spec Spec) error
}

// Origin says where a driver came from.
type Origin struct {
	Tier   Tier
	Missed string // why none was ready, for people: a property, say; empty for Warm
}

// Tier is how much of a driver was there before it was asked for.
type Tier string

// The tiers.
const (
	Warm   Tier = "warm"   // all of it
	Primed Tier = "primed" // all but its SparkContext
	Cold   Tier = "cold"   // nothing
)

// Pool is the ability of a launcher to have drivers ready.
type Pool interface {
	// Reserve takes a driver that fits the spec, whose Key stands for the one to
	// come, and returns its key: with that in the place of the other, Launch
	// gives the driver to the session. ok is false when none is ready. It does
	// not block. A key that is not launched within a minute is one like any
	// other again, and its driver is ended.
	Reserve(spec Spec) (key Key, ok bool)
	// Release gives back a key of Reserve that no session was made with.
	Release(Key)
	// Origin tells where the driver of a key came from that Launch has returned,
	// for a minute at least.
	Origin(Key) Origin
}

// Runner is the ability of a driver to run cells of code, one at a time.
type Runner interface {
	// Run starts a cell and returns once the driver has taken it. It is
	// idempotent by Cell.ID. The error is ErrBusy while another cell runs.
	Run(context.Context, Cell) error
	// Result blocks until the cell has ended. It also answers for a cell that
	// ended while no server was there, and after the driver is gone.
	Result(context.Context, CellID) (CellResult, error)
	// Interrupt cancels the cell: politely, then by killing the interpreter.
	// It returns once asked; Result tells when it took effect.
	Interrupt(context.Context, CellID) error
	// Output reads a cell's stream from offset, follows it while the cell
	// runs, and ends with io.EOF after the last byte of an ended cell.
	Output(ctx context.Context, id CellID, s Stream, offset int64) (io.ReadCloser, error)
	// Discard drops what is kept of an ended cell. Idempotent.
	Discard(context.Context, CellID) error
}

// Keeper is the ability of a driver to say what its services ask of a client.
type Keeper interface {
	// Secret returns what a client presents to the service: for Connect the
	// value of the gRPC metadata key x-glaux-session-secret, for UI that of
	// the HTTP header X-Glaux-Session-Secret. It is made at launch, another
	// one for every driver and service, and never changes; it must not leave
	// the server. The error is ErrNoSecret for a service that asks for none,
	// and ErrGone once the driver was removed.
	Secret(context.Context, Service) (string, error)
}

// Killer is the ability of a launcher to end a driver that answers nobody, so
// that Adopt returns none to stop.
type Killer interface {
	// Kill ends the driver by force and records that it was lost. It returns
	// once nothing of it runs; Adopt and Remove are possible then. A driver
	// that is gone is no error.
	Kill(context.Context, Key) error
}

// Service is something inside a driver one can connect to.
type Service string

// The services of a driver.
const (
	Connect Service = "connect" // Spark Connect (gRPC on a Unix socket)
	UI      Service = "ui"      // the Spark UI (HTTP)
)

// Status is what is known of a driver at one moment.
type Status struct {
	Phase         Phase
	ApplicationID string // Spark's own; empty before Ready
	SparkVersion  string
	Executors     []Executor // newest first; those that ended stay listed
	Operations    int        // Spark Connect operations that run
	Operated      time.Time  // when the last of them ended; zero: none has
	Cell          CellID     // the running cell; empty when idle
	Tasks         Tasks      // Spark tasks of the running cell
	Responsive    bool       // false while the interpreter does not answer pings or is being killed
	Note          string     // why Responsive is false; a sentence for people

	// How long the steps of the start took, from when the session had the
	// driver; zero: not yet, or before that.
	Context, Attached time.Duration
}

// Phase is how far a driver has come.
type Phase string

// The phases of a driver, in order.
const (
	Scheduled Phase = "scheduled" // asked for, no process yet
	Started   Phase = "started"   // the process runs
	Waiting   Phase = "waiting"   // for a session to claim it
	Prepared  Phase = "prepared"  // SparkContext up, Python attached: cells can run
	Gone      Phase = "gone"
)

// Executor is one Spark executor, the driver's own among them.
type Executor struct {
	ID      string // Spark's id; "driver" for the driver
	Host    string
	Cores   int
	Added   time.Time
	Removed time.Time // zero while it lives
	Reason  string    // why it was removed
}

// Tasks counts the Spark tasks a cell has started so far.
type Tasks struct{ Done, Total int }

// CellID names a cell within its driver: a calculation's id, or a statement's.
type CellID string

// Cell is one block of code to run.
type Cell struct {
	ID   CellID
	Code string
}

// Stream is one of a cell's output streams.
type Stream string

// The streams of a cell. Displays holds one JSON object per line, each a map
// from MIME type to data (text as a string, images base64); the value of the
// last expression is the last of them.
const (
	Stdout   Stream = "stdout"
	Stderr   Stream = "stderr"
	Displays Stream = "displays"
)

// Outcome is how a cell ended.
type Outcome string

// The outcomes of a cell.
const (
	Succeeded Outcome = "succeeded"
	Failed    Outcome = "failed"    // the code raised
	Cancelled Outcome = "cancelled" // Interrupt was asked for and took effect
	Lost      Outcome = "lost"      // the driver ended under it
)

// CellResult is the record of an ended cell, stamped by whoever owns the driver.
type CellResult struct {
	ID        CellID
	Outcome   Outcome
	Started   time.Time
	Ended     time.Time
	Run       time.Duration // measured on a monotonic clock
	Error     *CellError    // set when Outcome is Failed; may be set for Cancelled and Lost
	Sizes     map[Stream]int64
	Truncated map[Stream]int64 // bytes dropped beyond the cap, per stream; stdout and stderr then end with a line that says so
}

// CellError is an exception that user code raised.
type CellError struct {
	Name      string   // "NameError"
	Value     string   // "name 'x' is not defined"
	Traceback []string // lines without the interpreter's own frames
}

// Exit says how a driver ended.
type Exit struct {
	Asked   bool // Stop was called, or the driver was asked from outside to end
	Orphan  bool // no server came back in time
	Lost    bool // no record of the end exists (killed shim, reboot, reused pid)
	Code    int  // exit status of the first process that ended; -1 when signalled
	Signal  int  // signal number; 0 when none
	Memory  bool // out of memory, by the kernel or the JVM
	Limit   int  // with Memory: MiB that all processes of the driver had together, when those were not enough; 0: the heap was not, or the machine's
	Process string
	Tail    []string // last lines of stderr
	Started time.Time
	Ended   time.Time
	Lived   time.Duration // measured on a monotonic clock, of the driver
}

// StartError says why a driver did not become ready.
type StartError struct {
	Cause string // for people: the line that matters, without stack
	Exit  Exit
}

func (e *StartError) Error() string { return fmt.Sprintf("cannot start driver: %s", e.Cause) }

// What the contracts return.
var (
	ErrGone     = errors.New("driver is gone")
	ErrBusy     = errors.New("driver runs another cell")
	ErrNoCell   = errors.New("no such cell")
	ErrStale    = errors.New("a newer server owns this driver")
	ErrNoLog    = errors.New("driver shows no logs")
	ErrNoReply  = errors.New("driver does not answer")
	ErrNoSecret = errors.New("driver has no secret for this service")
	ErrUnserved = errors.New("driver could not start this service")
)
