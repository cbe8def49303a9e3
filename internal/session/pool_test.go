package session_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"glaux/internal/engine"
	"glaux/internal/engine/enginetest"
	"glaux/internal/engine/warm"
	"glaux/internal/fault"
	"glaux/internal/ident"
	"glaux/internal/session"
	"glaux/internal/workgroup"
)

// pooled starts a server with a pool, and lets a driver of what the workgroups
// declare wait.
func (w *world) pooled(t *testing.T, change ...func(*session.Config)) (s *server, starts func() []session.StartRecord) {
	t.Helper()
	w.machine.OnLaunch = func(engine.Spec) enginetest.Start { return enginetest.Start{Preparing: 2 * time.Second} }
	var m *session.Manager
	pool := warm.New(w.machine, warm.Config{
		Max: 4, Min: 1, Epoch: 1, Log: w.log, NewKey: func() engine.Key { return engine.Key(ident.NewID()) },
		AgentToken: func(k engine.Key) string { return "token of " + string(k) }, Runtime: func() string { return "v1" },
		Declared: func(ctx context.Context) []engine.Spec {
			all, err := w.store.Workgroups(ctx, home.Account, "", 0)
			if err != nil {
				t.Error(err)
			}
			return m.Templates(all)
		},
	})
	var mu sync.Mutex
	var seen []session.StartRecord
	s = w.serve(t, append(change, func(c *session.Config) {
		c.Launcher, c.EventLogs, c.ResultLocation = pool, "/logs", "s3://results"
		c.Observe = func(r session.StartRecord) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, r)
		}
	})...)
	m = s.Manager
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = pool.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	sleep(5 * time.Second)
	return s, func() []session.StartRecord {
		mu.Lock()
		defer mu.Unlock()
		return seen
	}
}

// waiting is the one driver that waits.
func (w *world) waiting(t *testing.T) engine.Key {
	t.Helper()
	all, err := w.machine.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var keys []engine.Key
	for _, h := range all {
		if h.Waits {
			keys = append(keys, h.Key)
		}
	}
	if len(keys) != 1 {
		t.Fatalf("%d drivers wait, want 1", len(keys))
	}
	return keys[0]
}

func TestASessionTakesTheDriverThatWaits(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s, starts := w.pooled(t)
		key := w.waiting(t)
		began := time.Now()
		made := s.start(t, func(in *session.Request) {
			in.Workgroup = "spark35" // another place for results, the same driver
			in.Config = workgroup.EngineConfig{Classifications: []workgroup.Classification{{Name: workgroup.SparkDefaults, Properties: map[string]string{"spark.sql.shuffle.partitions": "3"}}}}
		})
		sleep(0)
		got := s.want(t, made.ID, "IDLE")
		if made.Key != key || made.ID != string(key) || got.IdleSince.After(began) || got.Reason != "" {
			t.Errorf("session %s (key %s) is idle since %v (%q), want the driver %s at %v", made.ID, made.Key, got.IdleSince, got.Reason, key, began)
		}
		spec, _ := w.machine.Spec(key)
		if spec.Properties["spark.sql.shuffle.partitions"] != "3" || spec.EventLog != "/logs/"+made.ID || spec.AgentToken != "token of "+made.ID {
			t.Errorf("spec is %+v", spec)
		}
		if r := starts(); len(r) != 1 || r[0].Tier != engine.Warm || r[0].Missed != "" || r[0].Total != 0 || r[0].Face != session.Athena {
			t.Errorf("starts are %+v", r)
		}
		if got.Spawned.Before(began) || got.DPUMillis(time.Now()) != 0 {
			t.Errorf("spawned at %v, %d DPU ms: the time before the session counts", got.Spawned, got.DPUMillis(time.Now()))
		}
	})
}

func TestAGlueSessionTakesTheDriverThatWaits(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s, starts := w.pooled(t)
		key := w.waiting(t)
		made, err := s.StartGlue(t.Context(), root, session.GlueRequest{
			ID: "notebook 1", Role: home.Role("Default"), Command: "glueetl", GlueVersion: "4.0", Arguments: map[string]string{"--conf": "spark.sql.ansi.enabled=true", "--name": "x"},
		})
		if err != nil {
			t.Fatal(err)
		}
		sleep(0)
		got, err := s.GetGlue(t.Context(), root, "notebook 1")
		if err != nil || got.GlueState() != "READY" || made.Key != key {
			t.Fatalf("%s, key %s, %v; want READY on %s", got.GlueState(), made.Key, err, key)
		}
		spec, _ := w.machine.Spec(key)
		if spec.Display != engine.Plain || spec.Properties["spark.sql.ansi.enabled"] != "true" || len(spec.Notes) == 0 {
			t.Errorf("spec is %+v", spec)
		}
		if r := starts(); len(r) != 1 || r[0].Tier != engine.Warm || r[0].Face != session.Glue {
			t.Errorf("starts are %+v", r)
		}
	})
}

