package calc_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"glaux/internal/access"
	"glaux/internal/calc"
	"glaux/internal/engine"
	"glaux/internal/engine/enginetest"
	"glaux/internal/session"
)

type document struct {
	Outcome   string
	Outputs   []map[string]string
	Error     *struct{ Name, Value string }
	Truncated map[string]int64
}

func (w *world) document(t *testing.T, uri string) (doc document) {
	t.Helper()
	if err := json.Unmarshal([]byte(w.objects.read(t, uri)), &doc); err != nil {
		t.Fatalf("result object %q: %v", w.objects.read(t, uri), err)
	}
	return doc
}

func TestCalculationLeavesItsThreeObjects(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		id := s.idle(t).ID
		c := s.start(t, id, "out hello\nerr careful\ndisplay {\"text/plain\":\"1\"}\ndisplay {\"text/plain\":\"2\"}")
		if c.State != calc.Creating {
			t.Errorf("started as %s", c.State)
		}
		synctest.Wait()
		c = s.want(t, c.ID, calc.Completed)
		s.wantSession(t, id, "IDLE")
		at := "s3://results/spark/" + id + "/" + c.ID
		if c.StdoutURI != at+"/stdout" || c.StderrURI != at+"/stderr" || c.ResultURI != at+"/results" || c.WorkingDir != at {
			t.Errorf("objects are at %q, %q, %q", c.StdoutURI, c.StderrURI, c.ResultURI)
		}
		if got := w.objects.read(t, c.StdoutURI); got != "hello\n" {
			t.Errorf("stdout is %q", got)
		}
		if got := w.objects.read(t, c.StderrURI); got != "careful\n" {
			t.Errorf("stderr is %q", got)
		}
		doc := w.document(t, c.ResultURI)
		if doc.Outcome != "succeeded" || len(doc.Outputs) != 2 || doc.Outputs[1]["text/plain"] != "2" {
			t.Errorf("result is %+v", doc)
		}
		if c.Reason != "" || c.DPUMillis < 1 || c.ProgressText() != "100%" {
			t.Errorf("reason %q, DPU ms %d, progress %q", c.Reason, c.DPUMillis, c.ProgressText())
		}
		if code, err := s.calcs.Code(t.Context(), root, c.ID); err != nil || !strings.HasPrefix(code, "out hello\n") {
			t.Errorf("code %q, %v", code, err)
		}
		if n := w.machine.Kept(session.Key(id)); n != 0 {
			t.Errorf("the driver keeps %d cells", n)
		}
		// Without any output the three objects are there all the same.
		c = s.start(t, id, "")
		synctest.Wait()
		c = s.want(t, c.ID, calc.Completed)
		if out := w.objects.read(t, c.StdoutURI) + w.objects.read(t, c.StderrURI); out != "" {
			t.Errorf("output %q", out)
		}
		if doc := w.document(t, c.ResultURI); doc.Outputs == nil || len(doc.Outputs) != 0 {
			t.Errorf("result is %+v", doc)
		}
	})
}

func TestCodeThatRaises(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		id := s.idle(t).ID
		c := s.start(t, id, "out before\nsleep 2s\nraise NameError name 'x' is not defined")
		sleep(time.Second)
		c = s.want(t, c.ID, calc.Running)
		if c.DPUMillis != 1000 {
			t.Errorf("metered %d ms while it runs", c.DPUMillis)
		}
		sleep(time.Second)
		c = s.want(t, c.ID, calc.Failed)
		if c.Reason != "NameError: name 'x' is not defined" || c.Run != 2*time.Second || c.DPUMillis != 2000 {
			t.Errorf("reason %q after %s, %d ms", c.Reason, c.Run, c.DPUMillis)
		}
		if got := w.objects.read(t, c.StderrURI); got != "  File \"<stdin>\", line 1, in <module>\nNameError: name 'x' is not defined\n" {
			t.Errorf("stderr is %q", got)
		}
		if doc := w.document(t, c.ResultURI); doc.Error == nil || doc.Error.Name != "NameError" {
			t.Errorf("result is %+v", doc)
		}
		s.wantSession(t, id, "IDLE")
	})
}

