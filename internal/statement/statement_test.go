package statement_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"glaux/internal/engine"
	"glaux/internal/engine/enginetest"
	"glaux/internal/fault"
	"glaux/internal/session"
	"glaux/internal/statement"
)

func TestStatementRunsAndLeavesItsText(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made := s.ready(t)
		id := s.start(t, made.ID, "out printed\nerr careful\ndisplay {\"text/plain\":\"[1, 2]\"}")
		if id != 0 {
			t.Errorf("the first statement is %d", id)
		}
		synctest.Wait()
		st := s.want(t, made.ID, 0, statement.Available)
		if st.Output.Status != "ok" || st.Output.Text != "printed\n[1, 2]\ncareful" || st.Progress() != 1 || st.Started.IsZero() {
			t.Errorf("output %+v, progress %v, started %s", st.Output, st.Progress(), st.Started)
		}
		s.wantSession(t, made.ID, session.Idle)
		if n := w.machine.Kept(made.Key); n != 0 {
			t.Errorf("the driver keeps %d cells", n)
		}
		if id := s.start(t, made.ID, ""); id != 1 {
			t.Errorf("the second statement is %d", id)
		}
		synctest.Wait()
		if st := s.want(t, made.ID, 1, statement.Available); st.Output.Status != "ok" || st.Output.Text != "" {
			t.Errorf("output %+v", st.Output)
		}
	})
}

func TestCodeThatRaises(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made := s.ready(t)
		s.start(t, made.ID, "out before\nraise NameError name 'x' is not defined")
		synctest.Wait()
		o := s.want(t, made.ID, 0, statement.Available).Output
		want := []string{"  File \"<stdin>\", line 1, in <module>\n", "NameError: name 'x' is not defined\n"}
		if o.Status != "error" || o.ErrorName != "NameError" || o.ErrorValue != "name 'x' is not defined" || !slices.Equal(o.Traceback, want) {
			t.Errorf("output %+v", o)
		}
		if o.Text[:o.ErrorsFrom] != "before\n" || !strings.HasPrefix(o.Text[o.ErrorsFrom:], "  File") {
			t.Errorf("text %q", o.Text)
		}
		s.wantSession(t, made.ID, session.Idle)
	})
}

func TestQueueKeepsItsOrder(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made := s.ready(t)
		var callers sync.WaitGroup
		var mu sync.Mutex
		said := map[int]string{}
		for i := range 20 {
			callers.Go(func() {
				for k := range 3 {
					text := fmt.Sprint(i, " ", k)
					st, err := s.statements.Start(t.Context(), root, made.ID, "sleep 1s\nout "+text)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					said[st.ID] = text
					mu.Unlock()
				}
			})
		}
		callers.Wait()
		synctest.Wait()
		s.want(t, made.ID, 0, statement.Running)
		s.want(t, made.ID, 1, statement.Waiting)
		for n := range 60 {
			s.wantSession(t, made.ID, session.Busy)
			sleep(time.Second)
			s.want(t, made.ID, n, statement.Available)
		}
		s.wantSession(t, made.ID, session.Idle)
		for id := range 60 {
			if got := s.want(t, made.ID, id, statement.Available).Output.Text; got != said[id] {
				t.Errorf("statement %d said %q, want %q", id, got, said[id])
			}
			if got := w.order()[id]; got != engine.CellID(fmt.Sprint("statement-", id)) {
				t.Errorf("cell %d was %s", id, got)
			}
		}
	})
}

func TestSessionWithAQueueIsNotIdle(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made := s.ready(t)
		sleep(19 * time.Minute)
		for range 4 {
			s.start(t, made.ID, "sleep 15m")
		}
		for range 4 {
			s.wantSession(t, made.ID, session.Busy)
			sleep(15 * time.Minute)
		}
		s.wantSession(t, made.ID, session.Idle)
		sleep(20*time.Minute - time.Second)
		s.wantSession(t, made.ID, session.Idle)
		sleep(2 * time.Second)
		s.wantSession(t, made.ID, session.Ended)
	})
}

