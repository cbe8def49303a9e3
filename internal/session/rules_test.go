package session_test

import (
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"glaux/internal/access"
	"glaux/internal/fault"
	"glaux/internal/session"
	"glaux/internal/workgroup"
)

func n(v int32) *int32 { return &v }

func TestRefusedStartsCreateNothing(t *testing.T) {
	for name, c := range map[string]struct {
		in   session.Request
		kind fault.Kind
		text string
	}{
		"no workgroup":       {session.Request{Workgroup: "nope"}, fault.Invalid, "WorkGroup is not found."},
		"SQL workgroup":      {session.Request{Workgroup: "primary"}, fault.Invalid, "Workgroup EngineVersion is not Spark."},
		"disabled workgroup": {session.Request{Workgroup: "off"}, fault.Invalid, "WorkGroup off is disabled."},
		"notebook without version": {session.Request{Workgroup: "spark", Config: workgroup.EngineConfig{AdditionalConfigs: map[string]string{"NotebookId": "n"}}},
			fault.Invalid, "NotebookVersion is required when NotebookId is provided."},
		"version without notebook": {session.Request{Workgroup: "spark", NotebookVersion: "Athena notebook version 1"},
			fault.Invalid, "NotebookId is required when NotebookVersion is provided."},
		"other notebook version": {session.Request{Workgroup: "spark", NotebookVersion: "2"},
			fault.Invalid, "NotebookVersion 2 is not valid. The only valid value is Athena notebook version 1."},
		"coordinator on 3.5": {session.Request{Workgroup: "spark35", Config: workgroup.EngineConfig{CoordinatorDPUs: n(1)}},
			fault.Invalid, "CoordinatorDpuSize is not supported for Apache Spark version 3.5; use Classifications."},
		"properties on 3.5": {session.Request{Workgroup: "spark35", Config: workgroup.EngineConfig{SparkProperties: map[string]string{"spark.x": "1"}}},
			fault.Invalid, "SparkProperties is not supported for Apache Spark version 3.5; use Classifications."},
		"other classification": {session.Request{Workgroup: "spark35", Config: workgroup.EngineConfig{Classifications: []workgroup.Classification{{Name: "hive-site"}}}},
			fault.Invalid, "Classification hive-site is not supported for Apache Spark version 3.5."},
		"foreign role": {session.Request{Workgroup: "spark", ExecutionRole: "arn:aws:iam::111111111111:role/x"},
			fault.Denied, "Cross-account pass role is not allowed."},
		"role of another partition": {session.Request{Workgroup: "spark", ExecutionRole: "arn:aws-cn:iam::000000000000:role/x"},
			fault.Denied, "Cross-account pass role is not allowed."},
		"role that is none": {session.Request{Workgroup: "spark", ExecutionRole: "arn:aws:iam::000000000000:role/x/"},
			fault.Invalid, "arn:aws:iam::000000000000:role/x/ is not a valid role ARN."},
		"role not to be passed": {session.Request{Workgroup: "spark", ExecutionRole: "arn:aws:iam::000000000000:role/x"},
			fault.Denied, root.ARN + " may not iam:PassRole"},
		"tag twice": {session.Request{Workgroup: "spark", Tags: []workgroup.Tag{{Key: "a"}, {Key: "a"}}},
			fault.Invalid, "Tag key a is given more than once."},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.workgroup(t, "off", workgroup.Config{SelectedEngine: workgroup.EnginePySpark})
				_, err := w.store.UpdateWorkgroup(t.Context(), home.Account, "off", func(g *workgroup.Workgroup) error {
					g.State = workgroup.Disabled
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				w.access.denied["iam:PassRole"] = true
				s := w.serve(t)
				_, err = s.Start(t.Context(), root, c.in)
				wantFault(t, err, c.kind, c.text)
				if n, _ := s.Live(t.Context()); n != 0 {
					t.Errorf("%d sessions were created", n)
				}
			})
		})
	}
}

