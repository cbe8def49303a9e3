package warm_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"glaux/internal/engine"
	"glaux/internal/engine/enginetest"
	"glaux/internal/engine/warm"
	"glaux/internal/ident"
)

// preparing is how long a fake driver takes to its context.
const preparing = 2 * time.Second

// world is a machine, and what its pools have launched.
type world struct {
	machine  *enginetest.Fake
	launcher engine.Launcher // over the machine
	version  atomic.Value
	pressed  atomic.Bool
}

func newWorld() *world {
	w := &world{}
	w.version.Store("v1")
	w.machine = &enginetest.Fake{OnLaunch: func(engine.Spec) enginetest.Start { return enginetest.Start{Preparing: preparing} }}
	w.launcher = w.machine
	return w
}

// waiting returns the drivers that run and that no session has.
func (w *world) waiting(t *testing.T) (keys []engine.Key) {
	t.Helper()
	all, err := w.machine.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range all {
		if h.Waits {
			keys = append(keys, h.Key)
		}
	}
	return keys
}

// pool runs a pool until stop or the end of the test.
func (w *world) pool(t *testing.T, change func(*warm.Config)) (p *warm.Pool, stop func()) {
	t.Helper()
	cfg := warm.Config{
		Max: 4, Min: 1, Epoch: 1, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		AgentToken: func(k engine.Key) string { return "token of " + string(k) }, NewKey: func() engine.Key { return engine.Key(ident.NewID()) },
		Runtime:  func() string { return w.version.Load().(string) },
		Declared: func(context.Context) []engine.Spec { return []engine.Spec{session(nil)} },
		Pressed:  w.pressed.Load,
	}
	if change != nil {
		change(&cfg)
	}
	p = warm.New(w.launcher, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = p.Run(ctx) })
	stop = func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return p, stop
}

// session is the spec of a session, under a key that stands for its own.
func session(properties map[string]string) engine.Spec {
	key := engine.Key(ident.NewID())
	return engine.Spec{
		Key: key, Epoch: 1, Properties: properties, Region: "us-east-1", AgentToken: "token of " + string(key), Cores: 2, HeapMiB: 1024,
		MaxOutput: 1 << 20, Orphaned: time.Hour, Warehouse: "s3://bucket/" + string(key), EventLog: "/logs/" + string(key),
	}
}

// start starts a session as its manager does and returns where its driver came from.
func start(t *testing.T, p *warm.Pool, spec engine.Spec) (engine.Driver, engine.Origin) {
	t.Helper()
	if key, ok := p.Reserve(spec); ok {
		spec.Warehouse = strings.ReplaceAll(spec.Warehouse, string(spec.Key), string(key))
		spec.EventLog = strings.ReplaceAll(spec.EventLog, string(spec.Key), string(key))
		spec.Key, spec.AgentToken = key, "token of "+string(key)
	}
	d, err := p.Launch(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return d, p.Origin(spec.Key)
}

func bubble(t *testing.T, run func(t *testing.T)) { synctest.Test(t, run) }

func TestAWaitingDriverIsASessionsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld()
		p, _ := w.pool(t, nil)
		time.Sleep(preparing + time.Second)
		began := time.Now()
		d, from := start(t, p, session(map[string]string{"spark.sql.shuffle.partitions": "7", "spark.app.name": "mine"}))
		if err := d.Ready(t.Context()); err != nil || time.Since(began) != 0 {
			t.Fatalf("ready after %v, %v", time.Since(began), err)
		}
		if from.Tier != engine.Warm || from.Missed != "" {
			t.Errorf("origin is %+v", from)
		}
		key := d.Handle().Key
		spec, _ := w.machine.Spec(key)
		if spec.EventLog != "/logs/"+string(key) || spec.AgentToken != "token of "+string(key) || spec.Properties["spark.sql.shuffle.partitions"] != "7" || spec.Orphaned != time.Hour {
			t.Errorf("spec is %+v", spec)
		}
		if list, err := p.List(t.Context()); err != nil || len(list) != 1 || list[0].Key != key {
			t.Errorf("List is %v, %v, want the session alone", list, err)
		}
		time.Sleep(preparing + time.Second) // and another waits
		if got := w.waiting(t); len(got) != 1 {
			t.Errorf("%d drivers wait, want 1", len(got))
		}
	})
}