func TestConnectOperationsBesideStatements(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made := s.ready(t)
		w.machine.SetOperations(made.Key, 1, time.Time{})
		synctest.Wait()
		s.start(t, made.ID, "sleep 1s")
		s.start(t, made.ID, "sleep 1s")
		sleep(3 * time.Second)
		s.want(t, made.ID, 1, statement.Available)
		s.wantSession(t, made.ID, session.Busy)
		s.start(t, made.ID, "sleep 10s")
		w.machine.SetOperations(made.Key, 0, time.Now())
		sleep(time.Second)
		s.wantSession(t, made.ID, session.Busy)
		sleep(10 * time.Second)
		s.wantSession(t, made.ID, session.Idle)
	})
}

func TestCancel(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made := s.ready(t)
		s.start(t, made.ID, "out begun\nforever")
		s.start(t, made.ID, "out never")
		s.start(t, made.ID, "out third")
		synctest.Wait()
		s.cancel(t, made.ID, 1)
		if st := s.want(t, made.ID, 1, statement.Cancelled); st.Output.Status != "" || !st.Started.IsZero() {
			t.Errorf("a statement that never ran has %+v", st)
		}
		s.want(t, made.ID, 0, statement.Running)
		for range 2 { // the kernels ask twice
			s.cancel(t, made.ID, 0)
		}
		synctest.Wait()
		o := s.want(t, made.ID, 0, statement.Cancelled).Output
		if o.Status != "error" || o.ErrorName != "KeyboardInterrupt" || !strings.HasPrefix(o.Text, "begun\n") {
			t.Errorf("output %+v", o)
		}
		if got := s.want(t, made.ID, 2, statement.Available).Output.Text; got != "third" {
			t.Errorf("the third said %q", got)
		}
		s.wantSession(t, made.ID, session.Idle)
		for id := range 3 { // over: nothing happens
			was := s.want(t, made.ID, id, s.stateOf(t, made.ID, id))
			s.cancel(t, made.ID, id)
			if now := s.want(t, made.ID, id, was.State); now.Version != was.Version {
				t.Errorf("statement %d was written", id)
			}
		}
		if got := w.order(); !slices.Equal(got, []engine.CellID{"statement-0", "statement-2"}) {
			t.Errorf("ran %v", got)
		}
		err := s.statements.Cancel(t.Context(), root, made.ID, 3)
		wantMessage(t, err, "Statement 3 of session "+made.ID+" not found.")
		if fault.Of(err) != fault.NotFound {
			t.Errorf("got kind %v", fault.Of(err))
		}
	})
}

func (s *server) stateOf(t *testing.T, sessionID string, id int) statement.State {
	t.Helper()
	st, err := s.statements.Get(t.Context(), root, sessionID, id)
	if err != nil {
		t.Fatal(err)
	}
	return st.State
}

func TestCancelOfCodeThatGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made := s.ready(t)
		w.machine.OnCell = func(_ engine.Key, c engine.Cell) enginetest.Script {
			return enginetest.Script{Takes: 2 * time.Second, InterruptTakes: time.Hour, Stdout: "done\n"}
		}
		s.start(t, made.ID, "x")
		sleep(time.Second)
		s.cancel(t, made.ID, 0)
		synctest.Wait()
		s.want(t, made.ID, 0, statement.Cancelling)
		sleep(time.Second)
		if o := s.want(t, made.ID, 0, statement.Cancelled).Output; o.Text != "done" || o.Status != "ok" {
			t.Errorf("output %+v", o)
		}
	})
}

func TestCancelThatKillsTheInterpreterEndsTheSession(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made := s.ready(t)
		s.start(t, made.ID, "stubborn\nforever")
		s.start(t, made.ID, "out x")
		sleep(time.Second)
		s.cancel(t, made.ID, 0)
		sleep(time.Minute)
		s.row(t, made.Key, 0, statement.Cancelled)
		ended := s.wantSession(t, made.ID, session.Ended)
		if ended.Cause != session.Crashed || ended.Reason == "" {
			t.Errorf("session ended by %s: %s", ended.Cause, ended.Reason)
		}
		o := s.row(t, made.Key, 1, statement.Broken).Output
		if o.Status != "error" || !strings.HasPrefix(o.ErrorValue, "The statement was lost because its session ended. ") {
			t.Errorf("output %+v", o)
		}
	})
}

