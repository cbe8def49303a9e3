package calc_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"glaux/internal/calc"
	"glaux/internal/engine"
	"glaux/internal/engine/enginetest"
	"glaux/internal/session"
)

func TestRestart(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		ask    bool // Stop just before the server goes
		down   bool // the object store is down until the restart
		then   func(*world, session.Key)
		want   calc.State
		reason string
	}{
		"runs on":             {script: "out a\nsleep 1h", want: calc.Running},
		"finished meanwhile":  {script: "out a\nsleep 1m\nlate b", want: calc.Completed},
		"raised meanwhile":    {script: "sleep 1m\nraise E x", want: calc.Failed, reason: "E: x"},
		"cancelling":          {script: "out a\nforever", ask: true, want: calc.Canceled, reason: "The calculation was stopped on request."},
		"result not kept yet": {script: "out a\nlate b", down: true, want: calc.Completed},
		"crashed meanwhile":   {script: "sleep 1m\ncrash 1", want: calc.Failed, reason: "The calculation was lost because its session ended. The session crashed: the python process exited with code 1; last lines of stderr:\ncrashed as scripted"},
		"everything lost": {script: "sleep 1h", want: calc.Failed,
			reason: "The calculation was lost because its session ended. The session was lost: its driver no longer runs and left no record of its end.",
			then: func(w *world, k session.Key) {
				w.machine.Crash(k, engine.Exit{Lost: true})
				w.remove(k)
			}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				s := w.serve(t)
				id := s.idle(t).ID
				w.objects.setDown(c.down)
				made := s.start(t, id, c.script)
				sleep(2 * time.Second)
				if c.ask {
					w.machine.OnCell = nil
					if _, err := s.calcs.Stop(t.Context(), root, made.ID); err != nil {
						t.Fatal(err)
					}
				}
				s.stop()
				w.objects.setDown(false)
				time.Sleep(2 * time.Minute)
				if c.then != nil {
					c.then(w, session.Key(id))
				}
				s = w.serve(t)
				sleep(5 * time.Second)
				got := s.want(t, made.ID, c.want)
				if got.Reason != c.reason {
					t.Errorf("reason %q, want %q", got.Reason, c.reason)
				}
				if c.want == calc.Completed {
					if out := w.objects.read(t, got.StdoutURI); out != "a\nb\n" {
						t.Errorf("stdout is %q", out)
					}
				}
				if c.want == calc.Running {
					s.wantSession(t, id, "BUSY")
					if want := 2*time.Minute + 7*time.Second; got.Run != want || got.DPUMillis != want.Milliseconds() {
						t.Errorf("ran %s, %d DPU ms, want what it ran before the restart too", got.Run, got.DPUMillis)
					}
				} else if s.sessionState(t, id) == "IDLE" {
					next := s.start(t, id, "out next")
					synctest.Wait()
					s.want(t, next.ID, calc.Completed)
				}
			})
		})
	}
}

func TestServerThatDiesBeforeTheDriverTookIt(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		id := s.idle(t).ID
		s.stop()
		ran := 0
		w.machine.OnCell = func(_ engine.Key, c engine.Cell) enginetest.Script {
			ran++
			return enginetest.Script{Stdout: c.Code}
		}
		// As if the server had written the row and died.
		_, _, err := w.store.CreateCalculation(t.Context(), calc.Creation{Calculation: calc.Calculation{
			ID: "c1", Session: session.Key(id), Account: home.Account, Workgroup: "spark", Code: "hello",
			State: calc.Creating, Submitted: time.Now(), WorkingDir: "s3://results/spark/x/c1",
		}}, func(s *session.Session) error {
			s.Work = "c1"
			return s.Move(session.Began, time.Now(), "", "")
		})
		if err != nil {
			t.Fatal(err)
		}
		s = w.serve(t)
		synctest.Wait()
		c := s.want(t, "c1", calc.Completed)
		if ran != 1 || w.objects.read(t, c.StdoutURI) != "hello" {
			t.Errorf("ran %d times, stdout %q", ran, w.objects.read(t, c.StdoutURI))
		}
		s.wantSession(t, id, "IDLE")
	})
}

// TestRunStartsAndStops hammers both managers with short lives while
// calculations run: none is lost, run twice, or left in its driver.
func TestRunStartsAndStops(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		id := s.idle(t).ID
		s.stop()
		w.machine.OnCell = func(_ engine.Key, c engine.Cell) enginetest.Script {
			return enginetest.Script{Takes: 3 * time.Millisecond, Stdout: c.Code}
		}
		made := 0
		for round := range 40 {
			s := w.serve(t)
			var caller sync.WaitGroup
			caller.Go(func() {
				for range 10 {
					if _, err := s.calcs.Start(t.Context(), root, calc.Request{Session: id, Code: "x"}); err == nil {
						made++
					}
					time.Sleep(time.Millisecond)
				}
			})
			time.Sleep(time.Duration(round) * time.Millisecond / 4)
			s.stop()
			caller.Wait()
		}
		s = w.serve(t)
		sleep(time.Second)
		s.wantSession(t, id, "IDLE")
		page, _, more, err := s.calcs.List(t.Context(), root, calc.ListRequest{Session: id, Limit: 1000})
		if err != nil || more || len(page) != made || made == 0 {
			t.Fatalf("%d calculations of %d, %v", len(page), made, err)
		}
		for _, c := range page {
			if c.State != calc.Completed {
				t.Errorf("%s is %s (%s)", c.ID, c.State, c.Reason)
			}
		}
		if n := w.machine.Kept(session.Key(id)); n != 0 {
			t.Errorf("the driver keeps %d cells", n)
		}
		if again := w.twice(); len(again) > 0 {
			t.Errorf("handed to the driver after they were over: %v", again)
		}
	})
}

func TestNextServerDiscardsWhatTheLastOneDidNot(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		live, ended := s.idle(t).ID, s.idle(t).ID
		left := engine.CellID(s.start(t, live, "out a").ID)
		gone := engine.CellID(s.start(t, ended, "out a").ID)
		synctest.Wait()
		if _, err := s.sessions.Terminate(t.Context(), root, ended); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		s.stop()
		w.mu.Lock()
		clear(w.over) // as if it had been killed before it discarded them
		w.mu.Unlock()
		w.serve(t)
		synctest.Wait()
		w.mu.Lock()
		defer w.mu.Unlock()
		if !w.over[left] || w.over[gone] {
			t.Errorf("discarded: %v, want that of the live session alone", w.over)
		}
	})
}
