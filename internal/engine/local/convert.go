package local

import (
	"strings"
	"time"

	"glaux/internal/engine"
	"glaux/internal/shim"
)

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// fromStatus converts a shim's status into the contract's.
func fromStatus(s shim.Status) engine.Status {
	out := engine.Status{
		ApplicationID: s.ApplicationID, SparkVersion: s.SparkVersion, Cell: engine.CellID(s.Cell),
		Tasks: engine.Tasks{Done: s.TasksDone, Total: s.TasksTotal}, Responsive: s.Responsive, Note: s.Note,
		Operations: s.Operations, Operated: fromMillis(s.Operated),
		Context: time.Duration(s.Context) * time.Millisecond, Attached: time.Duration(s.Attached) * time.Millisecond,
	}
	switch s.Phase {
	case shim.PhasePrepared:
		out.Phase = engine.Prepared
	case shim.PhaseWaiting:
		out.Phase = engine.Waiting
	case shim.PhaseGone:
		out.Phase = engine.Gone
	default:
		out.Phase = engine.Started
	}
	for _, x := range s.Executors {
		out.Executors = append(out.Executors, engine.Executor{
			ID: x.ID, Host: x.Host, Cores: x.Cores, Added: fromMillis(x.Added), Removed: fromMillis(x.Removed), Reason: x.Reason,
		})
	}
	return out
}

// fromRecord converts a cell's record.
func fromRecord(r shim.Record) engine.CellResult {
	out := engine.CellResult{
		ID: engine.CellID(r.ID), Started: fromMillis(r.Started), Ended: fromMillis(r.Ended), Run: r.Run,
		Sizes: fromStreams(r.Sizes), Truncated: fromStreams(r.Truncated),
	}
	switch r.Outcome {
	case shim.Succeeded:
		out.Outcome = engine.Succeeded
	case shim.Raised:
		out.Outcome = engine.Failed
	case shim.Cancelled:
		out.Outcome = engine.Cancelled
	default:
		out.Outcome = engine.Lost
	}
	if r.Error != nil {
		out.Error = &engine.CellError{Name: r.Error.Name, Value: r.Error.Value, Traceback: r.Error.Traceback}
	}
	return out
}

func fromStreams(m map[string]int64) map[engine.Stream]int64 {
	out := make(map[engine.Stream]int64, len(m))
	for k, v := range m {
		out[engine.Stream(k)] = v
	}
	return out
}

// fromExit converts the record of a driver's end.
func fromExit(e shim.Exit) engine.Exit {
	return engine.Exit{
		Asked: e.Asked, Orphan: e.Orphan, Lost: e.Lost, Code: e.Code, Signal: e.Signal, Memory: e.Memory, Limit: e.Limit,
		Process: e.Process, Tail: e.Tail, Started: fromMillis(e.Started), Ended: fromMillis(e.Ended), Lived: e.Lived,
	}
}

// causeOf says in a line why a driver is not ready.
func causeOf(e shim.Exit) string {
	cause := e.Cause
	if cause == "" {
		cause = "the driver ended"
	}
	// Of a start that failed without a word, the last line written says most.
	if !e.Ready && !e.Asked && len(e.Tail) > 0 && strings.Contains(cause, " ended with status ") {
		cause += ": " + e.Tail[len(e.Tail)-1]
	}
	return cause
}