func TestWorkgroupDefaultsAreMergedPerKey(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		group, prefix := "/athena", "p"
		w.workgroup(t, "defaults", workgroup.Config{
			SelectedEngine: workgroup.EnginePySpark,
			Engine: &workgroup.EngineConfig{
				CoordinatorDPUs: n(1), MaxConcurrentDPUs: n(20),
				SparkProperties: map[string]string{"spark.a": "workgroup", "spark.b": "workgroup", "ignored": "x"},
				Classifications: []workgroup.Classification{{Name: "spark-defaults", Properties: map[string]string{"spark.c": "workgroup", "spark.d": "workgroup", "spark.e": "workgroup"}}},
			},
			Monitoring: &workgroup.Monitoring{
				CloudWatch: &workgroup.CloudWatchLogging{Enabled: true, LogGroup: &group},
				Managed:    &workgroup.ManagedLogging{Enabled: true, KMSKey: &group},
				S3:         &workgroup.S3Logging{Enabled: true, LogLocation: &group},
			},
		}, workgroup.Tag{Key: "team", Value: "a"}, workgroup.Tag{Key: "cost", Value: "b"})
		s := w.serve(t)
		role := home.Role("Mine")
		made := s.start(t, func(r *session.Request) {
			r.Workgroup = "defaults"
			r.ExecutionRole = role
			r.Config = workgroup.EngineConfig{
				MaxConcurrentDPUs: n(4),
				SparkProperties:   map[string]string{"spark.b": "session", "spark.e": "session"}, // the workgroup has spark.e among its defaults
				Classifications:   []workgroup.Classification{{Name: "spark-defaults", Properties: map[string]string{"spark.d": "session"}}},
			}
			r.Monitoring = &workgroup.Monitoring{CloudWatch: &workgroup.CloudWatchLogging{Enabled: true, LogGroup: &group, StreamPrefix: &prefix}, S3: &workgroup.S3Logging{LogLocation: &prefix}}
			r.Tags = []workgroup.Tag{{Key: "team", Value: "mine"}}
		})
		got, err := s.Get(t.Context(), root, made.ID)
		if err != nil {
			t.Fatal(err)
		}
		want := workgroup.EngineConfig{
			CoordinatorDPUs: n(1), MaxConcurrentDPUs: n(4),
			SparkProperties: map[string]string{"spark.a": "workgroup", "spark.b": "session", "spark.e": "session", "ignored": "x"},
			Classifications: []workgroup.Classification{{Name: "spark-defaults", Properties: map[string]string{"spark.c": "workgroup", "spark.d": "session", "spark.e": "workgroup"}}},
		}
		if !reflect.DeepEqual(got.Config, want) {
			t.Errorf("configuration %+v\nwant %+v", got.Config, want)
		}
		properties := map[string]string{"spark.a": "workgroup", "spark.b": "session", "spark.c": "workgroup", "spark.d": "session", "spark.e": "session"}
		if !reflect.DeepEqual(got.Properties, properties) {
			t.Errorf("properties %v", got.Properties)
		}
		if got.ExecutionRole != role {
			t.Errorf("role %s", got.ExecutionRole)
		}
		monitoring := &workgroup.Monitoring{
			CloudWatch: &workgroup.CloudWatchLogging{Enabled: true, LogGroup: &group, StreamPrefix: &prefix},
			Managed:    &workgroup.ManagedLogging{Enabled: true, KMSKey: &group},
		}
		if !reflect.DeepEqual(got.Monitoring, monitoring) {
			t.Errorf("monitoring %+v, want the session's over the workgroup's, without what is off", got.Monitoring)
		}
		tags, err := w.store.Tags(t.Context(), workgroup.Resource{Account: home.Account, Workgroup: "defaults", Session: made.ID})
		if err != nil || !slices.Equal(tags, []workgroup.Tag{{Key: "cost", Value: "b"}, {Key: "team", Value: "mine"}}) {
			t.Errorf("tags %v, %v", tags, err)
		}
		no := false
		bare := s.start(t, func(r *session.Request) { r.Workgroup, r.CopyTags = "defaults", &no })
		if tags, err := w.store.Tags(t.Context(), workgroup.Resource{Account: home.Account, Workgroup: "defaults", Session: bare.ID}); err != nil || len(tags) != 0 {
			t.Errorf("tags %v, %v", tags, err)
		}
	})
}

func TestTokenMakesOneSession(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		ask := func(description string) (session.Session, error) {
			return s.Start(t.Context(), root, session.Request{Workgroup: "spark", Description: description, Token: "0123456789abcdef0123456789abcdef"})
		}
		made := make([]session.Session, 5)
		var callers sync.WaitGroup
		for i := range made {
			callers.Go(func() {
				var err error
				if made[i], err = ask("a"); err != nil {
					t.Error(err)
				}
			})
		}
		callers.Wait()
		synctest.Wait()
		for _, m := range made {
			if m.ID != made[0].ID {
				t.Errorf("the token made %s and %s", made[0].ID, m.ID)
			}
		}
		if len(w.machine.Alive()) != 1 {
			t.Errorf("drivers %v", w.machine.Alive())
		}
		_, err := ask("b")
		wantFault(t, err, fault.Invalid, "Idempotent parameters do not match")
		if _, err := s.Terminate(t.Context(), root, made[0].ID); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if again, err := ask("a"); err != nil || again.ID != made[0].ID || again.AthenaState() != "TERMINATED" {
			t.Errorf("%s is %s, %v", again.ID, again.AthenaState(), err)
		}
	})
}

