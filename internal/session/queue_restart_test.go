package session_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"glaux/internal/engine"
	"glaux/internal/engine/enginetest"
	"glaux/internal/session"
)

// TestRestartInEveryStepOfTheQueue ends a server after each of its calls of the
// store in turn, from where on the store is down, and starts another one: the sessions that were made
// come up one after the other all the same, each with one driver.
func TestRestartInEveryStepOfTheQueue(t *testing.T) {
	for after := 1; ; after++ {
		more := false
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { more = restartAfter(t, newWorld(t), after) })
		})
		if !more {
			break
		}
		if after > 100 {
			t.Fatal("there is no end")
		}
	}
}

// restartAfter returns false when the server made fewer calls.
func restartAfter(t *testing.T, w *world, after int) (reached bool) {
	w.machine.OnLaunch = func(engine.Spec) enginetest.Start { return enginetest.Start{Preparing: time.Second} }
	limits := budget(session.Budgets{AccountSessions: 1})
	calls := 0
	w.failStore(func(string) error { // under the world's own lock
		if calls++; calls > after {
			return errors.New("the store is down")
		}
		return nil
	})
	s := w.serve(t, limits)
	var made []string
	for range 3 {
		if got, err := s.Start(t.Context(), root, session.Request{Workgroup: "spark"}); err == nil {
			made = append(made, got.ID)
		}
		sleep(time.Millisecond) // rows of the same microsecond have no order
	}
	sleep(2 * time.Second)
	if len(made) == 3 {
		_, _ = s.Terminate(t.Context(), root, made[0])
		_, _ = s.Terminate(t.Context(), root, made[1])
	}
	sleep(3 * time.Second)
	s.stop()
	w.mu.Lock()
	reached = calls > after
	w.mu.Unlock()
	w.failStore(nil)
	sleep(10 * time.Second)
	s = w.serve(t, limits)
	sleep(5 * time.Second)
	for _, id := range made {
		got, err := s.Get(t.Context(), root, id)
		if err != nil {
			t.Fatal(err)
		}
		if got.State == session.Ended {
			if got.Cause != session.Asked {
				t.Errorf("a session ended by %s: %s", got.Cause, got.Reason)
			}
			continue
		}
		if got.AthenaState() != "IDLE" {
			t.Fatalf("a session is %s: %s", got.AthenaState(), got.Reason)
		}
		if alive := w.machine.Alive(); len(alive) != 1 || alive[0] != got.Key {
			t.Fatalf("drivers of %v run", alive)
		}
		s.end(t, id)
		sleep(5 * time.Second)
	}
	if q := s.Queue(); q.Held != 0 || len(q.Waiting) != 0 {
		t.Errorf("left are %+v", q)
	}
	return reached
}

// TestStormOfStarts starts and ends sessions at once from many callers: there
// are never more than the budget has, and all of them come to their end.
func TestStormOfStarts(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		const most = 5
		var mu sync.Mutex
		running, peak := 0, 0
		w.machine.OnLaunch = func(engine.Spec) enginetest.Start {
			mu.Lock()
			defer mu.Unlock()
			running = len(w.machine.Alive()) + 1
			peak = max(peak, running)
			return enginetest.Start{Scheduled: 100 * time.Millisecond, Preparing: time.Second}
		}
		s := w.serve(t, budget(session.Budgets{AccountSessions: most}))
		var callers sync.WaitGroup
		for i := range 50 {
			callers.Go(func() {
				who := user(fmt.Sprint(i % 7))
				made, err := s.Start(t.Context(), who, session.Request{Workgroup: "spark"})
				if err != nil {
					t.Error(err)
					return
				}
				time.Sleep(time.Duration(i) * 300 * time.Millisecond)
				if _, err := s.Terminate(t.Context(), who, made.ID); err != nil {
					t.Error(err)
				}
			})
		}
		callers.Wait()
		sleep(30 * time.Second)
		if peak > most {
			t.Errorf("%d drivers ran at once, %d may", peak, most)
		}
		if q := s.Queue(); q.Held != 0 || len(q.Waiting) != 0 || len(w.machine.Alive()) != 0 {
			t.Errorf("left are %+v and %v", q, w.machine.Alive())
		}
	})
}
