package session_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"glaux/internal/engine"
	"glaux/internal/fault"
	"glaux/internal/session"
	"glaux/internal/workgroup"
)

func f(v float64) *float64 { return &v }

// glue starts a Glue session.
func (s *server) glue(t *testing.T, id string, change ...func(*session.GlueRequest)) session.Session {
	t.Helper()
	in := glueRequest(id)
	for _, c := range change {
		c(&in)
	}
	made, err := s.StartGlue(t.Context(), root, in)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func glueRequest(id string) session.GlueRequest {
	return session.GlueRequest{ID: id, Role: home.Role("Default"), Command: "glueetl"}
}

// wantGlue checks the state that Glue shows.
func (s *server) wantGlue(t *testing.T, id, state string) session.Session {
	t.Helper()
	got, err := s.GetGlue(t.Context(), root, id)
	if err != nil {
		t.Fatal(err)
	}
	if got.GlueState() != state {
		t.Fatalf("session is %s (%q), want %s", got.GlueState(), got.Reason, state)
	}
	return got
}

func TestGlueCapacity(t *testing.T) {
	for _, c := range []struct {
		most    *float64
		worker  string
		workers *int32
		dpus    float64
		shown   string
		text    string
	}{
		{nil, "", nil, 5, "G.1X×5", ""},
		{nil, "", n(3), 3, "G.1X×3", ""},
		{nil, "G.025X", n(2), 0.5, "G.025X×2", ""},
		{nil, "G.16X", n(2), 32, "G.16X×2", ""},
		{nil, "R.8X", nil, 40, "R.8X×5", ""},
		{f(2), "", nil, 2, "×0", ""},
		{f(7.5), "", nil, 7.5, "×0", ""},
		{f(4), "G.1X", nil, 0, "", "Please do not set Max Capacity if using Worker Type and Number of Workers."},
		{f(4), "", n(3), 0, "", "Please do not set Max Capacity if using Worker Type and Number of Workers."},
		{f(1), "", nil, 0, "", "Max Capacity 1 is not valid: a session has at least 2 DPUs, and at most 100000."},
		{nil, "", n(1), 0, "", "Number of Workers 1 is not valid: a session has at least 2 workers, and at most 100000."},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				s := w.serve(t)
				in := glueRequest("c")
				in.MaxCapacity, in.WorkerType, in.Workers = c.most, c.worker, c.workers
				got, err := s.StartGlue(t.Context(), root, in)
				if c.text != "" {
					wantFault(t, err, fault.Invalid, c.text)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if shown := fmt.Sprintf("%s×%d", got.Glue.WorkerType, got.Glue.Workers); got.Glue.MaxCapacity != c.dpus || shown != c.shown {
					t.Errorf("capacity %v of %s, want %v of %s", got.Glue.MaxCapacity, shown, c.dpus, c.shown)
				}
			})
		})
	}
}

func TestRefusedGlueSessionsCreateNothing(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*session.GlueRequest)
		kind   fault.Kind
		text   string
	}{
		"Ray":            {func(in *session.GlueRequest) { in.Command = "glueray" }, fault.Invalid, "Account not allowed to submit Glue Ray session"},
		"command":        {func(in *session.GlueRequest) { in.Command = "pythonshell" }, fault.Invalid, "Command name pythonshell is not valid: the valid ones are glueetl and gluestreaming."},
		"Python 2":       {func(in *session.GlueRequest) { in.PythonVersion = "2" }, fault.Invalid, "Python version 2 is not supported: use 3."},
		"version":        {func(in *session.GlueRequest) { in.GlueVersion = "1.0" }, fault.Invalid, "Glue version 1.0 is not supported: the supported ones are 2.0, 3.0, 4.0, 5.0, 5.1."},
		"Spark 4":        {func(in *session.GlueRequest) { in.GlueVersion = "6.0" }, fault.Invalid, "Glue version 6.0 is not supported: it needs Spark 4, and the runtime that is installed has Spark 3.5. Use Glue version 5.1."},
		"Connect on 4.0": {func(in *session.GlueRequest) { in.Kind, in.GlueVersion = session.SparkConnect, "4.0" }, fault.Invalid, "Sessions of type SPARK_CONNECT need Glue version 5.1 or later."},
		"idle timeout":   {func(in *session.GlueRequest) { in.IdleTimeout = n(0) }, fault.Invalid, "Idle Timeout 0 is not valid: it is at least 1 minute, and at most 43200."},
		"timeout":        {func(in *session.GlueRequest) { in.Timeout = n(160000000) }, fault.Invalid, "Timeout 160000000 is not valid: it is at least 1 minute, and at most 43200."},
		"capacity":       {func(in *session.GlueRequest) { in.MaxCapacity = f(1e308) }, fault.Invalid, "Max Capacity 1e+308 is not valid: a session has at least 2 DPUs, and at most 100000."},
		"tag":            {func(in *session.GlueRequest) { in.Tags = []workgroup.Tag{{Key: "aws:x"}} }, fault.Invalid, "aws: prefixed tag key names are not allowed for external use."},
		"role elsewhere": {func(in *session.GlueRequest) { in.Role = "arn:aws:iam::111111111111:role/x" }, fault.Denied, "Cross-account pass role is not allowed."},
		"Scala and Connect": {func(in *session.GlueRequest) {
			in.Kind, in.Arguments = session.SparkConnect, map[string]string{"--session-language": "scala"}
		}, fault.Invalid, "A session of type SPARK_CONNECT has no session language: it is driven by its client."},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				s := w.serve(t)
				in := glueRequest("no")
				c.change(&in)
				_, err := s.StartGlue(t.Context(), root, in)
				wantFault(t, err, c.kind, c.text)
				if n, _ := s.Live(t.Context()); n != 0 {
					t.Errorf("%d sessions were created", n)
				}
			})
		})
	}
}

