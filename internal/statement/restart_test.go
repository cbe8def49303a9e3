package statement_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"glaux/internal/engine"
	"glaux/internal/engine/enginetest"
	"glaux/internal/session"
	"glaux/internal/statement"
)

func TestRestart(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		ask    bool // CancelStatement just before the server goes
		then   func(*world, session.Key)
		want   statement.State
		text   string
		rest   statement.State // of the two that waited behind it
	}{
		"runs on":            {script: "out a\nsleep 1h", want: statement.Running, rest: statement.Waiting},
		"finished meanwhile": {script: "out a\nsleep 1m\nlate b", want: statement.Available, text: "a\nb", rest: statement.Available},
		"raised meanwhile":   {script: "out a\nsleep 1m\nraise E x", want: statement.Available, text: "a\n  File \"<stdin>\", line 1, in <module>\nE: x", rest: statement.Available},
		"cancelling":         {script: "out a\nforever", ask: true, want: statement.Cancelled, text: "a\nKeyboardInterrupt", rest: statement.Available},
		"crashed meanwhile":  {script: "out a\nsleep 1m\ncrash 1", want: statement.Broken, text: "a", rest: statement.Broken},
		"everything lost": {script: "sleep 1h", want: statement.Broken, rest: statement.Broken,
			then: func(w *world, k session.Key) {
				w.machine.Crash(k, engine.Exit{Lost: true})
				w.remove(k)
			}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				s := w.serve(t)
				made := s.ready(t)
				s.start(t, made.ID, c.script)
				for i := range 2 {
					s.start(t, made.ID, fmt.Sprint("out ", i))
				}
				sleep(2 * time.Second)
				if c.ask {
					s.cancel(t, made.ID, 0)
				}
				s.stop()
				time.Sleep(2 * time.Minute)
				if c.then != nil {
					c.then(w, made.Key)
				}
				s = w.serve(t)
				sleep(10 * time.Second)
				got := s.row(t, made.Key, 0, c.want)
				if got.Output != nil && got.Output.Text != c.text {
					t.Errorf("text %q, want %q", got.Output.Text, c.text)
				}
				for id := 1; id < 3; id++ {
					st := s.row(t, made.Key, id, c.rest)
					if c.rest == statement.Available && st.Output.Text != fmt.Sprint(id-1) {
						t.Errorf("statement %d said %q", id, st.Output.Text)
					}
				}
				switch {
				case c.want == statement.Running:
					s.wantSession(t, made.ID, session.Busy)
				case c.rest == statement.Available:
					s.wantSession(t, made.ID, session.Idle)
					if want := []engine.CellID{"statement-0", "statement-1", "statement-2"}; !slices.Equal(w.order(), want) {
						t.Errorf("ran %v", w.order())
					}
					if id := s.start(t, made.ID, "out next"); id != 3 {
						t.Errorf("the next is %d", id)
					}
					synctest.Wait()
					s.want(t, made.ID, 3, statement.Available)
					if n := w.machine.Kept(made.Key); n != 0 {
						t.Errorf("the driver keeps %d cells", n)
					}
				default:
					s.wantSession(t, made.ID, session.Ended)
				}
			})
		})
	}
}

// TestServerThatDiesBetweenSteps plays servers that were killed after they had
// written a row and before they did what follows.
func TestServerThatDiesBetweenSteps(t *testing.T) {
	for name, begun := range map[string]bool{"queued": false, "begun and not handed to the driver": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				s := w.serve(t)
				made := s.ready(t)
				s.stop()
				_, err := w.store.CreateStatement(t.Context(), statement.Statement{Session: made.Key, Code: "out hello", State: statement.Waiting, Submitted: time.Now()},
					func(s *session.Session) (int, error) { return s.Enqueue(time.Now()) })
				if err != nil {
					t.Fatal(err)
				}
				if begun {
					_, err := w.store.UpdateStatement(t.Context(), made.Key, 0, func(st *statement.Statement) error {
						return st.Move(statement.Began, time.Now(), statement.Output{})
					})
					if err != nil {
						t.Fatal(err)
					}
				}
				s = w.serve(t)
				synctest.Wait()
				if got := s.want(t, made.ID, 0, statement.Available).Output.Text; got != "hello" {
					t.Errorf("text %q", got)
				}
				if got := w.order(); len(got) != 1 {
					t.Errorf("ran %v", got)
				}
				s.wantSession(t, made.ID, session.Idle)
			})
		})
	}
}