func TestGetIsPatient(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t, func(c *calc.Config) { c.Patience = 10 * time.Millisecond })
		c := s.start(t, s.idle(t).ID, "sleep 25ms")
		began := time.Now()
		for _, want := range []struct {
			state calc.State
			at    time.Duration
		}{{calc.Running, 10 * time.Millisecond}, {calc.Running, 20 * time.Millisecond}, {calc.Completed, 25 * time.Millisecond}, {calc.Completed, 25 * time.Millisecond}} {
			got, err := s.calcs.GetStatus(t.Context(), root, c.ID)
			if err != nil || got.State != want.state || time.Since(began) != want.at {
				t.Errorf("%s after %s (%v), want %s after %s", got.State, time.Since(began), err, want.state, want.at)
			}
		}
	})
}

func TestOneCalculationAtATime(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		id := s.idle(t).ID
		var mu sync.Mutex
		won := 0
		var callers sync.WaitGroup
		for range 8 {
			callers.Go(func() {
				_, err := s.calcs.Start(t.Context(), root, calc.Request{Session: id, Code: "sleep 1s"})
				if err == nil {
					mu.Lock()
					won++
					mu.Unlock()
					return
				}
				wantMessage(t, err, "Session is in the BUSY state; needs to be IDLE to accept Calculations.")
			})
		}
		callers.Wait()
		if won != 1 {
			t.Fatalf("%d calculations began", won)
		}
		s.wantSession(t, id, "BUSY")
		sleep(2 * time.Second)
		s.wantSession(t, id, "IDLE")
		if _, err := s.sessions.Terminate(t.Context(), root, id); err != nil {
			t.Fatal(err)
		}
		_, err := s.calcs.Start(t.Context(), root, calc.Request{Session: id})
		wantMessage(t, err, "Session is in the TERMINATING state; needs to be IDLE to accept Calculations.")
		synctest.Wait()
		_, err = s.calcs.Start(t.Context(), root, calc.Request{Session: id})
		wantMessage(t, err, "Session is in the TERMINATED state; needs to be IDLE to accept Calculations.")
		_, err = s.calcs.Start(t.Context(), root, calc.Request{Session: "nope"})
		wantMessage(t, err, "Session nope is not found.")
	})
}

func TestConnectOperationsKeepNoCalculationOut(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made := s.idle(t)
		w.machine.SetOperations(made.Key, 1, time.Time{})
		synctest.Wait()
		s.wantSession(t, made.ID, "BUSY")
		c := s.start(t, made.ID, "sleep 1s")
		_, err := s.calcs.Start(t.Context(), root, calc.Request{Session: made.ID, Code: "out x"})
		wantMessage(t, err, "Session is in the BUSY state; needs to be IDLE to accept Calculations.")
		sleep(2 * time.Second)
		s.want(t, c.ID, calc.Completed)
		s.wantSession(t, made.ID, "BUSY")
		w.machine.SetOperations(made.Key, 0, time.Now())
		synctest.Wait()
		s.wantSession(t, made.ID, "IDLE")
	})
}

func TestTokenMakesOneCalculation(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		id := s.idle(t).ID
		ask := func(code string) (calc.Calculation, error) {
			return s.calcs.Start(t.Context(), root, calc.Request{Session: id, Code: code, Token: "0123456789abcdef0123456789abcdef"})
		}
		first, err := ask("sleep 1s")
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		again, err := ask("sleep 1s") // while it runs: no BUSY
		if err != nil || again.ID != first.ID {
			t.Fatalf("got %s, %v; want %s", again.ID, err, first.ID)
		}
		_, err = ask("other")
		wantMessage(t, err, "Idempotent parameters do not match")
		sleep(2 * time.Second)
		again, err = ask("sleep 1s")
		if err != nil || again.ID != first.ID || again.State != calc.Completed {
			t.Fatalf("got %s in %s, %v", again.ID, again.State, err)
		}
	})
}