func TestDriverDeath(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made := s.ready(t)
		s.start(t, made.ID, "out fine")
		synctest.Wait()
		s.start(t, made.ID, "out half\nforever")
		s.start(t, made.ID, "out never")
		synctest.Wait()
		w.machine.Crash(made.Key, engine.Exit{Code: 137, Process: "java", Memory: true})
		sleep(10 * time.Second)
		s.wantSession(t, made.ID, session.Ended)
		o := s.row(t, made.Key, 1, statement.Broken).Output
		if o.Status != "error" || o.ErrorName != "SessionError" || o.Text != "half" || !strings.Contains(o.ErrorValue, "memory") {
			t.Errorf("output %+v", o)
		}
		s.row(t, made.Key, 2, statement.Broken)
		_, getErr := s.statements.Get(t.Context(), root, made.ID, 0)
		_, _, listErr := s.statements.List(t.Context(), root, made.ID, 0, 10, 1<<20)
		for _, err := range []error{getErr, listErr, s.statements.Cancel(t.Context(), root, made.ID, 0)} {
			wantMessage(t, err, "Session unavailable, fail to call ReplServer.")
			if f, _ := errors.AsType[*fault.Error](err); f.Code != "IllegalSessionStateException" {
				t.Errorf("code %q", f.Code)
			}
		}
		_, err := s.statements.Start(t.Context(), root, made.ID, "1")
		wantMessage(t, err, "Session is not ready, session_id="+made.ID+", status=FAILED")
		if fault.Of(err) != fault.Invalid {
			t.Errorf("kind %v", fault.Of(err))
		}
	})
}

func TestStopOfASessionEndsItsStatements(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made := s.ready(t)
		s.start(t, made.ID, "out fine")
		synctest.Wait()
		s.start(t, made.ID, "out half\nforever")
		s.start(t, made.ID, "out never")
		synctest.Wait()
		if _, err := s.sessions.StopGlue(t.Context(), root, made.ID); err != nil {
			t.Fatal(err)
		}
		_, err := s.statements.Start(t.Context(), root, made.ID, "1")
		wantMessage(t, err, "Session is not ready, session_id="+made.ID+", status=STOPPING")
		sleep(time.Minute)
		s.wantSession(t, made.ID, session.Ended)
		if o := s.want(t, made.ID, 0, statement.Available).Output; o.Text != "fine" {
			t.Errorf("output %+v", o)
		}
		if o := s.want(t, made.ID, 1, statement.Cancelled).Output; o.Status != "error" || o.Text != "half" || o.ErrorValue == "" {
			t.Errorf("output %+v", o)
		}
		if o := s.want(t, made.ID, 2, statement.Cancelled).Output; o.Status != "" {
			t.Errorf("output %+v", o)
		}
		s.cancel(t, made.ID, 2)
		if got := w.order(); len(got) != 2 {
			t.Errorf("ran %v", got)
		}
		_, err = s.statements.Start(t.Context(), root, made.ID, "1")
		wantMessage(t, err, "Session is not ready, session_id="+made.ID+", status=STOPPED")
	})
}

func TestQueueIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t, func(c *statement.Config) { c.MaxQueue = 3 })
		made := s.ready(t)
		for range 3 {
			s.start(t, made.ID, "sleep 1s")
		}
		_, err := s.statements.Start(t.Context(), root, made.ID, "x")
		if fault.Of(err) != fault.TooMany {
			t.Fatalf("got %v", err)
		}
		sleep(time.Second)
		if id := s.start(t, made.ID, "sleep 1s"); id != 3 {
			t.Errorf("the fourth is %d", id)
		}
		_, err = s.statements.Start(t.Context(), root, "nobody", "x")
		if fault.Of(err) != fault.NotFound {
			t.Errorf("got %v", err)
		}
	})
}

