// Package shim is the protocol between the server and the shim, the small
// process that owns one session's JVM and Python and outlives the server.
//
// A connection carries one operation. The server sends one frame, a Request;
// the shim answers with one frame, a Reply, and for some operations with more:
//
//	status     a Reply with Status
//	claim      makes a driver that waits a session's: Claim says what that brings
//	watch      a Reply with Status at once and after every change, until the driver is gone
//	run        starts Cell; refused with Busy while another runs; idempotent by its id
//	result     blocks until Cell has ended, then a Reply with Record
//	interrupt  asks for the end of Cell, with a ladder that ends in killing the interpreter
//	output     a Reply, then the raw bytes of the Stream of Cell from Offset on until it has ended
//	log        a Reply, then the records of the driver's Stream from Offset on until the driver is gone
//	discard    drops what is kept of an ended Cell
//	dial       a Reply that carries a connected socket (SCM_RIGHTS)
//	stop       asks the driver to end, or with Force kills it; answered at once
//
// A record of a driver's stream is a line that one of its processes wrote:
//
//	1764000000123 jL text of the line
//
// the time at which it came in Unix milliseconds, a letter for who wrote it
// (FromJVM, FromPython, FromShim), a letter that says whether the line ends
// with it (WholeLine) or it is part of a very long one that goes on in that
// process's next record (PartOfLine), and the text, which has no newline.
// An offset lies between two records and counts bytes from the stream's very
// beginning, whatever has been dropped since; a request for what is no longer
// kept is refused with Trimmed and where that begins.
//
// A frame is a big-endian u32 length and so many bytes of JSON. Its first
// members are the protocol's version and the owner's epoch. A shim remembers
// the highest epoch it has seen and refuses lower ones, and ends what a lower
// one still has open, so two servers never drive one session. The server
// speaks Version and, from the second version on, the one before; recorded
// frames of each are under testdata.
package shim

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Version is the version of the protocol this package speaks.
const Version = 1

// MaxFrame bounds a frame, in bytes: code and records are far smaller.
const MaxFrame = 16 << 20

// Op names an operation.
type Op string

// The operations.
const (
	OpStatus    Op = "status"
	OpClaim     Op = "claim"
	OpWatch     Op = "watch"
	OpRun       Op = "run"
	OpResult    Op = "result"
	OpInterrupt Op = "interrupt"
	OpOutput    Op = "output"
	OpLog       Op = "log"
	OpDiscard   Op = "discard"
	OpDial      Op = "dial"
	OpStop      Op = "stop"
)

// Request is the first frame of a connection.
type Request struct {
	Version int    `json:"v"`
	Epoch   uint64 `json:"epoch"`
	Op      Op     `json:"op"`
	Cell    string `json:"cell,omitempty"`
	Code    string `json:"code,omitempty"`
	Stream  string `json:"stream,omitempty"`
	Offset  int64  `json:"offset,omitempty"`
	Service string `json:"service,omitempty"`
	Force   bool   `json:"force,omitempty"`
	Claim   *Claim `json:"claim,omitempty"`
}

// Claim is what a session brings to a driver that waits for one.
type Claim struct {
	Settings map[string]string `json:"settings,omitempty"` // Spark properties that a running context takes; of a driver that waits with one
	Args     []string          `json:"args,omitempty"`
	Display  string            `json:"display,omitempty"`
	Notes    []string          `json:"notes,omitempty"`
	Orphaned time.Duration     `json:"orphaned"`
}

// Code says why a request was refused.
type Code string

// The refusals.
const (
	Stale       Code = "stale"        // a server with a higher epoch owns the driver
	Mismatch    Code = "version"      // this shim does not speak the request's version
	Busy        Code = "busy"         // another cell runs
	NoCell      Code = "no-cell"      // no such cell
	NotPrepared Code = "not-prepared" // cells cannot run yet
	Gone        Code = "gone"         // the driver has ended
	Bad         Code = "bad"          // the request makes no sense
	Failed      Code = "failed"       // it was tried and did not work
	Unserved    Code = "unserved"     // the driver does not have that service, and never will; the text says why
	Trimmed     Code = "trimmed"      // a stream is kept from Reply.First on only
)

// Reply is what the shim answers.
type Reply struct {
	Version int     `json:"v"`
	Code    Code    `json:"code,omitempty"` // empty: done as asked
	Text    string  `json:"text,omitempty"` // says more about Code
	Status  *Status `json:"status,omitempty"`
	Record  *Record `json:"record,omitempty"`
	First   int64   `json:"first,omitempty"`
}