func TestStop(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		before time.Duration // Stop after so long
		within time.Duration
		want   calc.State
		then   string // the session
	}{
		"sleeping":     {"out a\nforever", time.Second, 100 * time.Millisecond, calc.Canceled, "IDLE"},
		"at once":      {"forever", 0, 100 * time.Millisecond, calc.Canceled, "IDLE"},
		"stubborn":     {"stubborn\nforever", time.Second, 10 * time.Second, calc.Canceled, "FAILED"},
		"over already": {"out a", time.Second, 0, calc.Completed, "IDLE"},
		"raised":       {"raise E x", time.Second, 0, calc.Failed, "IDLE"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				s := w.serve(t)
				id := s.idle(t).ID
				made := s.start(t, id, c.script)
				if c.before > 0 {
					sleep(c.before)
				}
				stopped, err := s.calcs.Stop(t.Context(), root, made.ID)
				if err != nil || stopped.State != calc.Canceling && stopped.State != c.want {
					t.Fatalf("stopped: %s, %v", stopped.State, err)
				}
				if c.script == "stubborn\nforever" {
					sleep(3 * time.Second)
					s.want(t, made.ID, calc.Canceling)
					s.wantSession(t, id, "DEGRADED")
				}
				sleep(c.within)
				got := s.want(t, made.ID, c.want)
				if c.want == calc.Canceled && (got.Reason == "" || got.Completed.IsZero()) {
					t.Errorf("reason %q, completed %s", got.Reason, got.Completed)
				}
				if after := s.wantSession(t, id, c.then); after.State == session.Ended && !strings.HasPrefix(after.Reason, "The session crashed: the interpreter does not react to an interrupt and will be killed. Then the ") {
					t.Errorf("the session's reason is %q", after.Reason)
				}
				if again, err := s.calcs.Stop(t.Context(), root, made.ID); err != nil || again.State != c.want || again.Version != got.Version {
					t.Errorf("stopped again: %s, %v", again.State, err)
				}
				if c.then == "IDLE" {
					next := s.start(t, id, "out next")
					synctest.Wait()
					s.want(t, next.ID, calc.Completed)
				}
			})
		})
	}
}

func TestTerminateCancelsTheRunningCalculation(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		id := s.idle(t).ID
		c := s.start(t, id, "out a\nforever")
		sleep(time.Second)
		if _, err := s.sessions.Terminate(t.Context(), root, id); err != nil {
			t.Fatal(err)
		}
		sleep(time.Second)
		s.wantSession(t, id, "TERMINATED")
		c = s.want(t, c.ID, calc.Canceled)
		if w.objects.read(t, c.StdoutURI) != "a\n" {
			t.Error("what it wrote is not kept")
		}
		if left, _ := w.machine.List(t.Context()); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

func TestDriverThatEndsUnderACalculation(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		id := s.idle(t).ID
		c := s.start(t, id, "out a\nsleep 1s\ncrash 139")
		sleep(2 * time.Second)
		s.wantSession(t, id, "FAILED")
		c = s.want(t, c.ID, calc.Failed)
		want := "The calculation was lost because its session ended. The session crashed: the python process exited with code 139; last lines of stderr:\ncrashed as scripted"
		if c.Reason != want {
			t.Errorf("reason %q", c.Reason)
		}
		if w.objects.read(t, c.StdoutURI) != "a\n" {
			t.Error("what it wrote is not kept")
		}
	})
}