func TestWhatAStartWaitsForIsSaid(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s, starts := w.pooled(t)
		own := func(in *session.Request) {
			in.Workgroup = "spark35"
			in.Config = workgroup.EngineConfig{Classifications: []workgroup.Classification{{Name: workgroup.SparkDefaults, Properties: map[string]string{"spark.serializer": "mine"}}}}
		}
		made := s.start(t, own)
		sleep(time.Second)
		if got := s.want(t, made.ID, "CREATED"); !strings.Contains(got.Reason, "spark.serializer") {
			t.Errorf("reason %q, want it to name what the pool lacks", got.Reason)
		}
		sleep(2 * time.Second)
		if got := s.want(t, made.ID, "IDLE"); got.Reason != "" {
			t.Errorf("reason %q of an idle session", got.Reason)
		}
		if r := starts(); len(r) != 1 || r[0].Tier != engine.Cold || !strings.Contains(r[0].Missed, "spark.serializer") || r[0].Total != 2*time.Second {
			t.Errorf("starts are %+v", r)
		}
	})
}

func TestADriverThatWaitsIsHadWhileOthersStart(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s, starts := w.pooled(t, budget(session.Budgets{Starting: 1}))
		s.start(t, func(in *session.Request) {
			in.Workgroup = "spark35"
			in.Config = workgroup.EngineConfig{Classifications: []workgroup.Classification{{Name: workgroup.SparkDefaults, Properties: map[string]string{"spark.serializer": "mine"}}}}
		})
		made := s.start(t)
		sleep(0)
		s.want(t, made.ID, "IDLE")
		if r := starts(); len(r) != 1 || r[0].Tier != engine.Warm || r[0].Queue != 0 {
			t.Errorf("starts are %+v", r)
		}
	})
}

func TestADriverThatNoSessionWasMadeWithWaitsOn(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s, _ := w.pooled(t, func(c *session.Config) { c.MaxSessions = 1 })
		made := s.start(t, func(in *session.Request) { in.Token = "again" })
		sleep(10 * time.Second)
		key := w.waiting(t)
		again := s.start(t, func(in *session.Request) { in.Token = "again" })
		if again.Key != made.Key {
			t.Errorf("the same token made another session")
		}
		_, err := s.Start(t.Context(), root, session.Request{Workgroup: "spark"})
		wantFault(t, err, fault.TooMany, "Maximum allowed sessions reached")
		sleep(2 * time.Minute)
		if now := w.waiting(t); now != key {
			t.Errorf("driver %s waits, want %s still", now, key)
		}
	})
}

func TestASessionThatWaitsHasNoDriverWaitWithIt(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s, starts := w.pooled(t, budget(session.Budgets{AccountSessions: 1}))
		key := w.waiting(t)
		first := s.start(t)
		sleep(5 * time.Second)
		next := w.waiting(t)
		waits := s.start(t)
		if first.Key != key || waits.Key == next || waits.AthenaState() != "CREATING" {
			t.Errorf("sessions have the keys %s and %s, the drivers %s and %s", first.Key, waits.Key, key, next)
		}
		if got := w.waiting(t); got != next {
			t.Errorf("%s waits, want %s", got, next)
		}
		sleep(5 * time.Second)
		s.end(t, first.ID)
		sleep(5 * time.Second)
		s.want(t, waits.ID, "IDLE")
		if r := starts(); len(r) != 2 || r[1].Queue != 5*time.Second {
			t.Errorf("starts are %+v", r)
		}
	})
}

func TestADriverThatIsReadyNeedsNoMemory(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		m := &memory{free: 2000}
		s, _ := w.pooled(t, func(c *session.Config) { c.Memory, c.ReserveMiB, c.HeadroomMiB = m.read, 300, 512 })
		s.as(t, root)
		sleep(5 * time.Second)
		m.add(-1500)
		warm := s.as(t, root)
		sleep(0)
		s.want(t, warm.ID, "IDLE")
		cold := s.as(t, root, func(in *session.Request) {
			in.Config.SparkProperties = map[string]string{"spark.driver.memory": "2g"} // none is ready for that
		})
		sleep(5 * time.Second)
		wantReason(t, s.want(t, cold.ID, "CREATING"), "500 of 4096 MiB of memory are available")
		// Who comes later does not get what is ready while others wait for memory.
		if all, err := w.machine.List(t.Context()); err != nil || !slices.ContainsFunc(all, func(h engine.Handle) bool { return h.Waits }) {
			t.Fatalf("none is ready among %v, %v", all, err)
		}
		late := s.as(t, root)
		wantReason(t, s.want(t, late.ID, "CREATING"), "number 2 of 2")
		m.add(1500)
		sleep(5 * time.Second)
		s.want(t, cold.ID, "IDLE")
		s.want(t, late.ID, "IDLE")
	})
}