// Status is the driver at one moment. Times are Unix milliseconds.
type Status struct {
	Phase         string     `json:"phase"` // started, waiting, prepared, gone
	ApplicationID string     `json:"appId,omitempty"`
	SparkVersion  string     `json:"sparkVersion,omitempty"`
	Executors     []Executor `json:"executors,omitempty"` // newest first
	Cell          string     `json:"cell,omitempty"`
	TasksDone     int        `json:"tasksDone,omitempty"`
	TasksTotal    int        `json:"tasksTotal,omitempty"`
	Operations    int        `json:"operations,omitempty"` // of Spark Connect, that run
	Operated      int64      `json:"operated,omitempty"`   // when the last of them ended; 0: none has
	Responsive    bool       `json:"responsive"`
	Note          string     `json:"note,omitempty"`
	Archive       *Archive   `json:"archive,omitempty"`
	Context       int64      `json:"contextMs,omitempty"` // from the beginning to Spark's context; milliseconds
	Attached      int64      `json:"attachedMs,omitempty"`
}

// The phases in a Status.
const (
	PhaseStarted  = "started"
	PhaseWaiting  = "waiting" // for a session: see OpClaim
	PhasePrepared = "prepared"
	PhaseGone     = "gone"
)

// Archive says whether the JVM's start-up archive is in use.
type Archive struct {
	Used bool   `json:"used"`
	Why  string `json:"why,omitempty"`
}

// Executor is one Spark executor.
type Executor struct {
	ID      string `json:"id"`
	Host    string `json:"host"`
	Cores   int    `json:"cores"`
	Added   int64  `json:"added"`
	Removed int64  `json:"removed,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

// The streams of a cell.
const (
	Stdout   = "stdout"
	Stderr   = "stderr"
	Displays = "displays"
)

// The letters in a record of a driver's stream.
const (
	FromJVM    = 'j'
	FromPython = 'p'
	FromShim   = 's'
	WholeLine  = 'L'
	PartOfLine = 'P'
)

// The outcomes in a Record.
const (
	Succeeded = "succeeded"
	Raised    = "failed"
	Cancelled = "cancelled"
	Lost      = "lost"
)

// Record is what is kept of an ended cell: the content of its record.json.
type Record struct {
	ID        string           `json:"id"`
	Outcome   string           `json:"outcome"`
	Started   int64            `json:"started"` // Unix milliseconds
	Ended     int64            `json:"ended"`
	Run       time.Duration    `json:"run"` // nanoseconds on a monotonic clock
	Error     *CellError       `json:"error,omitempty"`
	Sizes     map[string]int64 `json:"sizes"`
	Truncated map[string]int64 `json:"truncated,omitempty"`
}

// CellError is an exception that user code raised.
type CellError struct {
	Name      string   `json:"name"`
	Value     string   `json:"value"`
	Traceback []string `json:"traceback"`
}

// Exit is how a driver ended: the content of exit.json.
type Exit struct {
	Asked   bool          `json:"asked,omitempty"`
	Orphan  bool          `json:"orphan,omitempty"`
	Lost    bool          `json:"lost,omitempty"` // written by the server: the shim left no record
	Code    int           `json:"code"`
	Signal  int           `json:"signal,omitempty"`
	Memory  bool          `json:"memory,omitempty"`
	Limit   int           `json:"limit,omitempty"` // MiB the session had, when that was not enough
	Process string        `json:"process,omitempty"`
	Tail    []string      `json:"tail,omitempty"`
	Cause   string        `json:"cause,omitempty"` // why it did not start, or what ended it, for people
	Ready   bool          `json:"ready,omitempty"` // cells could run before it ended
	Started int64         `json:"started"`
	Ended   int64         `json:"ended"`
	Lived   time.Duration `json:"lived"`
}

// Error is a refused request.
type Error struct {
	Code  Code
	Text  string
	First int64 // with Trimmed: where what is kept begins
}

func (e *Error) Error() string {
	if e.Text == "" {
		return "shim refused: " + string(e.Code)
	}
	return fmt.Sprintf("shim refused: %s: %s", e.Code, e.Text)
}

// WriteFrame writes v as one frame in one Write.
func WriteFrame(w io.Writer, v any) error {
	b, err := Frame(v)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// Frame returns v as the bytes of one frame.
func Frame(v any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("cannot encode frame: %w", err)
	}
	if len(body) > MaxFrame {
		return nil, fmt.Errorf("cannot send frame of %d bytes: the limit is %d", len(body), MaxFrame)
	}
	return append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body))), body...), nil
}

// ErrFrame is returned for a frame that is longer than allowed.
var ErrFrame = errors.New("frame is too long")

// ReadFrame reads one frame into v. It reads no byte beyond it. The error is
// io.EOF when there is none.
func ReadFrame(r io.Reader, v any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > MaxFrame {
		return fmt.Errorf("cannot read frame of %d bytes: %w", n, ErrFrame)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("cannot decode frame: %w", err)
	}
	return nil
}