// A session that waited for a budget has a key of its own and starts cold.
func TestASessionThatWaitedIsToldSo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld()
		p, _ := w.pool(t, nil)
		time.Sleep(preparing + time.Second)
		spec := session(nil)
		if _, err := p.Launch(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
		if from := p.Origin(spec.Key); from.Tier != engine.Cold || !strings.Contains(from.Missed, "that has itself waited") {
			t.Errorf("origin is %+v", from)
		}
		if _, from := start(t, p, session(nil)); from.Tier != engine.Warm {
			t.Errorf("the next one's origin is %+v", from)
		}
	})
}

func TestNeverMoreThanWanted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld()
		p, _ := w.pool(t, func(c *warm.Config) { c.Max = 3 })
		most := 0
		watch := func(d time.Duration) {
			for range int(d / (100 * time.Millisecond)) {
				time.Sleep(100 * time.Millisecond)
				most = max(most, len(w.waiting(t)))
			}
		}
		watch(5 * time.Second)
		if most != 1 {
			t.Fatalf("%d drivers wait before anybody asks, want 1", most)
		}
		for range 8 { // a burst
			start(t, p, session(nil))
		}
		watch(20 * time.Second)
		if most != 3 {
			t.Errorf("%d drivers waited after a burst of 8, want 3", most)
		}
		if st := p.Stats(); st.Hits != 1 || st.Misses != 7 || st.Ready != 3 || st.Launched != 4 {
			t.Errorf("%+v", st)
		}
		watch(6 * time.Minute) // the burst is forgotten
		if got := len(w.waiting(t)); got != 1 {
			t.Errorf("%d drivers wait when nobody asks any more, want 1", got)
		}
	})
}

func TestMemoryBoundsWhatWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld()
		p, _ := w.pool(t, func(c *warm.Config) { c.Max, c.Min, c.Each, c.Memory = 10, 5, 256, 600 })
		time.Sleep(time.Minute)
		if got := len(w.waiting(t)); got != 2 {
			t.Errorf("%d drivers wait, want 2", got)
		}
		if !p.Reclaim() {
			t.Error("nothing was given up")
		}
		time.Sleep(10 * time.Second)
		if got := len(w.waiting(t)); got != 1 {
			t.Errorf("%d drivers wait after one was given up, want 1", got)
		}
		time.Sleep(2 * time.Minute)
		if got := len(w.waiting(t)); got != 2 {
			t.Errorf("%d drivers wait later, want 2 again", got)
		}
	})
}

func TestPressureStopsLaunches(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld()
		w.pressed.Store(true)
		w.pool(t, nil)
		time.Sleep(time.Minute)
		if got := len(w.waiting(t)); got != 0 {
			t.Errorf("%d drivers wait on a machine without room", got)
		}
		w.pressed.Store(false)
		time.Sleep(time.Minute)
		if got := len(w.waiting(t)); got != 1 {
			t.Errorf("%d drivers wait once there is room, want 1", got)
		}
	})
}