func TestProgress(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made := s.ready(t)
		s.start(t, made.ID, "tasks 1 4\nforever")
		synctest.Wait()
		if st := s.want(t, made.ID, 0, statement.Running); st.Progress() != 0.25 {
			t.Errorf("progress %v", st.Progress())
		}
		w.machine.SetTasks(made.Key, engine.Tasks{Done: 3, Total: 4})
		synctest.Wait()
		page, _, err := s.statements.List(t.Context(), root, made.ID, 0, 10, 1<<20)
		if err != nil || len(page) != 1 || page[0].Progress() != 0.75 {
			t.Errorf("got %+v, %v", page, err)
		}
	})
}

func TestListHasPages(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made := s.ready(t)
		for i := range 7 {
			s.start(t, made.ID, fmt.Sprint("out ", i))
		}
		synctest.Wait()
		var got []int
		for from, more := 0, true; more; {
			var page []statement.Statement
			var err error
			page, more, err = s.statements.List(t.Context(), root, made.ID, from, 3, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			for _, st := range page {
				got = append(got, st.ID)
				if st.Output.Text != fmt.Sprint(st.ID) || st.Code != fmt.Sprint("out ", st.ID) {
					t.Errorf("statement %+v", st)
				}
				from = st.ID + 1
			}
		}
		if !slices.Equal(got, []int{0, 1, 2, 3, 4, 5, 6}) {
			t.Errorf("got %v", got)
		}
	})
}

func TestDegradedSessionTakesStatements(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made := s.ready(t)
		s.start(t, made.ID, "sleep 10s")
		sleep(time.Second)
		w.machine.SetResponsive(made.Key, false, "it hangs")
		synctest.Wait()
		s.wantSession(t, made.ID, session.Degraded)
		s.start(t, made.ID, "out x")
		w.machine.SetResponsive(made.Key, true, "")
		synctest.Wait()
		s.wantSession(t, made.ID, session.Busy)
		sleep(10 * time.Second)
		s.want(t, made.ID, 1, statement.Available)
		s.wantSession(t, made.ID, session.Idle)
	})
}

func TestSparkConnectSessionsRunNoStatements(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made, err := s.sessions.StartGlue(t.Context(), root, session.GlueRequest{ID: "connect", Role: home.Role("r"), Command: "glueetl", Kind: session.SparkConnect})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		_, runErr := s.statements.Start(t.Context(), root, made.ID, "1")
		_, getErr := s.statements.Get(t.Context(), root, made.ID, 0)
		_, _, listErr := s.statements.List(t.Context(), root, made.ID, 0, 10, 1<<20)
		for operation, err := range map[string]error{
			"RunStatement": runErr, "GetStatement": getErr, "ListStatements": listErr, "CancelStatement": s.statements.Cancel(t.Context(), root, made.ID, 0),
		} {
			wantMessage(t, err, operation+" is not supported for sessions of type SPARK_CONNECT.")
			if f, _ := errors.AsType[*fault.Error](err); f.Code != "OperationNotSupportedException" {
				t.Errorf("code %q", f.Code)
			}
		}
	})
}

func TestGetIsPatient(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t, func(c *statement.Config) { c.Patience = 10 * time.Millisecond })
		made := s.ready(t)
		s.start(t, made.ID, "sleep 25ms")
		s.start(t, made.ID, "sleep 1s")
		synctest.Wait()
		began := time.Now()
		wait := func(id int, state statement.State, at time.Duration) {
			t.Helper()
			s.want(t, made.ID, id, state)
			if got := time.Since(began); got != at {
				t.Errorf("statement %d is %s after %s, want %s", id, state, got, at)
			}
		}
		wait(0, statement.Running, 10*time.Millisecond)
		wait(1, statement.Waiting, 20*time.Millisecond)
		wait(0, statement.Available, 25*time.Millisecond)
		wait(0, statement.Available, 25*time.Millisecond)
		synctest.Wait() // the next one has begun, which is a change too
		wait(1, statement.Running, 35*time.Millisecond)
		polls := 0
		for s.stateOf(t, made.ID, 1) != statement.Available {
			polls++
		}
		if got := time.Since(began); got != 1025*time.Millisecond || polls > 100 {
			t.Errorf("over after %s and %d polls", got, polls)
		}
	})
}