func TestObjectStoreThatIsDown(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		id := s.idle(t).ID
		w.objects.setDown(true)
		c := s.start(t, id, "out a")
		sleep(time.Minute)
		s.want(t, c.ID, calc.Running) // never COMPLETED before it can be read
		s.wantSession(t, id, "BUSY")
		w.objects.setDown(false)
		sleep(time.Second)
		s.want(t, c.ID, calc.Completed)

		w.objects.setDown(true)
		c = s.start(t, id, "out b")
		sleep(3 * time.Minute)
		c = s.want(t, c.ID, calc.Failed)
		if !strings.HasPrefix(c.Reason, "The result could not be written to s3://results/spark/") || c.StdoutURI != "" {
			t.Errorf("reason %q, stdout %q", c.Reason, c.StdoutURI)
		}
		s.wantSession(t, id, "IDLE")
	})
}

func TestResultsAreWrittenInTheNameOfTheSessionsRole(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made := s.idle(t)
		c := s.start(t, made.ID, "out a")
		synctest.Wait()
		s.want(t, c.ID, calc.Completed)
		want := fmt.Sprint(made.Key, access.Executor{SessionID: made.ID, Workgroup: "spark", RoleARN: home.Role("Default")})
		w.objects.mu.Lock()
		defer w.objects.mu.Unlock()
		if len(w.objects.as) != 1 || w.objects.as[want] != 3 {
			t.Errorf("written by %v, want %s", w.objects.as, want)
		}
	})
}

func TestObjectStoreThatRefusesFailsTheCalculationAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		id := s.idle(t).ID
		w.objects.setRefused("the bucket does not exist")
		c := s.start(t, id, "out a")
		synctest.Wait()
		c = s.want(t, c.ID, calc.Failed)
		want := "The result could not be written to " + c.WorkingDir + ": the bucket does not exist."
		if c.Reason != want || c.StdoutURI != "" {
			t.Errorf("reason %q, want %q; stdout %q", c.Reason, want, c.StdoutURI)
		}
		s.wantSession(t, id, "IDLE")
	})
}

func TestStopEndsTheWaitForTheObjectStore(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		id := s.idle(t).ID
		w.objects.setDown(true)
		c := s.start(t, id, "out a")
		sleep(time.Minute)
		if _, err := s.calcs.Stop(t.Context(), root, c.ID); err != nil {
			t.Fatal(err)
		}
		sleep(time.Second)
		if c = s.want(t, c.ID, calc.Canceled); !strings.HasPrefix(c.Reason, "The calculation was stopped on request. Its result could not be written to s3://results/spark/") {
			t.Errorf("reason %q", c.Reason)
		}
		s.wantSession(t, id, "IDLE")
	})
}

func TestMetadataStoreThatIsDown(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		id := s.idle(t).ID
		down := func(m string) error {
			if m == "EndCalculation" {
				return errors.New("disk full")
			}
			return nil
		}
		c := s.start(t, id, "out a\nsleep 1s")
		w.failStore(down)
		sleep(time.Minute)
		s.want(t, c.ID, calc.Running)
		if w.machine.Kept(session.Key(id)) != 1 {
			t.Error("the output is not kept")
		}
		w.failStore(nil)
		sleep(time.Second)
		s.want(t, c.ID, calc.Completed)

		c = s.start(t, id, "out a\nsleep 1s")
		w.failStore(down)
		sleep(3 * time.Minute)
		w.failStore(nil)
		sleep(time.Second)
		if c = s.want(t, c.ID, calc.Failed); c.Reason != "The result could not be recorded within 2m0s: the metadata store did not answer." {
			t.Errorf("reason %q", c.Reason)
		}
		s.wantSession(t, id, "IDLE")
	})
}

func TestIdleTimeRunsFromTheEndOfTheLastCalculation(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		id := s.idle(t).ID
		sleep(15 * time.Minute)
		s.start(t, id, "sleep 30m")
		sleep(49 * time.Minute)
		s.wantSession(t, id, "IDLE")
		s.start(t, id, "out a")
		sleep(20*time.Minute - time.Second)
		s.wantSession(t, id, "IDLE")
		sleep(2 * time.Second)
		s.wantSession(t, id, "TERMINATED")
	})
}