func TestDeadDriversAreNotHandedOut(t *testing.T) {
	for name, kill := range map[string]func(*enginetest.Fake, engine.Key){
		"gone":                 func(f *enginetest.Fake, k engine.Key) { f.Crash(k, engine.Exit{Code: 1}) },
		"silent":               func(f *enginetest.Fake, k engine.Key) { f.SetResponsive(k, false, "does not answer") },
		"answers no claim":     func(f *enginetest.Fake, k engine.Key) { f.FailClaims(k, errors.New("no answer")) },
		"dies while it starts": nil,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld()
				if kill == nil {
					first := true
					w.machine.OnLaunch = func(engine.Spec) enginetest.Start {
						s := enginetest.Start{Preparing: preparing}
						if first {
							s.Fail = &engine.StartError{Cause: "bad luck"}
						}
						first = false
						return s
					}
				}
				p, _ := w.pool(t, nil)
				time.Sleep(preparing + 100*time.Millisecond)
				if kill != nil {
					kill(w.machine, w.waiting(t)[0])
				}
				if name == "silent" {
					synctest.Wait() // the pool has noticed; a real driver would answer no claim either
				}
				d, from := start(t, p, session(nil)) // whether the pool has noticed or not
				if err := d.Ready(t.Context()); err != nil {
					t.Fatal(err)
				}
				if from.Tier != engine.Cold || from.Missed == "" {
					t.Errorf("origin is %+v", from)
				}
				time.Sleep(time.Minute)
				if st := p.Stats(); st.Dead != 1 || st.Ready != 1 || len(w.waiting(t)) != 1 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

func TestAReservedDriverDiesBeforeItsLaunch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld()
		p, _ := w.pool(t, nil)
		time.Sleep(preparing + time.Second)
		spec := session(nil)
		key, ok := p.Reserve(spec)
		if !ok {
			t.Fatal("none is ready")
		}
		w.machine.Crash(key, engine.Exit{Code: 1})
		spec.Key = key
		d, err := p.Launch(t.Context(), spec)
		if err != nil || d.Handle().Key != key {
			t.Fatalf("%v, %v", d, err)
		}
		if err := d.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		if from := p.Origin(key); from.Tier != engine.Cold {
			t.Errorf("origin is %+v", from)
		}
	})
}

func TestReservations(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld()
		p, _ := w.pool(t, nil)
		time.Sleep(preparing + time.Second)
		key, ok := p.Reserve(session(nil))
		if _, again := p.Reserve(session(nil)); !ok || again {
			t.Fatalf("reserved %v, and again %v", ok, again)
		}
		p.Release(key) // no session was made
		again, ok := p.Reserve(session(nil))
		if !ok || again != key {
			t.Fatalf("reserved %v after a release, want %v", again, key)
		}
		time.Sleep(2 * time.Minute) // and nobody launches it
		for _, k := range w.machine.Alive() {
			if k == key {
				t.Error("a driver that was reserved and never launched still runs")
			}
		}
		spec := session(nil)
		spec.Key = key // the session comes all the same
		d, err := p.Launch(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAgeIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld()
		p, _ := w.pool(t, func(c *warm.Config) { c.Age = 10 * time.Minute })
		time.Sleep(5 * time.Second)
		first := w.waiting(t)
		time.Sleep(11 * time.Minute)
		second := w.waiting(t)
		if len(first) != 1 || len(second) != 1 || first[0] == second[0] {
			t.Errorf("%v waited, then %v", first, second)
		}
		if st := p.Stats(); st.Expired != 1 || st.Oldest > 10*time.Minute {
			t.Errorf("%+v", st)
		}
	})
}

func TestAnUpdateOfTheRuntimeReplacesWhatWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld()
		p, _ := w.pool(t, nil)
		time.Sleep(5 * time.Second)
		first := w.waiting(t)
		w.version.Store("v2")
		if _, ok := p.Reserve(session(nil)); ok {
			t.Error("a driver of the old runtime was handed out")
		}
		time.Sleep(3 * time.Minute)
		if second := w.waiting(t); len(first) != 1 || len(second) != 1 || first[0] == second[0] {
			t.Errorf("%v waited, then %v", first, second)
		}
	})
}

func TestTheEndDrains(t *testing.T) {
	for name, after := range map[string]time.Duration{"ready": 5 * time.Second, "launching": preparing / 2} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld()
				p, stop := w.pool(t, nil)
				d, _ := start(t, p, session(nil))
				time.Sleep(after)
				stop()
				if alive := w.machine.Alive(); len(alive) != 1 || alive[0] != d.Handle().Key {
					t.Errorf("%v run, want the session alone", alive)
				}
			})
		})
	}
}

func TestWhatAKilledServerLeftIsReaped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld()
		spec := session(nil)
		spec.Wait = engine.WaitContext
		if _, err := w.machine.Launch(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		w.machine.OnLaunch = func(engine.Spec) enginetest.Start {
			return enginetest.Start{Preparing: preparing}
		}
		p, _ := w.pool(t, func(c *warm.Config) { c.Epoch = 2 })
		if list, err := p.List(t.Context()); err != nil || len(list) != 0 {
			t.Errorf("List is %v, %v", list, err)
		}
		// Its row was written just before: the session is started under that key.
		spec.Wait, spec.Epoch = "", 2
		d, err := p.Launch(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Ready(t.Context()); err != nil || d.Handle().Waits {
			t.Errorf("%v, waits %v", err, d.Handle().Waits)
		}
	})
}

