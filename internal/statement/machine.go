package statement

import (
	"fmt"
	"time"
)

// Event is what happened to a statement, or was asked of it.
type Event string

// The events of a statement.
const (
	Began       Event = "Began"       // it was taken from the queue
	Stop        Event = "Stop"        // its end was asked for
	Succeeded   Event = "Succeeded"   // the code ran to its end
	Raised      Event = "Raised"      // the code raised
	Interrupted Event = "Interrupted" // its end was asked for, or that of its session, and took effect
	Broke       Event = "Broke"       // the driver ended under it
)

// moves is the whole machine: what is absent is refused. Available, Cancelled
// and Broken are final. A statement whose end was asked for ends as Cancelled
// however its code took it: clients wait for that state.
var moves = map[State]map[Event]State{
	Waiting:    {Began: Running, Stop: Cancelled, Interrupted: Cancelled, Broke: Broken},
	Running:    {Succeeded: Available, Raised: Available, Stop: Cancelling, Interrupted: Cancelled, Broke: Broken},
	Cancelling: {Stop: Cancelling, Succeeded: Cancelled, Raised: Cancelled, Interrupted: Cancelled, Broke: Cancelled},
	Available:  {},
	Cancelled:  {},
	Broken:     {},
}

// States returns every state, in the order of a statement's life.
func States() []State {
	return []State{Waiting, Running, Cancelling, Available, Cancelled, Broken}
}

// Events returns every event, in the order of a statement's life.
func Events() []Event { return []Event{Began, Stop, Succeeded, Raised, Interrupted, Broke} }

// Next returns the state that e leads to, or a *TransitionError.
func (s State) Next(e Event) (State, error) {
	if to, ok := moves[s][e]; ok {
		return to, nil
	}
	return s, &TransitionError{From: s, On: e}
}

// Terminal reports whether the state is final.
func (s State) Terminal() bool { return s == Available || s == Cancelled || s == Broken }

// TransitionError refuses an event that the machine lacks for a state.
type TransitionError struct {
	From State
	On   Event
}

// Error names state and event.
func (e *TransitionError) Error() string {
	return fmt.Sprintf("cannot take event %s in statement state %s", e.On, e.From)
}

// Move takes s through one event. It is the only place that changes State, and
// with it Started, Completed and Output, which out is where the event is an
// end: an end always has one.
func (s *Statement) Move(e Event, at time.Time, out Output) error {
	to, err := s.State.Next(e)
	if err != nil {
		return err
	}
	s.State = to
	at = at.UTC()
	if e == Began {
		s.Started = at
	}
	if to.Terminal() {
		s.Completed, s.Output = at, &out
		for _, t := range []time.Time{s.Submitted, s.Started} { // the driver's clock and ours may differ
			if s.Completed.Before(t) {
				s.Completed = t
			}
		}
	}
	return nil
}
