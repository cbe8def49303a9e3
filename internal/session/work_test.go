package session_test

import (
	"testing"
	"testing/synctest"
	"time"

	"glaux/internal/engine"
	"glaux/internal/engine/enginetest"
	"glaux/internal/session"
)

// change edits a row as calculations do.
func (w *world) change(t *testing.T, key session.Key, f func(*session.Session) error) {
	t.Helper()
	if _, err := w.store.UpdateSession(t.Context(), key, f); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

// operate shows Connect operations: none run where ended is set.
func (w *world) operate(key session.Key, running int, ended time.Time) {
	w.machine.SetOperations(key, running, ended)
	synctest.Wait()
}

func TestConnectWorkMakesBusyAndMovesTheIdleClock(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made := s.start(t)
		sleep(19 * time.Minute)
		w.operate(made.Key, 1, time.Time{})
		if got := s.want(t, made.ID, "BUSY"); !got.IdleSince.IsZero() || !got.Changed.Equal(time.Now()) {
			t.Errorf("idle since %s, changed %s", got.IdleSince, got.Changed)
		}
		w.operate(made.Key, 3, time.Time{})
		sleep(3 * time.Hour) // work is no idle time
		s.want(t, made.ID, "BUSY")
		ended := time.Now()
		sleep(200 * time.Millisecond) // the end is told a moment later
		w.operate(made.Key, 0, ended)
		if got := s.want(t, made.ID, "IDLE"); !got.IdleSince.Equal(ended) {
			t.Errorf("idle since %s, want %s", got.IdleSince, ended)
		}
		sleep(20*time.Minute - time.Second)
		s.want(t, made.ID, "IDLE")
		sleep(time.Second)
		if got := s.want(t, made.ID, "TERMINATED"); got.Reason != "The session was idle for 20 minutes." || got.Operating {
			t.Errorf("reason %q, operating %v", got.Reason, got.Operating)
		}
	})
}

func TestConnectWorkThatWasNotSeenMovesTheIdleClock(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made := s.start(t)
		sleep(19 * time.Minute)
		w.operate(made.Key, 0, time.Now())
		if got := s.want(t, made.ID, "IDLE"); !got.IdleSince.Equal(time.Now()) {
			t.Errorf("idle since %s, want %s", got.IdleSince, time.Now())
		}
		last := s.want(t, made.ID, "IDLE").Version
		w.machine.SetTasks(made.Key, engine.Tasks{}) // the same status again
		sleep(19 * time.Minute)
		if got := s.want(t, made.ID, "IDLE"); got.Version != last {
			t.Error("the row was written although nothing happened")
		}
		w.operate(made.Key, 0, time.Now().Add(-time.Hour)) // older than what is known
		sleep(time.Minute)
		s.want(t, made.ID, "TERMINATED")
	})
}

func TestOperationsFromAClockThatIsAhead(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made := s.start(t)
		sleep(time.Minute)
		w.operate(made.Key, 0, time.Now().Add(time.Hour))
		if got := s.want(t, made.ID, "IDLE"); !got.IdleSince.Equal(time.Now()) {
			t.Errorf("idle since %s, want %s", got.IdleSince, time.Now())
		}
		sleep(20 * time.Minute)
		s.want(t, made.ID, "TERMINATED")
	})
}

func TestCalculationAndConnectWorkTogether(t *testing.T) {
	take := func(s *session.Session) error { return s.Take("c", time.Now()) }
	leave := func(s *session.Session) error { return s.Leave(time.Now()) }
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made := s.start(t)
		sleep(time.Minute)
		// The calculation begins and ends within the operations.
		w.operate(made.Key, 1, time.Time{})
		w.change(t, made.Key, take)
		if got := s.want(t, made.ID, "BUSY"); got.Free() {
			t.Error("a session with a calculation takes another one")
		}
		w.change(t, made.Key, leave)
		if got := s.want(t, made.ID, "BUSY"); !got.Free() {
			t.Error("operations keep the session from a calculation")
		}
		sleep(time.Minute)
		w.operate(made.Key, 0, time.Now())
		s.want(t, made.ID, "IDLE")
		// The operations begin and end within the calculation.
		w.change(t, made.Key, take)
		w.operate(made.Key, 1, time.Time{})
		sleep(time.Minute)
		w.operate(made.Key, 0, time.Now())
		s.want(t, made.ID, "BUSY")
		sleep(time.Hour)
		w.change(t, made.Key, leave)
		if got := s.want(t, made.ID, "IDLE"); !got.IdleSince.Equal(time.Now()) {
			t.Errorf("idle since %s, want %s", got.IdleSince, time.Now())
		}
		// They overlap.
		w.change(t, made.Key, take)
		w.operate(made.Key, 2, time.Time{})
		w.change(t, made.Key, leave)
		s.want(t, made.ID, "BUSY")
		w.operate(made.Key, 0, time.Now())
		s.want(t, made.ID, "IDLE")
	})
}

func TestConnectWorkOverARestart(t *testing.T) {
	for name, c := range map[string]struct {
		before, after bool
		state         string
	}{
		"goes on":          {true, true, "BUSY"},
		"ended meanwhile":  {true, false, "IDLE"},
		"began meanwhile":  {false, true, "BUSY"},
		"came and went":    {false, false, "IDLE"},
		"driver ended too": {true, true, "FAILED"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				show := func(key session.Key, running bool) {
					n := 0
					if running {
						n = 1
					}
					w.operate(key, n, time.Now())
				}
				s := w.serve(t)
				made := s.start(t)
				sleep(time.Minute)
				show(made.Key, c.before)
				s.stop()
				sleep(time.Hour) // longer than the idle timeout
				show(made.Key, c.after)
				ended := time.Now()
				if c.state == "FAILED" {
					w.machine.Crash(made.Key, exitCode(1))
				}
				sleep(time.Minute)
				s = w.serve(t)
				synctest.Wait()
				got := s.want(t, made.ID, c.state)
				if c.state == "IDLE" && !got.IdleSince.Equal(ended) {
					t.Errorf("idle since %s, want %s", got.IdleSince, ended)
				}
				if got.Operating != (c.state == "BUSY") {
					t.Errorf("operating: %v", got.Operating)
				}
			})
		})
	}
}

func TestDegradedSessionGoesOnWithItsOperations(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made := s.start(t)
		sleep(time.Minute)
		w.operate(made.Key, 1, time.Time{})
		w.machine.SetResponsive(made.Key, false, "the interpreter does not answer")
		synctest.Wait()
		s.want(t, made.ID, "DEGRADED")
		w.machine.SetResponsive(made.Key, true, "")
		synctest.Wait()
		s.want(t, made.ID, "BUSY")
		w.machine.SetResponsive(made.Key, false, "the interpreter does not answer")
		w.operate(made.Key, 0, time.Now())
		s.want(t, made.ID, "DEGRADED")
		w.machine.SetResponsive(made.Key, true, "")
		synctest.Wait()
		s.want(t, made.ID, "IDLE")
	})
}

func TestOperationsBeforeTheSessionIsReady(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.machine.OnLaunch = func(engine.Spec) enginetest.Start { return enginetest.Start{Preparing: time.Minute} }
		s := w.serve(t)
		made := s.start(t)
		sleep(time.Second)
		w.operate(made.Key, 1, time.Time{}) // Connect may answer a moment before cells can run
		s.want(t, made.ID, "CREATED")
		sleep(time.Minute)
		s.want(t, made.ID, "BUSY")
		w.operate(made.Key, 0, time.Now())
		s.want(t, made.ID, "IDLE")
	})
}