// TestRunStartsAndStops hammers both managers with short lives while
// statements run: none is lost, run twice, out of order, or left in its driver.
func TestRunStartsAndStops(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made := s.ready(t)
		s.stop()
		w.machine.OnCell = func(_ engine.Key, c engine.Cell) enginetest.Script {
			return enginetest.Script{Takes: 3 * time.Millisecond, Stdout: c.Code}
		}
		queued := 0
		for round := range 40 {
			s := w.serve(t)
			var caller sync.WaitGroup
			caller.Go(func() {
				for range 10 {
					if _, err := s.statements.Start(t.Context(), root, made.ID, fmt.Sprint("x", queued)); err == nil {
						queued++
					}
					time.Sleep(time.Millisecond)
				}
			})
			time.Sleep(time.Duration(round) * time.Millisecond / 4)
			s.stop()
			caller.Wait()
		}
		s = w.serve(t)
		sleep(10 * time.Second)
		s.wantSession(t, made.ID, session.Idle)
		if queued == 0 || len(w.order()) != queued {
			t.Fatalf("%d of %d statements ran", len(w.order()), queued)
		}
		for id := range queued {
			if got := s.want(t, made.ID, id, statement.Available).Output.Text; got != fmt.Sprint("x", id) {
				t.Errorf("statement %d said %q", id, got)
			}
			if got := w.order()[id]; got != engine.CellID(fmt.Sprint("statement-", id)) {
				t.Errorf("cell %d was %s", id, got)
			}
		}
		s.start(t, made.ID, "y")
		sleep(time.Second)
		if n := w.machine.Kept(made.Key); n != 0 {
			t.Errorf("the driver keeps %d cells", n)
		}
	})
}

func TestStoreOutage(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made := s.ready(t)
		s.start(t, made.ID, "sleep 10s\nout a")
		s.start(t, made.ID, "out b")
		sleep(5 * time.Second)
		down := errors.New("the store is down")
		w.failStore(func(string) error { return down })
		sleep(10 * time.Minute)
		if _, err := s.statements.Start(t.Context(), root, made.ID, "out c"); !errors.Is(err, down) {
			t.Errorf("got %v", err)
		}
		w.failStore(nil)
		s.want(t, made.ID, 0, statement.Running) // nothing says AVAILABLE before it is kept
		sleep(time.Second)
		if got := s.want(t, made.ID, 0, statement.Available); got.Output.Text != "a" || got.Completed.Sub(got.Started) != 10*time.Second {
			t.Errorf("got %+v after %s", got.Output, got.Completed.Sub(got.Started))
		}
		if got := s.want(t, made.ID, 1, statement.Available); got.Output.Text != "b" {
			t.Errorf("got %+v", got.Output)
		}
		s.wantSession(t, made.ID, session.Idle)
	})
}

// TestEveryStepMayFail lets the store fail once at every call in turn.
func TestEveryStepMayFail(t *testing.T) {
	for nth := range 12 {
		t.Run(fmt.Sprint("call ", nth), func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				s := w.serve(t)
				made := s.ready(t)
				s.start(t, made.ID, "out 0\nsleep 1s")
				s.start(t, made.ID, "out 1")
				n := 0
				w.failStore(func(string) error {
					if n++; n-1 == nth {
						return errors.New("not now")
					}
					return nil
				})
				sleep(time.Minute)
				w.failStore(nil)
				for id := range 2 {
					if got := s.want(t, made.ID, id, statement.Available).Output.Text; got != fmt.Sprint(id) {
						t.Errorf("statement %d said %q", id, got)
					}
				}
				s.wantSession(t, made.ID, session.Idle)
			})
		})
	}
}

// TestCancelAtAnyMoment hammers a queue with cancels: every statement ends, once,
// and the session counts none that is left.
func TestCancelAtAnyMoment(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made := s.ready(t)
		var callers sync.WaitGroup
		for i := range 8 {
			callers.Go(func() {
				for k := range 10 {
					st, err := s.statements.Start(t.Context(), root, made.ID, fmt.Sprintf("sleep %dms", (i+k)%4))
					if err != nil {
						t.Error(err)
						return
					}
					time.Sleep(time.Duration((i*k)%5) * time.Millisecond)
					for range 1 + k%2 {
						if err := s.statements.Cancel(t.Context(), root, made.ID, st.ID); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		callers.Wait()
		sleep(10 * time.Second)
		if got := s.wantSession(t, made.ID, session.Idle); got.Open != 0 || got.Statements != 80 {
			t.Errorf("the session counts %d of %d open", got.Open, got.Statements)
		}
		for id := range 80 {
			if got := s.stateOf(t, made.ID, id); got != statement.Available && got != statement.Cancelled {
				t.Errorf("statement %d is %s", id, got)
			}
		}
	})
}
