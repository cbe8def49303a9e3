package supervise

import (
	"fmt"
	"reflect"
	"time"

	"glaux/internal/shim"
)

// claimWithin bounds how long JVM and Python may take to say that they have
// taken over what a session brings. One that does not is not handed out.
const claimWithin = 2 * time.Second

// claiming is the one claim of a driver that waited; Supervisor.mu guards it.
type claiming struct {
	by     shim.Claim
	jvm    chan struct{} // closed once the JVM has taken it over
	python chan struct{} // closed once Python has
	done   chan struct{} // closed with the answer
	answer shim.Reply
}

// waitsLocked says whether the driver was started to wait and nobody has claimed it.
func (s *Supervisor) waitsLocked() bool { return s.spec.Wait != "" && s.claim == nil }

// answerClaim makes the driver that of the session that claims it. A claim that
// was lost on its way back may be sent again.
func (s *Supervisor) answerClaim(by *shim.Claim) shim.Reply {
	if by == nil {
		return shim.Reply{Code: shim.Bad, Text: "the claim is missing"}
	}
	s.mu.Lock()
	switch {
	case s.exit != nil:
		s.mu.Unlock()
		return shim.Reply{Code: shim.Gone, Text: "the driver ends"}
	case s.claim != nil:
		c := s.claim
		s.mu.Unlock()
		<-c.done
		if !reflect.DeepEqual(c.by, *by) {
			return shim.Reply{Code: shim.Busy, Text: "another session has claimed this driver"}
		}
		return c.answer
	case s.status.Phase != shim.PhaseWaiting:
		s.mu.Unlock()
		return shim.Reply{Code: shim.NotPrepared, Text: "the driver does not wait"}
	}
	c := &claiming{by: *by, jvm: make(chan struct{}), python: make(chan struct{}), done: make(chan struct{})}
	s.claim = c
	s.spec.Args, s.spec.Display, s.spec.Notes, s.spec.Orphaned = by.Args, by.Display, by.Notes, by.Orphaned
	s.mu.Unlock()
	defer close(c.done)

	s.giveWay(false)
	asked := time.Now()
	s.saveState() // from here on a server that comes takes it for a session's
	s.beginAnew()
	if c.answer = s.handOver(c); c.answer.Code != "" {
		s.end(shim.Exit{Code: 1, Process: "shim", Cause: c.answer.Text}, crashGrace)
		return c.answer
	}
	s.log.Info("claimed", "took", time.Since(asked))
	close(s.claimed)
	return c.answer
}

// beginAnew lets logs, metering and the executors' times begin with the session.
func (s *Supervisor) beginAnew() {
	for _, p := range []*pump{s.python.out, s.python.err, s.jvm.out, s.jvm.err} {
		p.sync()
		p.forget()
	}
	for _, w := range append(s.jvm.logs[:], s.python.logs[:]...) {
		w.Close() // a line that has not ended
	}
	for _, j := range s.logs {
		j.reset()
	}
	s.note()
	s.change(func() {
		now := time.Now()
		s.born, s.worked, s.rested = now, now, false
		s.status.Operated, s.status.Context, s.status.Attached = 0, 0, 0
		list := append([]shim.Executor(nil), s.status.Executors...) // snapshots share the old one
		for i := range list {
			list[i].Added = now.UnixMilli()
		}
		s.status.Executors = list
		if s.spec.Wait == shim.WaitProperties {
			s.status.Phase = shim.PhaseStarted
		}
	})
}

// handOver tells JVM and Python, and waits until both have it: a driver that
// has died while it waited is found here.
func (s *Supervisor) handOver(c *claiming) shim.Reply {
	timer := time.NewTimer(claimWithin)
	defer timer.Stop()
	await := func(who string, heard <-chan struct{}) shim.Reply {
		select {
		case <-heard:
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.refused != "" {
				return shim.Reply{Code: shim.Failed, Text: s.refused}
			}
			return shim.Reply{}
		case <-s.ending:
			return shim.Reply{Code: shim.Gone, Text: "the driver has ended while it waited"}
		case <-timer.C:
			return shim.Reply{Code: shim.Failed, Text: fmt.Sprintf("%s did not answer the claim within %v", who, claimWithin)}
		}
	}
	s.python.send(frame{"op": "claim", "argv": c.by.Args, "display": c.by.Display, "name": c.by.Settings["spark.app.name"]})
	s.jvm.command(frame{"op": "claim", "settings": c.by.Settings})
	if r := await("the JVM", c.jvm); r.Code != "" {
		return r
	}
	if r := await("the interpreter", c.python); r.Code != "" {
		return r
	}
	if s.spec.Wait == shim.WaitProperties {
		s.attach() // its context is on its way
		return shim.Reply{}
	}
	s.change(func() { s.status.Phase = shim.PhasePrepared })
	return shim.Reply{}
}

// claimTaken notes that one half has taken the claim over, or why it cannot.
func (s *Supervisor) claimTaken(half int, refused string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.claim == nil {
		return
	}
	if refused != "" {
		s.refused = refused
	}
	ch := s.claim.jvm
	if half == 1 {
		ch = s.claim.python
	}
	select {
	case <-ch:
	default:
		close(ch)
	}
}

// attach tells Python where the JVM's gateway is.
func (s *Supervisor) attach() {
	s.mu.Lock()
	p, f := s.python, frame{"op": "attach", "port": s.gateway.Port, "secret": s.gateway.Secret, "argv": s.spec.Args, "display": s.spec.Display, "language": s.spec.Language, "rehearse": s.spec.Wait == shim.WaitContext}
	s.mu.Unlock()
	if p != nil {
		p.send(f)
	}
}

// halted notes that one half has come as far as it does before a claim: 0 the
// JVM, 1 Python.
func (s *Supervisor) halted(half int) {
	s.change(func() {
		s.waiting[half] = true
		if s.waiting == [2]bool{true, true} && s.waitsLocked() && s.status.Phase == shim.PhaseStarted {
			s.status.Phase, s.worked = shim.PhaseWaiting, time.Now()
			s.log.Info("driver waits", "for", s.spec.Wait, "after", time.Since(s.born))
		}
	})
}

// age is for how long the session has had the driver.
func (s *Supervisor) age() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.born).Round(time.Millisecond)
}