func TestProgressMoves(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		id := s.idle(t).ID
		c := s.start(t, id, "sleep 1m\nraise E x")
		sleep(time.Second)
		for _, step := range []struct {
			tasks engine.Tasks
			want  string
		}{{engine.Tasks{}, "0%"}, {engine.Tasks{Done: 1, Total: 4}, "25%"}, {engine.Tasks{Done: 21, Total: 50}, "42%"}} {
			w.machine.SetTasks(session.Key(id), step.tasks)
			synctest.Wait()
			running := s.want(t, c.ID, calc.Running)
			if got := running.ProgressText(); got != step.want {
				t.Errorf("progress %q, want %q", got, step.want)
			}
		}
		sleep(time.Minute)
		c = s.want(t, c.ID, calc.Failed)
		if got := c.ProgressText(); got != "42%" {
			t.Errorf("progress %q after the end", got)
		}
	})
}

func TestOutputCanBeFollowed(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		id := s.idle(t).ID
		c := s.start(t, id, "out early\nsleep 1m\nlate late")
		r, err := s.calcs.Output(t.Context(), root, c.ID, engine.Stdout, 2)
		if err != nil {
			t.Fatal(err)
		}
		first := make([]byte, 4)
		if _, err := io.ReadFull(r, first); err != nil || string(first) != "rly\n" {
			t.Fatalf("read %q, %v", first, err)
		}
		s.want(t, c.ID, calc.Running)
		rest, err := io.ReadAll(r)
		if err != nil || string(rest) != "late\n" {
			t.Fatalf("read %q, %v", rest, err)
		}
		synctest.Wait()
		s.want(t, c.ID, calc.Completed)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := w.machine.Kept(session.Key(id)); n != 0 {
			t.Errorf("the driver keeps %d cells after the last reader left", n)
		}
		r, err = s.calcs.Output(t.Context(), root, c.ID, engine.Stdout, 6)
		if err != nil {
			t.Fatal(err)
		}
		if rest, err := io.ReadAll(r); err != nil || string(rest) != "late\n" {
			t.Errorf("read %q, %v after the end", rest, err)
		}
	})
}

func TestTruncatedOutputSaysSo(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.machine.OnCell = func(engine.Key, engine.Cell) enginetest.Script {
			return enginetest.Script{
				Stdout: "abc\n[7 bytes were dropped]\n", Displays: []string{`{"text/plain":"1"}`, `{"text/pl`},
				Truncated: map[engine.Stream]int64{engine.Stdout: 7, engine.Displays: 9, engine.Stderr: 0},
			}
		}
		s := w.serve(t)
		c := s.start(t, s.idle(t).ID, "")
		synctest.Wait()
		c = s.want(t, c.ID, calc.Completed)
		if got := w.objects.read(t, c.StdoutURI); got != "abc\n[7 bytes were dropped]\n" { // said once, by the driver
			t.Errorf("stdout %q", got)
		}
		// The fake ends every display with a newline, so the cut one counts as whole there.
		if doc := w.objects.read(t, c.ResultURI); !strings.Contains(doc, `"truncated":{"displays":9,"stdout":7}`) {
			t.Errorf("result %q", doc)
		}
	})
}

func TestLargeOutputIsStreamed(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		c := s.start(t, s.idle(t).ID, "fill 3000000")
		synctest.Wait()
		c = s.want(t, c.ID, calc.Completed)
		if n := len(w.objects.read(t, c.StdoutURI)); n != 3_000_000 {
			t.Errorf("stdout has %d bytes", n)
		}
	})
}