func TestGlueSessionLife(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made := s.glue(t, "a b/c:1", func(in *session.GlueRequest) {
			in.GlueVersion = "4.0"
			in.Arguments = map[string]string{"--x": "1", "--conf": "spark.a=b"}
		})
		if made.GlueState() != "PROVISIONING" {
			t.Errorf("a new session is %s", made.GlueState())
		}
		synctest.Wait()
		got := s.wantGlue(t, "a b/c:1", "READY")
		spec, _ := w.machine.Spec(got.Key)
		if spec.Display != engine.Plain || strings.Join(spec.Args, " ") != "--conf spark.a=b --x 1" || spec.Properties["spark.a"] != "b" {
			t.Errorf("launched with %+v", spec)
		}
		if len(spec.Notes) != 1 || !strings.Contains(spec.Notes[0], "Glue version 4.0") {
			t.Errorf("the notes are %q", spec.Notes)
		}
		sleep(90 * time.Second)
		if got = s.wantGlue(t, "a b/c:1", "READY"); got.ExecutionTime(time.Now()) < 89*time.Second {
			t.Errorf("the execution time is %v", got.ExecutionTime(time.Now()))
		}
		stopped, err := s.StopGlue(t.Context(), root, "a b/c:1")
		if err != nil || stopped.GlueState() != "STOPPING" {
			t.Fatalf("stopped: %s, %v", stopped.GlueState(), err)
		}
		synctest.Wait()
		s.wantGlue(t, "a b/c:1", "STOPPED")
		if _, err := s.StopGlue(t.Context(), root, "a b/c:1"); err != nil {
			t.Errorf("stopping a session that has ended: %v", err)
		}
	})
}

func TestGlueIDIsFreeOnceDeleted(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		first := s.glue(t, "x")
		synctest.Wait()
		_, err := s.StartGlue(t.Context(), root, glueRequest("x"))
		wantFault(t, err, fault.Exists, "Session already exists.")
		// A live one is ended, and its id is free before it is.
		if err := s.DeleteGlue(t.Context(), root, "x"); err != nil {
			t.Fatal(err)
		}
		second := s.glue(t, "x")
		if second.Key == first.Key {
			t.Fatal("the deleted session came back")
		}
		synctest.Wait()
		s.wantGlue(t, "x", "READY")
		if _, err := w.store.Session(t.Context(), first.Key); err == nil {
			t.Error("the row of a deleted session is left once its driver is gone")
		}
		// An ended one goes at once.
		if _, err := s.StopGlue(t.Context(), root, "x"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		_, err = s.StartGlue(t.Context(), root, glueRequest("x"))
		wantFault(t, err, fault.Exists, "Session already exists.")
		if err := s.DeleteGlue(t.Context(), root, "x"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.store.Session(t.Context(), second.Key); err == nil {
			t.Error("the row of a deleted session is left")
		}
		wantFault(t, s.DeleteGlue(t.Context(), root, "x"), fault.NotFound, "Session x not found.")
	})
}

func TestDeletedGlueSessionGoesWithTheNextServer(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made := s.glue(t, "x")
		synctest.Wait()
		s.stop()
		// The server ends right after it has written that the session is deleted.
		if err := s.DeleteGlue(t.Context(), root, "x"); err != nil {
			t.Fatal(err)
		}
		s = w.serve(t)
		synctest.Wait()
		if all, _ := w.machine.List(t.Context()); len(all) != 0 {
			t.Errorf("%d drivers are left", len(all))
		}
		if _, err := w.store.Session(t.Context(), made.Key); err == nil {
			t.Error("its row is left")
		}
		if n, _ := s.Live(t.Context()); n != 0 {
			t.Errorf("%d sessions live", n)
		}
	})
}

