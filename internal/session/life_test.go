package session_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"glaux/internal/engine"
	"glaux/internal/engine/enginetest"
	"glaux/internal/session"
)

func TestSessionComesUpStepByStep(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.machine.OnLaunch = func(engine.Spec) enginetest.Start {
			return enginetest.Start{Scheduled: time.Second, Preparing: 2 * time.Second}
		}
		s := w.serve(t)
		made := s.start(t)
		if made.AthenaState() != "CREATING" {
			t.Errorf("started as %s", made.AthenaState())
		}
		synctest.Wait()
		s.want(t, made.ID, "CREATING")
		sleep(time.Second)
		s.want(t, made.ID, "CREATED")
		sleep(2 * time.Second)
		got := s.want(t, made.ID, "IDLE")
		if !got.IdleSince.Equal(time.Now()) || got.Reason != "" {
			t.Errorf("idle since %s, reason %q", got.IdleSince, got.Reason)
		}
		spec, _ := w.machine.Spec(made.Key)
		if spec.AgentToken != "token of "+made.ID || spec.Region != "us-east-1" || spec.Warehouse != "s3://results/spark" {
			t.Errorf("launched with %+v", spec)
		}
		sleep(10 * time.Second)
		got = s.want(t, made.ID, "IDLE")
		if ms := got.DPUMillis(time.Now()); ms != 12_000 {
			t.Errorf("metered %d ms while it runs, want 12000", ms)
		}
	})
}

func TestIdleSessionExpires(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		minutes := int32(7)
		id := s.start(t, func(r *session.Request) { r.IdleMinutes = &minutes }).ID
		plain := s.start(t).ID
		sleep(7*time.Minute - time.Second)
		s.want(t, id, "IDLE")
		sleep(2 * time.Second)
		got := s.want(t, id, "TERMINATED")
		if got.Cause != session.Expired || got.Reason != "The session was idle for 7 minutes." || got.EndedAt.IsZero() {
			t.Errorf("ended by %s at %s: %q", got.Cause, got.EndedAt, got.Reason)
		}
		if ms := got.DPUMillis(time.Now()); ms != (7 * time.Minute).Milliseconds() {
			t.Errorf("metered %d ms", ms)
		}
		s.want(t, plain, "IDLE")
		sleep(13 * time.Minute)
		s.want(t, plain, "TERMINATED")
		if left := w.machine.Alive(); len(left) != 0 {
			t.Errorf("drivers left: %v", left)
		}
	})
}

func TestClockThatIsSetEndsNoSession(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		forth, back := s.start(t), s.start(t)
		sleep(time.Minute)
		// What a clock that is set looks like: the row says another time than
		// the one that has passed.
		for key, by := range map[session.Key]time.Duration{forth.Key: -24 * time.Hour, back.Key: 24 * time.Hour} {
			_, err := w.store.UpdateSession(t.Context(), key, func(s *session.Session) error {
				s.IdleSince = s.IdleSince.Add(by)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		sleep(18 * time.Minute)
		s.want(t, forth.ID, "IDLE")
		s.want(t, back.ID, "IDLE")
		sleep(3 * time.Minute)
		s.want(t, forth.ID, "TERMINATED")
		s.want(t, back.ID, "TERMINATED")
	})
}

func TestClockThatIsSetBillsNobody(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made := s.start(t)
		sleep(time.Minute)
		_, err := w.store.UpdateSession(t.Context(), made.Key, func(s *session.Session) error {
			s.Spawned = s.Spawned.Add(-24 * time.Hour)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		got := s.want(t, made.ID, "IDLE")
		if ms := got.DPUMillis(time.Now()); ms != time.Minute.Milliseconds() {
			t.Errorf("metered %d ms while it lives", ms)
		}
		w.machine.Crash(made.Key, engine.Exit{Lost: true})
		synctest.Wait()
		got = s.want(t, made.ID, "FAILED")
		if ms := got.DPUMillis(time.Now()); ms != time.Minute.Milliseconds() {
			t.Errorf("metered %d ms in the end", ms)
		}
	})
}

func TestReasonOfAProcessThatEndedIsSaidOnce(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made := s.start(t)
		synctest.Wait()
		w.machine.SetResponsive(made.Key, false, "python was ended by signal 9 (killed)")
		synctest.Wait()
		w.machine.Crash(made.Key, engine.Exit{Signal: 9, Code: -1, Process: "python", Tail: []string{"last"}})
		synctest.Wait()
		want := "The session crashed: the python process was killed with signal 9 (killed); last lines of stderr:\nlast"
		if got := s.want(t, made.ID, "FAILED"); got.Reason != want {
			t.Errorf("reason %q, want %q", got.Reason, want)
		}
	})
}

