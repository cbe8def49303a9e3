package calc

import (
	"fmt"
	"slices"
	"time"
)

// Event is what happened to a calculation, or was asked of it.
type Event string

// The events of a calculation.
const (
	Sent        Event = "Sent"        // it is being handed to the driver
	Held        Event = "Held"        // the driver cannot take it yet
	Taken       Event = "Taken"       // the driver runs it
	Stop        Event = "Stop"        // its end was asked for
	Succeeded   Event = "Succeeded"   // the code ran to its end
	Raised      Event = "Raised"      // the code raised
	Interrupted Event = "Interrupted" // its end was asked for and took effect
	Broke       Event = "Broke"       // the driver ended under it, or its result cannot be kept
)

// moves is the whole machine: what is absent is refused. Completed, Failed and
// Canceled are final.
var moves = map[State]map[Event]State{
	Creating:  {Sent: Created, Stop: Canceling, Interrupted: Canceled, Broke: Failed},
	Created:   {Held: Queued, Taken: Running, Stop: Canceling, Interrupted: Canceled, Broke: Failed},
	Queued:    {Held: Queued, Taken: Running, Stop: Canceling, Interrupted: Canceled, Broke: Failed},
	Running:   {Succeeded: Completed, Raised: Failed, Stop: Canceling, Interrupted: Canceled, Broke: Failed},
	Canceling: {Stop: Canceling, Succeeded: Completed, Raised: Failed, Interrupted: Canceled, Broke: Canceled},
	Completed: {},
	Failed:    {},
	Canceled:  {},
}

// States returns every state, in the order of a calculation's life.
func States() []State {
	return []State{Creating, Created, Queued, Running, Canceling, Canceled, Completed, Failed}
}

// Events returns every event, in the order of a calculation's life.
func Events() []Event {
	return []Event{Sent, Held, Taken, Stop, Succeeded, Raised, Interrupted, Broke}
}

// Next returns the state that e leads to, or a *TransitionError.
func (s State) Next(e Event) (State, error) {
	if to, ok := moves[s][e]; ok {
		return to, nil
	}
	return s, &TransitionError{From: s, On: e}
}

// Terminal reports whether the state is final.
func (s State) Terminal() bool { return s == Completed || s == Failed || s == Canceled }

// unfinished returns the states that are not final.
func unfinished() []State {
	return slices.DeleteFunc(States(), State.Terminal)
}

// TransitionError refuses an event that the machine lacks for a state.
type TransitionError struct {
	From State
	On   Event
}

// Error names state and event.
func (e *TransitionError) Error() string {
	return fmt.Sprintf("cannot take event %s in calculation state %s", e.On, e.From)
}

// Move takes c through one event. It is the only place that changes State, and
// with it Completed and Reason, which is why where the event is an end without
// success.
func (c *Calculation) Move(e Event, at time.Time, why string) error {
	to, err := c.State.Next(e)
	if err != nil {
		return err
	}
	c.State = to
	if to.Terminal() {
		c.Completed = at.UTC()
		if c.Completed.Before(c.Submitted) {
			c.Completed = c.Submitted // the driver's clock and ours may differ
		}
	}
	if to == Failed || to == Canceled {
		c.Reason = why
	}
	return nil
}

// catchUp takes c through what happened since its row was written: short
// calculations pass through those states without a write.
func (c *Calculation) catchUp() {
	for _, e := range []Event{Sent, Taken} {
		if to, err := c.State.Next(e); err == nil {
			c.State = to
		}
	}
}
