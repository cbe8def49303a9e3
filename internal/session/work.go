package session

import "time"

// A session that runs is Busy while it works: for a calculation, of which it
// takes one at a time, for statements, which queue up, for Spark Connect
// operations, or for several of them at once. The methods here change Work,
// Open and Operating; nothing operates after the end.

// working says whether a calculation or statements have the session.
func (s *Session) working() bool { return s.Work != "" || s.Open > 0 }

// Free says whether the session can take a calculation. Connect operations do
// not keep it from that.
func (s *Session) Free() bool {
	return s.State == Idle || s.State == Busy && s.Work == ""
}

// Take gives the session to a calculation.
func (s *Session) Take(work string, at time.Time) error {
	if !s.Free() {
		return &TransitionError{From: s.State, On: Began}
	}
	s.Work = work
	return s.Move(Began, at, "", "")
}

// Leave takes the session from the calculation that has it.
func (s *Session) Leave(at time.Time) error {
	s.Work = ""
	if s.Operating && s.State == Busy {
		return nil
	}
	return s.Move(Finished, at, "", "")
}

// Enqueue gives the session one more statement and returns its id: they count
// from 0. A session whose interpreter is being judged takes it too, and is Busy
// once the interpreter answers.
func (s *Session) Enqueue(at time.Time) (id int, err error) {
	switch s.State {
	case Idle, Busy:
		err = s.Move(Began, at, "", "")
	case Degraded:
	case Queued, Launching, Started, Stopping, Ended:
		err = &TransitionError{From: s.State, On: Began}
	}
	if err != nil {
		return 0, err
	}
	id = s.Statements
	s.Statements++
	s.Open++
	return id, nil
}

// Dequeue takes the session from a statement that is over.
func (s *Session) Dequeue(at time.Time) error {
	s.Open = max(0, s.Open-1)
	if s.State != Busy || s.working() || s.Operating {
		return nil // nothing to move, or other work goes on
	}
	return s.Move(Finished, at, "", "")
}

// Operate notes what the driver shows of Connect operations at the time now:
// whether any run, and when the last of them ended, zero for never. The error
// is errNotDue when the row says so already.
func (s *Session) Operate(running bool, ended, now time.Time) error {
	switch s.State {
	case Idle, Busy, Degraded:
	case Queued, Launching, Started, Stopping, Ended:
		return errNotDue
	}
	if ended.After(now) {
		ended = now
	}
	switch {
	case running && !s.Operating:
		s.Operating = true
		if s.State == Degraded {
			return nil
		}
		return s.Move(Began, now, "", "")
	case !running && s.Operating:
		s.Operating = false
		if s.State != Busy || s.working() {
			return nil
		}
		if ended.Before(s.Changed) { // it was over before its beginning was noted
			ended = s.Changed
		}
		return s.Move(Finished, ended, "", "")
	case !running && s.State == Idle && ended.After(s.IdleSince):
		s.IdleSince = ended.UTC() // they came and went unseen
		return nil
	}
	return errNotDue
}

// goesOn is the event of an interpreter that answers again.
func (s *Session) goesOn() Event {
	if s.working() || s.Operating {
		return Resumed
	}
	return Answered
}