func TestWhatMissedIsTold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld()
		p, _ := w.pool(t, nil)
		time.Sleep(5 * time.Second)
		for want, change := range map[string]func(*engine.Spec){
			"spark.serializer":         func(s *engine.Spec) { s.Properties = map[string]string{"spark.serializer": "x"} },
			"spark.sql.extensions":     func(s *engine.Spec) { s.Properties = map[string]string{"spark.sql.extensions": "x"} },
			"the table formats":        func(s *engine.Spec) { s.Formats = []string{"delta"} },
			"the session language":     func(s *engine.Spec) { s.Language = engine.Scala },
			"fetches at its start":     func(s *engine.Spec) { s.Files = []string{"s3://b/f"} },
			"keeps secret":             func(s *engine.Spec) { s.Properties = map[string]string{"spark.hadoop.fs.azure.account.key.x": "k"} },
			"or keeps secret":          func(s *engine.Spec) { s.Env = map[string]string{"DB_PASSWORD": "k"} },
			"the environment variable": func(s *engine.Spec) { s.Env = map[string]string{"A": "b"} },
		} {
			spec := session(nil)
			change(&spec)
			_, from := start(t, p, spec)
			if from.Tier != engine.Cold || !strings.Contains(from.Missed, want) {
				t.Errorf("origin is %+v, want it to name %q", from, want)
			}
		}
	})
}

// What no whole driver waits for gets one without a context, once such were asked for.
func TestPrimedDrivers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld()
		p, _ := w.pool(t, nil)
		time.Sleep(5 * time.Second)
		start(t, p, session(map[string]string{"spark.serializer": "one"}))
		time.Sleep(30 * time.Second)
		d, from := start(t, p, session(map[string]string{"spark.serializer": "two"}))
		if from.Tier != engine.Primed {
			t.Errorf("origin is %+v", from)
		}
		if err := d.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		if spec, _ := w.machine.Spec(d.Handle().Key); spec.Properties["spark.serializer"] != "two" {
			t.Errorf("properties are %v", spec.Properties)
		}
		if _, from := start(t, p, session(map[string]string{"spark.serializer": "one"})); from.Tier != engine.Warm { // learned
			t.Errorf("origin is %+v", from)
		}
		if _, from := start(t, p, session(map[string]string{"spark.driver.memory": "2g"})); from.Tier != engine.Cold {
			t.Errorf("origin is %+v", from)
		}
	})
}

// Claims race with the age, with the end of the pool and with each other.
func TestRaces(t *testing.T) {
	for i := range 40 {
		bubble(t, func(t *testing.T) {
			w := newWorld()
			p, stop := w.pool(t, func(c *warm.Config) { c.Age, c.Min = 10*time.Second, 3 })
			var all sync.WaitGroup
			keys := make(chan engine.Key, 100)
			for n := range 12 {
				all.Go(func() {
					time.Sleep(time.Duration(i*n) * 173 * time.Millisecond)
					spec := session(map[string]string{"spark.sql.shuffle.partitions": fmt.Sprint(n)})
					if key, ok := p.Reserve(spec); ok {
						spec.Key = key
						time.Sleep(time.Duration(i%5) * 20 * time.Second)
					}
					d, err := p.Launch(t.Context(), spec)
					if err != nil {
						t.Error(err)
						return
					}
					if err := d.Ready(t.Context()); err != nil {
						t.Error(err)
					}
					keys <- d.Handle().Key
				})
			}
			all.Wait()
			stop()
			close(keys)
			seen := map[engine.Key]bool{}
			for k := range keys {
				if seen[k] {
					t.Errorf("driver %v was handed out twice", k)
				}
				seen[k] = true
			}
			for _, k := range w.machine.Alive() {
				if !seen[k] {
					t.Errorf("round %d: driver %v runs and is nobody's", i, k)
				}
			}
		})
	}
}
