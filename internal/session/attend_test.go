package session_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"glaux/internal/engine"
	"glaux/internal/engine/enginetest"
	"glaux/internal/session"
)

// attendant is work that follows drivers.
type attendant struct {
	flush, settle time.Duration // how long they take

	mu    sync.Mutex
	calls []string
}

func (a *attendant) note(what string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls = append(a.calls, what)
}

func (a *attendant) noted(what string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Contains(a.calls, what)
}

func (a *attendant) Attend(s session.Session, d engine.Driver) {
	if d == nil {
		panic("no driver")
	}
	a.note("attend " + string(s.State))
}

func (a *attendant) Flush(ctx context.Context, _ session.Key) error {
	a.note("flush")
	return wait(ctx, a.flush)
}

func (a *attendant) Settle(ctx context.Context, _ session.Key) error {
	a.note("settle")
	return wait(ctx, a.settle)
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// attended serves with an attendant.
func (w *world) attended(t *testing.T, a *attendant) *server {
	t.Helper()
	m := w.manager(t)
	m.Attach(a)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = m.Run(ctx) })
	stop := sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(stop)
	return &server{world: w, Manager: m, stop: stop}
}

func TestEndWaitsForTheLogs(t *testing.T) {
	for name, c := range map[string]struct {
		flush time.Duration
		crash bool
		ended time.Duration // when the session is over, at the latest and not much earlier
	}{
		"asked for":               {flush: 5 * time.Second, ended: 5 * time.Second},
		"asked for, target down":  {flush: time.Hour, ended: 30 * time.Second},
		"a crash":                 {flush: time.Second, crash: true, ended: time.Second},
		"a crash and target down": {flush: time.Hour, crash: true, ended: 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				a := &attendant{flush: c.flush, settle: time.Hour}
				s := w.attended(t, a)
				made := s.start(t)
				synctest.Wait()
				if !a.noted("attend Launching") {
					t.Fatalf("calls are %q", a.calls)
				}
				before, after := "TERMINATING", "TERMINATED"
				if c.crash {
					before, after = "IDLE", "FAILED"
					w.machine.Crash(made.Key, exitCode(1))
				} else if _, err := s.Terminate(t.Context(), root, made.ID); err != nil {
					t.Fatal(err)
				}
				sleep(c.ended - 10*time.Millisecond)
				s.want(t, made.ID, before)
				sleep(20 * time.Millisecond)
				s.want(t, made.ID, after)
				sleep(time.Minute)
				if left, _ := w.machine.List(t.Context()); len(left) != 1 || !a.noted("settle") {
					t.Errorf("what the driver left was removed before all was settled: %v, %q", left, a.calls)
				}
				sleep(time.Hour)
				if left, _ := w.machine.List(t.Context()); len(left) != 0 {
					t.Errorf("left behind: %v", left)
				}
			})
		})
	}
}

func TestNextServerAttendsWhatIsLeft(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		first := w.attended(t, &attendant{settle: time.Hour})
		lives, ended := first.start(t), first.start(t)
		synctest.Wait()
		if _, err := first.Terminate(t.Context(), root, ended.ID); err != nil {
			t.Fatal(err)
		}
		sleep(time.Minute)
		first.want(t, ended.ID, "TERMINATED")
		first.stop()
		a := &attendant{}
		second := w.attended(t, a)
		synctest.Wait()
		second.want(t, lives.ID, "IDLE")
		if !a.noted("attend Idle") || !a.noted("attend Ended") {
			t.Errorf("calls are %q", a.calls)
		}
		if left, _ := w.machine.List(t.Context()); len(left) != 1 {
			t.Errorf("left behind: %v", left)
		}
	})
}

func TestStopOfTheServerDoesNotWaitForTargets(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.machine.OnLaunch = func(engine.Spec) enginetest.Start { return enginetest.Start{} }
		s := w.attended(t, &attendant{flush: time.Hour, settle: 24 * time.Hour})
		made := s.start(t)
		synctest.Wait()
		began := time.Now()
		if err := s.EndAll(t.Context(), func(string) {}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 40*time.Second {
			t.Errorf("took %v", took)
		}
		s.want(t, made.ID, "TERMINATED")
	})
}
