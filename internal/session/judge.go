package session

import (
	"fmt"
	"time"
)

// judgeEvery is how often a session is looked at for an idle time, or a
// silence, that is over. Calculations move it without the goroutine that looks
// after it, so it is also how far a jump of the clock can move such an end.
const judgeEvery = 10 * time.Second

// standing measures how long a session has been Idle or Degraded on the
// monotonic clock: a clock that is set does not end sessions, or keep them.
type standing struct {
	state  State
	since  time.Time     // as the row has it
	seen   time.Time     // when it was first seen here
	before time.Duration // how long it had lasted then
	looked time.Time     // when the row was last looked at; zero: never
}

// begin starts the measurement of a session that is taken over: how long it
// has been in its state only the clock on the wall knows.
func (g *standing) begin(s Session, now time.Time) {
	g.elapsed(s, now)
	g.looked = now
}

// elapsed is how long s has been in its state, now, which has a monotonic part.
func (g *standing) elapsed(s Session, now time.Time) time.Duration {
	since := s.Changed
	if s.State == Idle {
		since = s.IdleSince
	}
	if g.state != s.State || !g.since.Equal(since) {
		before := max(0, now.Sub(since))
		if !g.looked.IsZero() {
			before = min(before, now.Sub(g.looked)) // it was not so at the last look
		}
		g.state, g.since, g.seen, g.before = s.State, since, now, before
	}
	return g.before + now.Sub(g.seen)
}

// limit is how long the session may stay in its state; zero: for ever.
func (v *serving) limit(s Session) time.Duration {
	switch s.State {
	case Idle:
		return s.IdleTimeout
	case Degraded:
		return v.m.cfg.DegradedTimeout
	case Queued, Launching, Started, Busy, Stopping, Ended:
	}
	return 0
}

// deaf is for how much longer a driver that was taken over may say nothing of
// itself before its session is judged by the row alone: what it did while no
// server was there only the driver knows.
func (v *serving) deaf(now time.Time) time.Duration {
	if v.shows.Phase != "" {
		return 0
	}
	return max(0, v.m.cfg.AdoptTimeout-now.Sub(v.begun))
}

// age is how long the session has existed. A clock that is set while this
// server looks after it does not move it.
func (v *serving) age(now time.Time) time.Duration {
	return max(0, v.begun.Sub(v.s.Created)) + now.Sub(v.begun)
}

// outlived says whether the session has lived as long as it may, and if not,
// after how long it will have; zero: never.
func (v *serving) outlived(now time.Time) (over bool, left time.Duration) {
	g := v.s.Glue
	if g == nil || g.Timeout <= 0 || v.s.Desired == Ended {
		return false, 0
	}
	left = g.Timeout - v.age(now)
	return left <= 0, left
}

// due is how long until judge has to look again.
func (v *serving) due() time.Duration {
	if d := v.deaf(time.Now()); d > 0 {
		return d
	}
	now, next := time.Now(), judgeEvery
	if over, left := v.outlived(now); over {
		return 0
	} else if left > 0 {
		next = min(next, left)
	}
	if most := v.limit(v.s); most > 0 {
		next = min(next, most-v.stood.elapsed(v.s, now))
	}
	return max(0, next)
}

// judge ends a session that was idle, did not answer, or lived for too long. The row
// decides: calculations move it without this goroutine.
func (v *serving) judge() bool {
	now := time.Now()
	if v.deaf(now) > 0 {
		return true
	}
	due := false
	over, _ := v.outlived(now)
	ok := v.save(func(s *Session) error {
		due = false
		if over && s.State != Stopping && s.State != Ended {
			due = true
			return s.Move(Stop, now, Lifetime, fmt.Sprintf("The session reached its timeout of %s.", minutes(s.Glue.Timeout)))
		}
		most := v.limit(*s)
		if lasted := v.stood.elapsed(*s, now); most > 0 && lasted >= most {
			due = true
			if s.State == Idle {
				return s.Move(TimedOut, now, Expired, fmt.Sprintf("The session was idle for %s.", minutes(most)))
			}
			return s.Move(Stop, now, Crashed, fmt.Sprintf("The interpreter did not answer for %s.", minutes(most)))
		}
		v.s = *s
		return errNotDue
	})
	v.stood.looked = now
	if ok && due {
		v.m.cfg.Log.InfoContext(v.work, "ending session", "session", string(v.e.key), "reason", v.s.Reason)
	}
	return ok
}
