package session

import (
	"fmt"
	"time"
)

// State is a session's own state; each face projects it onto its enum.
type State string

// The states of a session.
const (
	Queued    State = "Queued"    // waits for a budget
	Launching State = "Launching" // the driver is being started
	Started   State = "Started"   // the driver process runs, code cannot yet
	Idle      State = "Idle"
	Busy      State = "Busy"
	Degraded  State = "Degraded" // the interpreter does not answer and is being judged
	Stopping  State = "Stopping"
	Ended     State = "Ended"
)

// Event is what happened to a session, or was asked of it.
type Event string

// The events of a session.
const (
	Admitted Event = "Admitted" // a budget was found for it
	Spawned  Event = "Spawned"  // the driver process runs
	Ready    Event = "Ready"    // the driver can run code
	Began    Event = "Began"    // work was taken: a calculation, a statement, or Spark Connect operations
	Finished Event = "Finished" // all of it ended
	Silent   Event = "Silent"   // the interpreter stopped answering
	Answered Event = "Answered" // it answers again, and runs nothing
	Resumed  Event = "Resumed"  // it answers again, and work goes on
	TimedOut Event = "TimedOut" // the idle timeout passed
	Stop     Event = "Stop"     // the end was asked for
	Exited   Event = "Exited"   // the driver is gone, or never came
)

// moves is the whole machine: what is absent is refused. Ended is final.
var moves = map[State]map[Event]State{
	Queued:    {Admitted: Launching, TimedOut: Ended, Stop: Ended, Exited: Ended},
	Launching: {Spawned: Started, Ready: Idle, Stop: Stopping, Exited: Ended},
	Started:   {Ready: Idle, Stop: Stopping, Exited: Ended},
	Idle:      {Began: Busy, Silent: Degraded, TimedOut: Stopping, Stop: Stopping, Exited: Ended},
	Busy:      {Began: Busy, Finished: Idle, Silent: Degraded, Stop: Stopping, Exited: Ended},
	Degraded:  {Answered: Idle, Resumed: Busy, Finished: Degraded, Stop: Stopping, Exited: Ended},
	Stopping:  {Stop: Stopping, Finished: Stopping, Exited: Ended},
	Ended:     {},
}

// States returns every state, in the order of a session's life.
func States() []State {
	return []State{Queued, Launching, Started, Idle, Busy, Degraded, Stopping, Ended}
}

// Events returns every event, in the order of a session's life.
func Events() []Event {
	return []Event{Admitted, Spawned, Ready, Began, Finished, Silent, Answered, Resumed, TimedOut, Stop, Exited}
}

// Next returns the state that e leads to, or a *TransitionError.
func (s State) Next(e Event) (State, error) {
	if to, ok := moves[s][e]; ok {
		return to, nil
	}
	return s, &TransitionError{From: s, On: e}
}

// TransitionError refuses an event that the machine lacks for a state.
type TransitionError struct {
	From State
	On   Event
}

// Error names state and event.
func (e *TransitionError) Error() string {
	return fmt.Sprintf("cannot take event %s in session state %s", e.On, e.From)
}

// Move takes s through one event. It is the only place that changes State,
// and with it Changed, Admitted, Spawned, IdleSince (which Operate may move on), EndedAt and, where an end begins, Cause,
// Reason and Desired. cause and why count for events that begin an end; what
// was set by an earlier one stays.
func (s *Session) Move(e Event, at time.Time, cause Cause, why string) error {
	to, err := s.State.Next(e)
	if err != nil {
		return err
	}
	at = at.UTC()
	if to != s.State {
		s.Changed = at
	}
	if to == Idle {
		s.IdleSince = at
	} else {
		s.IdleSince = time.Time{}
	}
	switch to {
	case Stopping, Ended:
		s.Desired = Ended
		if s.Cause == "" {
			s.Cause, s.Reason = cause, why
		}
		if to == Ended {
			s.EndedAt, s.Operating = at, false
		}
	case Degraded:
		if why != "" {
			s.Reason = why
		}
	case Started, Idle, Busy:
		if s.Spawned.IsZero() {
			s.Spawned = at
		}
		if to != Started { // till then it says what the start waits for
			s.Reason = ""
		}
	case Launching:
		s.Admitted, s.Reason = at, ""
	case Queued:
	}
	s.State = to
	return nil
}
