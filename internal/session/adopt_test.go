package session_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"glaux/internal/engine"
	"glaux/internal/engine/enginetest"
	"glaux/internal/session"
)

func TestNextServerAdoptsInEveryState(t *testing.T) {
	begin := enginetest.Start{Scheduled: time.Minute, Preparing: time.Minute, StopTakes: time.Hour}
	for name, c := range map[string]struct {
		after time.Duration // when the first server goes
		ask   string        // what is asked of it just before
		away  time.Duration
		then  func(*world, session.Key) // what happens while no server is there
		want  string
		why   string

		patience time.Duration // how much longer the next server needs
	}{
		"scheduled":              {after: time.Second, away: time.Second, want: "CREATING", why: "A driver is being started."},
		"starting":               {after: 70 * time.Second, away: time.Second, want: "CREATED", why: "A driver is being started."},
		"process came meanwhile": {after: time.Second, away: time.Minute, want: "CREATED", why: "A driver is being started."},
		"ready meanwhile":        {after: 70 * time.Second, away: time.Minute, want: "IDLE"},
		"idle":                   {after: 3 * time.Minute, away: time.Minute, want: "IDLE"},
		"idle for too long":      {after: 3 * time.Minute, away: time.Hour, want: "TERMINATED", why: "The session was idle for 20 minutes."},
		"stopping":               {after: 3 * time.Minute, ask: "stop", away: time.Minute, want: "TERMINATED", why: "The session was terminated on request."},
		"crashed meanwhile": {after: 3 * time.Minute, away: time.Minute, then: func(w *world, k session.Key) {
			w.machine.Crash(k, engine.Exit{Code: 1, Process: "java"})
		}, want: "FAILED", why: "The session crashed: the java process exited with code 1."},
		"lost meanwhile": {after: 3 * time.Minute, away: time.Minute, then: func(w *world, k session.Key) {
			h, _ := w.machine.List(context.Background())
			d, _ := w.machine.Adopt(context.Background(), engine.Handle{Key: k, Data: h[0].Data, Epoch: 99})
			w.machine.Crash(k, engine.Exit{Lost: true})
			_ = d.Remove(context.Background())
		}, want: "FAILED", why: "The session was lost: its driver no longer runs and left no record of its end."},
		"answers nobody": {after: 3 * time.Minute, away: time.Second, patience: time.Minute, then: func(w *world, k session.Key) {
			w.machine.Mute(k)
		}, want: "FAILED", why: "The session was lost: its driver did not answer the server (driver does not answer)."},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.machine.OnLaunch = func(engine.Spec) enginetest.Start { return begin }
				s := w.serve(t)
				made := s.start(t)
				sleep(c.after)
				if c.ask == "stop" {
					if _, err := s.Terminate(t.Context(), root, made.ID); err != nil {
						t.Fatal(err)
					}
				}
				s.stop()
				if c.ask == "" && len(w.machine.Alive()) != 1 {
					t.Fatal("the driver did not outlive its server")
				}
				time.Sleep(c.away)
				if c.then != nil {
					c.then(w, made.Key)
				}
				s = w.serve(t)
				sleep(5*time.Second + c.patience)
				got := s.want(t, made.ID, c.want)
				if got.Reason != c.why {
					t.Errorf("reason %q, want %q", got.Reason, c.why)
				}
				if got.State != session.Ended && got.Epoch != 2 {
					t.Errorf("owned in epoch %d", got.Epoch)
				}
				if alive := len(w.machine.Alive()); (alive == 1) != (got.State != session.Ended) {
					t.Errorf("%d drivers run", alive)
				}
			})
		})
	}
}

func TestDriverBetweenForkAndSaveIsFound(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made := s.start(t)
		synctest.Wait()
		s.stop()
		// As if the server had died before it saved the handle.
		_, err := w.store.UpdateSession(t.Context(), made.Key, func(s *session.Session) error {
			s.State, s.Handle, s.IdleSince = session.Launching, nil, time.Time{}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		launched := false
		w.machine.OnLaunch = func(engine.Spec) enginetest.Start { launched = true; return enginetest.Start{} }
		s = w.serve(t)
		synctest.Wait()
		s.want(t, made.ID, "IDLE")
		if launched || len(w.machine.Alive()) != 1 {
			t.Errorf("launched again: %v, drivers %v", launched, w.machine.Alive())
		}
	})
}

func TestRowWithoutDriverIsLaunched(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		m := w.manager(t) // does not run: the server dies before it launches
		made, err := m.Start(t.Context(), root, session.Request{Workgroup: "spark"})
		if err != nil {
			t.Fatal(err)
		}
		asked, err := m.Start(t.Context(), root, session.Request{Workgroup: "spark"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Terminate(t.Context(), root, asked.ID); err != nil {
			t.Fatal(err)
		}
		s := w.serve(t)
		synctest.Wait()
		s.want(t, made.ID, "IDLE")
		s.want(t, asked.ID, "TERMINATED")
	})
}

func TestDriverWithoutSessionIsRemoved(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		if _, err := w.machine.Launch(t.Context(), engine.Spec{Key: "nobody's", Epoch: 1}); err != nil {
			t.Fatal(err)
		}
		s := w.serve(t)
		ended := s.start(t)
		synctest.Wait()
		if len(w.machine.Alive()) != 1 {
			t.Errorf("drivers %v", w.machine.Alive())
		}
		s.stop()
		// As if the session had been ended by a server that died before it stopped the driver.
		_, err := w.store.UpdateSession(t.Context(), ended.Key, func(s *session.Session) error {
			return s.Move(session.Exited, time.Now(), session.Asked, "x")
		})
		if err != nil {
			t.Fatal(err)
		}
		w.serve(t)
		synctest.Wait()
		if left, _ := w.machine.List(t.Context()); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

func TestOlderServerLeavesSessionsOfANewerOneAlone(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		old := w.manager(t)
		s := w.serve(t)
		made := s.start(t)
		synctest.Wait()
		before := s.want(t, made.ID, "IDLE")
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = old.Run(ctx) })
		sleep(30 * time.Minute) // beyond the idle timeout: only the newer one ends it
		after := s.want(t, made.ID, "TERMINATED")
		if after.Epoch != before.Epoch || !strings.HasPrefix(after.Reason, "The session was idle") {
			t.Errorf("epoch %d, reason %q", after.Epoch, after.Reason)
		}
		cancel()
		running.Wait()
	})
}