func TestCrashIsNoticedAndSaysWhatHappened(t *testing.T) {
	for name, c := range map[string]struct {
		exit   engine.Exit
		cause  session.Cause
		state  string
		reason string
	}{
		"code":   {engine.Exit{Code: 3, Process: "java", Tail: []string{"a", "b"}}, session.Crashed, "FAILED", "The session crashed: the java process exited with code 3; last lines of stderr:\na\nb"},
		"signal": {engine.Exit{Signal: 9, Code: -1, Process: "python"}, session.Crashed, "FAILED", "The session crashed: the python process was killed with signal 9 (killed)."},
		"memory": {engine.Exit{Signal: 9, Memory: true}, session.Crashed, "FAILED", "The session crashed: the driver process ran out of memory and was killed with signal 9 (killed)."},
		"limit":  {engine.Exit{Signal: 9, Memory: true, Process: "python", Limit: 3072}, session.Crashed, "FAILED", "The session crashed: the python process ran out of memory and was killed with signal 9 (killed); the session has 3072 MiB for all its processes together."},
		"heap":   {engine.Exit{Code: 3, Memory: true, Process: "java"}, session.Crashed, "FAILED", "The session crashed: the java process ran out of memory and exited with code 3."},
		"lost":   {engine.Exit{Lost: true}, session.Lost, "FAILED", "The session was lost: its driver was ended together with its supervisor, or the machine restarted."},
		"orphan": {engine.Exit{Orphan: true}, session.Lost, "FAILED", "The session was ended by its supervisor: no server came back in time."},
		"asked":  {engine.Exit{Asked: true}, session.Asked, "TERMINATED", "The session was ended from outside the service."},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				s := w.serve(t)
				made := s.start(t)
				sleep(time.Minute)
				w.machine.Crash(made.Key, c.exit)
				synctest.Wait()
				got := s.want(t, made.ID, c.state)
				if got.Reason != c.reason || got.Cause != c.cause {
					t.Errorf("%s: %q\nwant %s: %q", got.Cause, got.Reason, c.cause, c.reason)
				}
				if got.Lived != time.Minute {
					t.Errorf("lived %s", got.Lived)
				}
				if e := got.Executors; len(e) != 1 || e[0].Removed.IsZero() {
					t.Errorf("executors %+v", e)
				}
			})
		})
	}
}

func TestStartThatFailsNamesTheCause(t *testing.T) {
	for name, c := range map[string]struct {
		start  enginetest.Start
		props  map[string]string
		reason string
	}{
		"refused launch": {start: enginetest.Start{Refuse: &engine.StartError{Cause: "jar x.jar is not there"}}, reason: "The session could not be started: jar x.jar is not there"},
		"failed launch":  {start: enginetest.Start{Refuse: errors.New("no space left")}, reason: "The session could not be started: no space left"},
		"failed start":   {start: enginetest.Start{Preparing: time.Second, Fail: &engine.StartError{Cause: "spark.foo is not a number"}}, reason: "The session could not be started: spark.foo is not a number"},
		"hanging start":  {start: enginetest.Start{Hang: true}, reason: "The session could not be started: its driver was not ready after 10m0s."},
		"reserved":       {props: map[string]string{"spark.athena.x": "1"}, reason: "The session could not be started: the Spark property spark.athena.x is reserved for the service."},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.machine.OnLaunch = func(engine.Spec) enginetest.Start { return c.start }
				s := w.serve(t)
				made := s.start(t, func(r *session.Request) { r.Config.SparkProperties = c.props })
				sleep(11 * time.Minute)
				got := s.want(t, made.ID, "FAILED")
				if got.Reason != c.reason || got.Cause != session.FailedStart {
					t.Errorf("%s: %q", got.Cause, got.Reason)
				}
				if left := w.machine.Alive(); len(left) != 0 {
					t.Errorf("drivers left: %v", left)
				}
			})
		})
	}
}