func TestGlueTimeouts(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t, func(c *session.Config) { c.GlueTimeout, c.GlueIdleTimeout = 3*time.Hour, time.Hour })
		s.glue(t, "short", func(in *session.GlueRequest) { in.Timeout = n(5) })
		s.glue(t, "idle", func(in *session.GlueRequest) { in.IdleTimeout = n(2) })
		s.glue(t, "default")
		synctest.Wait()
		if got := s.wantGlue(t, "short", "READY"); got.IdleTimeout != 5*time.Minute {
			t.Errorf("the idle timeout is %v, more than the session may live", got.IdleTimeout)
		}
		// It works all the time, and still has to end.
		took(t, w, "short")
		sleep(2*time.Minute + time.Second)
		s.wantGlue(t, "short", "READY")
		if got := s.wantGlue(t, "idle", "TIMEOUT"); got.Reason != "The session was idle for 2 minutes." {
			t.Errorf("the reason is %q", got.Reason)
		}
		sleep(3*time.Minute + time.Second)
		if got := s.wantGlue(t, "short", "TIMEOUT"); got.Reason != "The session reached its timeout of 5 minutes." {
			t.Errorf("the reason is %q", got.Reason)
		}
		sleep(54 * time.Minute)
		s.wantGlue(t, "default", "READY")
		sleep(2 * time.Minute)
		s.wantGlue(t, "default", "TIMEOUT")
	})
}

// took gives a session a statement that does not end.
func took(t *testing.T, w *world, id string) {
	t.Helper()
	found, err := w.store.FindSession(t.Context(), home.Account, session.Glue, id)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.store.UpdateSession(t.Context(), found.Key, func(s *session.Session) error {
		_, err := s.Enqueue(time.Now())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestGlueAndAthenaDoNotSeeEachOther(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t, func(c *session.Config) { c.MaxSessions = 2 })
		athena := s.start(t)
		s.glue(t, "g", func(in *session.GlueRequest) { in.Tags = []workgroup.Tag{{Key: "owner", Value: "me"}} })
		_, err := s.GetGlue(t.Context(), root, athena.ID)
		wantFault(t, err, fault.NotFound, "Session "+athena.ID+" not found.")
		if _, err := s.Get(t.Context(), root, "g"); fault.Of(err) != fault.Invalid {
			t.Errorf("Athena finds a Glue session: %v", err)
		}
		page, _, _, err := s.ListGlue(t.Context(), root, nil, session.Cursor{}, 10)
		if err != nil || len(page) != 1 || page[0].ID != "g" {
			t.Errorf("Glue lists %v, %v", page, err)
		}
		for value, want := range map[string]int{"me": 1, "you": 0} {
			page, _, _, _ := s.ListGlue(t.Context(), root, []workgroup.Tag{{Key: "owner", Value: value}}, session.Cursor{}, 10)
			if len(page) != want {
				t.Errorf("%d sessions of %s, want %d", len(page), value, want)
			}
		}
		_, err = s.StartGlue(t.Context(), root, glueRequest("third"))
		wantFault(t, err, fault.TooMany, "Maximum allowed sessions reached")
		if err := s.TagGlue(t.Context(), root, "g", []workgroup.Tag{{Key: "b", Value: "2"}}); err != nil {
			t.Fatal(err)
		}
		if err := s.UntagGlue(t.Context(), root, "g", []string{"owner", "nope"}); err != nil {
			t.Fatal(err)
		}
		tags, err := s.GlueTags(t.Context(), root, "g")
		if err != nil || len(tags) != 1 || tags[0].Key != "b" {
			t.Errorf("the tags are %v, %v", tags, err)
		}
	})
}

func TestGlueEndpointNeedsItsKindAndState(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		s.glue(t, "livy")
		s.glue(t, "connect", func(in *session.GlueRequest) { in.Kind = session.SparkConnect })
		code := func(err error) string {
			var f *fault.Error
			if err == nil {
				return ""
			}
			f, _ = err.(*fault.Error) //nolint:errorlint // it is not wrapped
			return f.Code
		}
		_, err := s.GlueEndpoint(t.Context(), root, "connect")
		if code(err) != "IllegalSessionStateException" {
			t.Errorf("a session that is not READY: %v", err)
		}
		synctest.Wait()
		if _, err := s.GlueEndpoint(t.Context(), root, "connect"); err != nil {
			t.Error(err)
		}
		if _, err := s.GlueEndpoint(t.Context(), root, "livy"); code(err) != "OperationNotSupportedException" {
			t.Errorf("a session of type LIVY: %v", err)
		}
		if _, err := s.GlueDashboard(context.Background(), root, "livy"); code(err) != "OperationNotSupportedException" {
			t.Errorf("a session without its UI: %v", err)
		}
	})
}