func TestCapOnSessions(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t, func(c *session.Config) { c.MaxSessions = 3 })
		var mu sync.Mutex
		var made []string
		refused := 0
		var callers sync.WaitGroup
		for range 10 {
			callers.Go(func() {
				got, err := s.Start(t.Context(), root, session.Request{Workgroup: "spark"})
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					wantFault(t, err, fault.TooMany, "Maximum allowed sessions reached")
					refused++
					return
				}
				made = append(made, got.ID)
			})
		}
		callers.Wait()
		if len(made) != 3 || refused != 7 {
			t.Fatalf("%d made, %d refused", len(made), refused)
		}
		synctest.Wait()
		if _, err := s.Terminate(t.Context(), root, made[0]); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		s.start(t)
	})
}

func TestOneActiveSessionPerNotebook(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		in := session.Request{Workgroup: "spark", NotebookVersion: "Athena notebook version 1",
			Config: workgroup.EngineConfig{AdditionalConfigs: map[string]string{"NotebookId": "n1"}}}
		made, err := s.Start(t.Context(), root, in)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Start(t.Context(), root, in)
		wantFault(t, err, fault.Exists, "Notebook n1 has an active session already.")
		synctest.Wait()
		if _, err := s.Terminate(t.Context(), root, made.ID); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, err := s.Start(t.Context(), root, in); err != nil {
			t.Fatal(err)
		}
	})
}

func TestListPagesStayStableUnderConcurrentStarts(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		var want []string
		for range 7 {
			want = append(want, s.start(t).ID)
			sleep(time.Millisecond)
		}
		slices.Reverse(want) // newest first
		var got []string
		in := session.ListRequest{Workgroup: "spark", Limit: 2}
		for more := true; more; {
			var page []session.Session
			var err error
			page, in.After, more, err = s.List(t.Context(), root, in)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range page {
				got = append(got, p.ID)
			}
			s.start(t) // neither hides nor repeats what comes later
		}
		if !slices.Equal(got, want) {
			t.Errorf("listed %v\nwant   %v", got, want)
		}
	})
}

func TestListFilters(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		idle, ended, failed := s.start(t).ID, s.start(t), s.start(t)
		s.start(t, func(r *session.Request) { r.Workgroup = "spark35" })
		synctest.Wait()
		if _, err := s.Terminate(t.Context(), root, ended.ID); err != nil {
			t.Fatal(err)
		}
		w.machine.Crash(failed.Key, exitCode(1))
		synctest.Wait()
		for filter, want := range map[string]string{
			"": idle, "IDLE": idle, "TERMINATED": ended.ID, "FAILED": failed.ID,
			"CREATING": "", "CREATED": "", "BUSY": "", "DEGRADED": "", "TERMINATING": "",
		} {
			page, _, more, err := s.List(t.Context(), root, session.ListRequest{Workgroup: "spark", State: filter, Limit: 10})
			var got string
			for _, p := range page {
				got += p.ID
			}
			if err != nil || more || got != want {
				t.Errorf("filter %q: %q, %v; want %q", filter, got, err, want)
			}
		}
		_, _, _, err := s.List(t.Context(), root, session.ListRequest{Workgroup: "nope", Limit: 10})
		wantFault(t, err, fault.Invalid, "WorkGroup is not found.")
	})
}

func TestEveryOperationAsks(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made := s.start(t)
		synctest.Wait()
		other := access.Caller{Account: "111111111111", UserID: "111111111111"}
		if _, err := s.Get(t.Context(), other, made.ID); fault.Of(err) != fault.Invalid {
			t.Errorf("another account's caller got %v", err)
		}
		of := " " + home.Session("spark", made.ID)
		for action, do := range map[string]func() error{
			"athena:StartSession " + home.Workgroup("spark"): func() error {
				_, err := s.Start(t.Context(), root, session.Request{Workgroup: "spark"})
				return err
			},
			"athena:GetSession" + of:       func() error { _, err := s.Get(t.Context(), root, made.ID); return err },
			"athena:GetSessionStatus" + of: func() error { _, err := s.GetStatus(t.Context(), root, made.ID); return err },
			"athena:TerminateSession" + of: func() error { _, err := s.Terminate(t.Context(), root, made.ID); return err },
			"athena:ListExecutors" + of:    func() error { _, err := s.Executors(t.Context(), root, made.ID); return err },
			"athena:ListSessions " + home.Workgroup("spark"): func() error {
				_, _, _, err := s.List(t.Context(), root, session.ListRequest{Workgroup: "spark", Limit: 1})
				return err
			},
			"athena:ListApplicationDPUSizes *": func() error { return s.MayList(t.Context(), root) },
		} {
			var name, resource string
			if _, err := fmt.Sscan(action, &name, &resource); err != nil {
				t.Fatal(err)
			}
			w.access.denied[name] = true
			if err := do(); fault.Of(err) != fault.Denied {
				t.Errorf("%s: denied, but got %v", name, err)
			}
			if !slices.Contains(w.access.asked, action) {
				t.Errorf("not asked for %q", action)
			}
			delete(w.access.denied, name)
		}
		s.want(t, made.ID, "IDLE")
	})
}
