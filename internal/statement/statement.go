// Package statement keeps statements: code that a Glue session runs one after
// the other in the order in which it came, its states, output and progress.
package statement

import (
	"strconv"
	"time"

	"glaux/internal/engine"
	"glaux/internal/session"
)

// State is a statement's state; the names are the wire's.
type State string

// The states of a statement.
const (
	Waiting    State = "WAITING"
	Running    State = "RUNNING"
	Available  State = "AVAILABLE" // the code ran to its end, well or not: Output says
	Cancelling State = "CANCELLING"
	Cancelled  State = "CANCELLED"
	Broken     State = "ERROR" // its driver ended under it
)

// Statement is one statement as it is stored.
type Statement struct {
	Session   session.Key
	ID        int // counts from 0 within the session
	Code      string
	State     State
	Submitted time.Time
	Started   time.Time // zero until it was taken from the queue
	Completed time.Time // zero until terminal
	Tasks     engine.Tasks
	Output    *Output // nil until terminal
	Version   int64
}

// Output is what is left of a statement that is over. The zero Output is that
// of a statement which never ran.
type Output struct {
	Status     string // StatusOK or StatusError; empty: it never ran
	Text       string // standard output, values, standard error
	ErrorsFrom int    // where standard error begins in Text, bytes
	ShownFrom  int    // where in Text that stands which Result is the better form of
	ShownTo    int
	MimeType   string // of Result, which a client can show; empty: there is none
	Result     string // text, or base64 of what is none
	ErrorName  string // with StatusError, as the next two
	ErrorValue string
	Traceback  []string // lines that end in newlines
}

// Streams are the two parts of Text, for who shows Result in its place.
func (o *Output) Streams() (stdout, stderr string) {
	return o.Text[:o.ShownFrom] + o.Text[o.ShownTo:o.ErrorsFrom], o.Text[o.ErrorsFrom:]
}

// The statuses of an Output, as the wire has them.
const (
	StatusOK    = "ok"
	StatusError = "error"
)

// Progress is the share of the Spark tasks known so far that are done, from 0 to 1.
func (s *Statement) Progress() float64 {
	switch {
	case s.State == Available:
		return 1
	case s.Tasks.Total <= 0:
		return 0
	}
	return min(1, float64(s.Tasks.Done)/float64(s.Tasks.Total))
}

// cellID names the statement's cell within its driver.
func cellID(id int) engine.CellID { return engine.CellID("statement-" + strconv.Itoa(id)) }

// Size is about how many bytes the statement has on the wire.
func (s *Statement) Size() int {
	n := 256 + len(s.Code)
	if o := s.Output; o != nil {
		n += len(o.Text) + len(o.Result) + len(o.ErrorValue)
		if o.MimeType != "" {
			n += len(o.Text) // once more, as the two streams
		}
		for _, line := range o.Traceback {
			n += len(line)
		}
	}
	return n
}