func TestListCalculations(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		id := s.idle(t).ID
		var want []string
		for i := range 5 {
			code := "out a"
			if i == 2 {
				code = "raise E x"
			}
			want = append(want, s.start(t, id, code).ID)
			sleep(time.Millisecond)
		}
		failed := want[2]
		slices.Reverse(want)
		var got []string
		in := calc.ListRequest{Session: id, Limit: 2}
		for more := true; more; {
			var page []calc.Calculation
			var err error
			page, in.After, more, err = s.calcs.List(t.Context(), root, in)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range page {
				got = append(got, p.ID)
			}
			s.start(t, id, "out later")
			sleep(time.Millisecond)
		}
		if !slices.Equal(got, want) {
			t.Errorf("listed %v\nwant   %v", got, want)
		}
		page, _, more, err := s.calcs.List(t.Context(), root, calc.ListRequest{Session: id, State: calc.Failed, Limit: 10})
		if err != nil || more || len(page) != 1 || page[0].ID != failed {
			t.Errorf("filtered %v, %v", page, err)
		}
	})
}

// The states that a list is filtered by are those that it shows, though rows
// are written less often than calculations move.
func TestListFiltersByTheStateItShows(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		id := s.idle(t).ID
		wantOnly := func(c calc.Calculation, state calc.State) {
			t.Helper()
			for _, filter := range calc.States() {
				page, _, more, err := s.calcs.List(t.Context(), root, calc.ListRequest{Session: id, State: filter, Limit: 10})
				if err != nil || more {
					t.Fatalf("filter %s: %v, more %v", filter, err, more)
				}
				if (len(page) == 1) != (filter == state) || len(page) == 1 && (page[0].ID != c.ID || page[0].State != filter) || len(page) > 1 {
					t.Errorf("a calculation that is %s, filter %s: %v", state, filter, page)
				}
			}
		}
		r, err := s.sessions.Runner(t.Context(), session.Key(id))
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Run(t.Context(), engine.Cell{ID: "foreign", Code: "forever"}); err != nil {
			t.Fatal(err)
		}
		c := s.start(t, id, "forever")
		sleep(time.Second) // the driver has something else to do
		wantOnly(c, calc.Queued)
		if err := errors.Join(r.Interrupt(t.Context(), "foreign"), r.Discard(t.Context(), "foreign")); err != nil {
			t.Fatal(err)
		}
		sleep(120 * time.Millisecond) // it is handed over again every 100 ms; its row is written 50 ms later
		wantOnly(c, calc.Running)
		sleep(time.Second)
		wantOnly(c, calc.Running)
		if _, err := s.calcs.Stop(t.Context(), root, c.ID); err != nil {
			t.Fatal(err)
		}
		sleep(time.Second)
		wantOnly(c, calc.Canceled)
	})
}

func TestDriverThatCannotTakeACalculation(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		id := s.idle(t).ID
		r, err := s.sessions.Runner(t.Context(), session.Key(id))
		if err != nil {
			t.Fatal(err)
		}
		occupy := func() {
			t.Helper()
			if err := r.Run(t.Context(), engine.Cell{ID: "foreign", Code: "forever"}); err != nil {
				t.Fatal(err)
			}
		}
		release := func() {
			t.Helper()
			if err := errors.Join(r.Interrupt(t.Context(), "foreign"), r.Discard(t.Context(), "foreign")); err != nil {
				t.Fatal(err)
			}
		}
		// It waits, and runs once there is room.
		occupy()
		c := s.start(t, id, "out a")
		sleep(time.Second)
		s.want(t, c.ID, calc.Queued)
		release()
		sleep(time.Second)
		s.want(t, c.ID, calc.Completed)
		// It can be stopped while it waits.
		occupy()
		c = s.start(t, id, "out a")
		sleep(time.Second)
		if _, err := s.calcs.Stop(t.Context(), root, c.ID); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		s.want(t, c.ID, calc.Canceled)
		// It does not wait for ever.
		c = s.start(t, id, "out a")
		sleep(31 * time.Second)
		if c = s.want(t, c.ID, calc.Failed); c.Reason != "The calculation was lost: the session's driver did not take the calculation (driver runs another cell)." {
			t.Errorf("reason %q", c.Reason)
		}
		s.wantSession(t, id, "IDLE")
		release()
	})
}
