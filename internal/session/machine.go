package session

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