func TestTerminateInEveryState(t *testing.T) {
	scripts := map[string]struct {
		start enginetest.Start
		first string // what Terminate answers
		last  string
	}{
		"before the process": {enginetest.Start{Scheduled: time.Hour}, "TERMINATING", "TERMINATED"},
		"before it is ready": {enginetest.Start{Hang: true}, "TERMINATING", "TERMINATED"},
		"idle":               {enginetest.Start{}, "TERMINATING", "TERMINATED"},
		"slow to stop":       {enginetest.Start{StopTakes: time.Hour}, "TERMINATING", "TERMINATED"},
		"failed":             {enginetest.Start{Fail: &engine.StartError{Cause: "x"}}, "FAILED", "FAILED"},
	}
	for name, c := range scripts {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.machine.OnLaunch = func(engine.Spec) enginetest.Start { return c.start }
				s := w.serve(t)
				id := s.start(t).ID
				synctest.Wait()
				for n := range 2 { // the second one has no effect and succeeds; the driver may be gone by then
					got, err := s.Terminate(t.Context(), root, id)
					if state := got.AthenaState(); err != nil || state != c.first && (n == 0 || state != c.last) {
						t.Fatalf("terminated: %s, %v", state, err)
					}
				}
				sleep(4 * time.Second)
				ended := s.want(t, id, c.last)
				if got, err := s.Terminate(t.Context(), root, id); err != nil || got.AthenaState() != c.last || got.Version != ended.Version {
					t.Errorf("terminated again: %s, %v", got.AthenaState(), err)
				}
				if left := w.machine.Alive(); len(left) != 0 {
					t.Errorf("drivers left: %v", left)
				}
			})
		})
	}
}

func TestDegradedSessionComesBackOrEnds(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made := s.start(t)
		synctest.Wait()
		w.machine.SetResponsive(made.Key, false, "the interpreter does not answer")
		synctest.Wait()
		if got := s.want(t, made.ID, "DEGRADED"); got.Reason != "the interpreter does not answer" || !got.IdleSince.IsZero() {
			t.Errorf("reason %q, idle since %s", got.Reason, got.IdleSince)
		}
		sleep(time.Minute)
		w.machine.SetResponsive(made.Key, true, "")
		synctest.Wait()
		if got := s.want(t, made.ID, "IDLE"); got.Reason != "" || !got.IdleSince.Equal(time.Now()) {
			t.Errorf("reason %q, idle since %s", got.Reason, got.IdleSince)
		}
		w.machine.SetResponsive(made.Key, false, "again")
		sleep(5*time.Minute + time.Second)
		if got := s.want(t, made.ID, "FAILED"); got.Reason != "The interpreter did not answer for 5 minutes." {
			t.Errorf("reason %q", got.Reason)
		}
	})
}

func TestExecutorsAreKept(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made := s.start(t)
		synctest.Wait()
		born := time.Now().Add(-time.Minute)
		w.machine.SetExecutors(made.Key, []engine.Executor{
			{ID: "1", Added: born.Add(time.Second), Cores: 2}, {ID: "driver", Added: born, Cores: 2},
		})
		synctest.Wait()
		for _, state := range []string{"IDLE", "TERMINATED"} {
			s.want(t, made.ID, state)
			got, err := s.Executors(t.Context(), root, made.ID)
			if err != nil || len(got.Executors) != 2 || got.Executors[0].ID != "1" || got.Executors[1].ID != "driver" {
				t.Fatalf("executors %+v, %v", got.Executors, err)
			}
			if gone := !got.Executors[0].Removed.IsZero(); gone != (state == "TERMINATED") {
				t.Errorf("in state %s removed at %s", state, got.Executors[0].Removed)
			}
			if _, err := s.Terminate(t.Context(), root, made.ID); err != nil {
				t.Fatal(err)
			}
			sleep(time.Second)
		}
	})
}

func TestStoreThatIsDownDelaysTransitions(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.machine.OnLaunch = func(engine.Spec) enginetest.Start { return enginetest.Start{Preparing: time.Second} }
		s := w.serve(t)
		made := s.start(t)
		synctest.Wait()
		w.failStore(func(m string) error {
			if strings.HasPrefix(m, "Update") {
				return errors.New("disk full")
			}
			return nil
		})
		sleep(time.Minute)
		s.want(t, made.ID, "CREATED")
		w.failStore(nil)
		sleep(time.Second)
		s.want(t, made.ID, "IDLE")
	})
}

func TestRoleThatCannotBeAssumedFailsTheStart(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t, func(c *session.Config) {
			c.Assume = func(s *session.Session) error {
				if s.ExecutionRole != home.Role("good") {
					return errors.New("no such role")
				}
				return nil
			}
		})
		bad, good := s.start(t), s.start(t, func(r *session.Request) { r.ExecutionRole = home.Role("good") })
		synctest.Wait()
		s.want(t, good.ID, "IDLE")
		got := s.want(t, bad.ID, "FAILED")
		want := `The session could not be started: its execution role "arn:aws:iam::000000000000:role/Default" cannot be assumed; give the workgroup a role of this account.`
		if got.Reason != want || got.Cause != session.FailedStart || len(w.machine.Alive()) != 1 {
			t.Errorf("reason %q, cause %s, drivers %v", got.Reason, got.Cause, w.machine.Alive())
		}
	})
}

func TestEndAllLeavesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.machine.OnLaunch = func(engine.Spec) enginetest.Start { return enginetest.Start{StopTakes: time.Second} }
		s := w.serve(t)
		for range 3 {
			s.start(t)
		}
		synctest.Wait()
		if n, err := s.Live(t.Context()); n != 3 || err != nil {
			t.Fatalf("%d live, %v", n, err)
		}
		var said []string
		if err := s.EndAll(t.Context(), func(line string) { said = append(said, line) }); err != nil {
			t.Fatal(err)
		}
		if len(said) != 3 || len(w.machine.Alive()) != 0 {
			t.Errorf("said %q, drivers left %v", said, w.machine.Alive())
		}
		if left, _ := w.machine.List(t.Context()); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
		if _, err := s.Start(t.Context(), root, session.Request{Workgroup: "spark"}); err == nil {
			t.Error("a new session was taken after EndAll")
		}
	})
}

// A session that is being made while EndAll begins is ended with the others.
func TestEndAllWaitsForASessionBeingMade(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		reached, on := make(chan struct{}), make(chan struct{})
		w.store.Fail = func(method string) error {
			if method == "CreateSession" {
				close(reached)
				<-on
			}
			return nil
		}
		s := w.serve(t)
		var made session.Session
		var callers sync.WaitGroup
		callers.Go(func() {
			var err error
			if made, err = s.Start(t.Context(), root, session.Request{Workgroup: "spark"}); err != nil {
				t.Error(err)
			}
		})
		<-reached
		ended := make(chan error, 1)
		callers.Go(func() { ended <- s.EndAll(t.Context(), func(string) {}) })
		synctest.Wait()
		if _, err := s.Start(t.Context(), root, session.Request{Workgroup: "spark"}); err == nil {
			t.Error("a new session was taken after EndAll")
		}
		select {
		case err := <-ended:
			t.Errorf("all has ended while a session is being made (%v)", err)
		default:
		}
		close(on)
		callers.Wait()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		s.want(t, made.ID, "TERMINATED")
		if left, _ := w.machine.List(t.Context()); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

func TestRetention(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t, func(c *session.Config) { c.Retention = 48 * time.Hour })
		old := s.start(t)
		synctest.Wait()
		if _, err := s.Terminate(t.Context(), root, old.ID); err != nil {
			t.Fatal(err)
		}
		sleep(47 * time.Hour)
		s.want(t, old.ID, "TERMINATED")
		sleep(3 * time.Hour)
		_, err := s.Get(t.Context(), root, old.ID)
		wantFault(t, err, 1, "Session "+old.ID+" is not found.")
	})
}

// TestRunStartsAndStops hammers Run with short lives while sessions come and go.
func TestRunStartsAndStops(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.machine.OnLaunch = func(engine.Spec) enginetest.Start {
			return enginetest.Start{Scheduled: 3 * time.Millisecond, Preparing: 5 * time.Millisecond, StopTakes: 2 * time.Millisecond}
		}
		var ids []string
		for round := range 30 {
			s := w.serve(t)
			var callers sync.WaitGroup
			made := make([]string, 4)
			for i := range made {
				callers.Go(func() {
					time.Sleep(time.Duration(i*round) * time.Millisecond / 4)
					got, err := s.Start(t.Context(), root, session.Request{Workgroup: "spark"})
					if err != nil {
						return // the server was stopping
					}
					made[i] = got.ID
					if i%2 == 0 {
						if _, err := s.Terminate(t.Context(), root, got.ID); err != nil {
							t.Error(err)
						}
					}
				})
			}
			time.Sleep(time.Duration(round) * time.Millisecond)
			s.stop()
			callers.Wait()
			for _, id := range made {
				if id != "" {
					ids = append(ids, id)
				}
			}
		}
		s := w.serve(t)
		sleep(time.Second)
		idle := 0
		for _, id := range ids {
			got, err := s.Get(t.Context(), root, id)
			if err != nil {
				t.Fatal(err)
			}
			switch got.AthenaState() {
			case "IDLE":
				idle++
			case "TERMINATED":
			default:
				t.Errorf("session %s is %s: %s", id, got.AthenaState(), got.Reason)
			}
		}
		if alive := len(w.machine.Alive()); alive != idle || idle == 0 {
			t.Errorf("%d drivers for %d sessions", alive, idle)
		}
	})
}
