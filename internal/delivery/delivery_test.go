package delivery_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"glaux/internal/access"
	"glaux/internal/delivery"
	"glaux/internal/engine"
	"glaux/internal/engine/enginetest"
	"glaux/internal/fault"
	"glaux/internal/ident"
	"glaux/internal/logs"
	"glaux/internal/session"
	"glaux/internal/workgroup"
)

var home = ident.Home{Partition: "aws", Region: "us-east-1", Account: "000000000000"}

// groups is a place for log events that outlives managers.
type groups struct {
	mu      sync.Mutex
	ensured []string
	streams map[string][]logs.Event // by group and stream
	marks   map[string]string
	fail    error // what Append and EnsureGroup return; they do nothing then
	half    error // what Append returns after it has added the events, without the mark
	hang    bool  // Append blocks until its context ends
}

func newGroups() *groups {
	return &groups{streams: map[string][]logs.Event{}, marks: map[string]string{}}
}

func (g *groups) set(change func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change()
}

func (g *groups) EnsureGroup(_ context.Context, group string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fail != nil {
		return g.fail
	}
	if !slices.Contains(g.ensured, group) {
		g.ensured = append(g.ensured, group)
	}
	return nil
}

func (g *groups) Append(ctx context.Context, group, stream string, events []logs.Event, mark string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.hang {
		g.mu.Unlock()
		<-ctx.Done()
		g.mu.Lock()
		return ctx.Err()
	}
	if g.fail != nil {
		return g.fail
	}
	name := group + " " + stream
	g.streams[name] = append(g.streams[name], events...)
	if g.half != nil {
		return g.half
	}
	if mark != "" {
		g.marks[name] = mark
	}
	return nil
}

func (g *groups) Mark(_ context.Context, group, stream string) (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.marks[group+" "+stream], g.fail
}

func (g *groups) texts(group, stream string) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []string
	for _, e := range g.streams[group+" "+stream] {
		out = append(out, e.Message)
	}
	return out
}

func (g *groups) names() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Sorted(maps.Keys(g.streams))
}

// objects is a place for objects that outlives managers.
type objects struct {
	mu   sync.Mutex
	have map[string]string
	keys map[string]string // KMS keys
	fail error
}

func newObjects() *objects {
	return &objects{have: map[string]string{}, keys: map[string]string{}}
}

func (o *objects) Resource(uri string) (string, error) {
	if strings.Contains(uri, "/../") {
		return "", &delivery.RefusedError{Why: "no object can have the key"}
	}
	return "arn:aws:s3:::" + strings.TrimPrefix(uri, "s3://"), nil
}

func (o *objects) Put(_ context.Context, in delivery.Object) error {
	body, err := io.ReadAll(in.Body)
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fail != nil {
		return o.fail
	}
	if int64(len(body)) != in.Size {
		return fmt.Errorf("%d bytes instead of %d", len(body), in.Size)
	}
	o.have[in.URI], o.keys[in.URI] = string(body), in.KMSKey
	return nil
}

func (o *objects) set(change func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change()
}

func (o *objects) names() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Sorted(maps.Keys(o.have))
}

// lines are those of all objects below a prefix, in the order of their names.
func (o *objects) lines(t *testing.T, prefix string) []string {
	t.Helper()
	var out []string
	for _, name := range o.names() {
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		z, err := gzip.NewReader(strings.NewReader(o.have[name]))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			out = append(out, strings.TrimSuffix(line, "\n"))
		}
	}
	return out
}

// decider denies the actions it holds.
type decider struct {
	mu     sync.Mutex
	denied string
	asked  []string
}

func (d *decider) Decide(_ context.Context, who access.Caller, action, resource string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, who.ARN+" "+action+" "+resource)
	if d.denied != "" && strings.HasPrefix(action, d.denied) {
		return fault.New(fault.Denied, "no")
	}
	return nil
}

// world is what outlives a server.
type world struct {
	machine        enginetest.Fake
	managed, cloud *groups
	objects        *objects
	access         *decider
	dir, history   string

	mu      sync.Mutex
	secrets []string // guarded by mu
	deleted map[session.Key]bool
	fail    error // what asking for a session returns
	changed func(*delivery.Config)
}

func newWorld(t *testing.T) *world {
	return &world{
		managed: newGroups(), cloud: newGroups(), objects: newObjects(), access: &decider{}, dir: t.TempDir(), history: t.TempDir(),
		secrets: []string{"a secret of the session"}, deleted: map[session.Key]bool{},
	}
}

// server is one server in a world.
type server struct {
	*delivery.Manager
	stop func()
}

func (w *world) serve(t *testing.T) *server {
	t.Helper()
	cfg := delivery.Config{
		Home: home, Dir: w.dir, Managed: w.managed, CloudWatch: w.cloud, Objects: w.objects, Access: w.access,
		Exists: func(_ context.Context, k session.Key) (bool, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return !w.deleted[k], w.fail
		},
		Role: func(s session.Session) (access.Caller, error) {
			return access.Caller{Account: home.Account, ARN: "role of " + s.ID}, nil
		},
		Secrets: func(session.Key) []string {
			w.mu.Lock()
			defer w.mu.Unlock()
			return slices.Clone(w.secrets)
		},
		EventLogs: func(k session.Key) string { return w.history + "/" + string(k) },
		Log:       slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	if w.changed != nil {
		w.changed(&cfg)
	}
	m, err := delivery.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = m.Run(ctx) })
	stop := sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(stop)
	return &server{Manager: m, stop: stop}
}

// launch makes a session with a driver.
func (w *world) launch(t *testing.T, id string, m *workgroup.Monitoring, change ...func(*engine.Spec)) (session.Session, engine.Driver) {
	t.Helper()
	spec := engine.Spec{Key: engine.Key(id), Epoch: 1}
	for _, f := range change {
		f(&spec)
	}
	d, err := w.machine.Launch(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return session.Session{Key: session.Key(id), ID: id, Workgroup: "spark", Monitoring: m.Effective()}, d
}

func bubble(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { f(t, newWorld(t)) })
}

func sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func want(t *testing.T, got []string, wanted ...string) {
	t.Helper()
	if !slices.Equal(got, wanted) {
		t.Fatalf("have %.400q\nwant %.400q", got, wanted)
	}
}

// numbered are the lines "x 0" to "x n-1".
func numbered(what string, from, to int) []string {
	var out []string
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprintf("%s %d", what, i))
	}
	return out
}

const managedGroup = "/glaux/managed/spark"

func on() *workgroup.Monitoring {
	return &workgroup.Monitoring{
		CloudWatch: &workgroup.CloudWatchLogging{Enabled: true, LogGroup: new("/team"), StreamPrefix: new("p/"), LogTypes: map[string][]string{workgroup.SparkDriver: {workgroup.LogStderr}}},
		S3:         &workgroup.S3Logging{Enabled: true, LogLocation: new("s3://logs/here/"), KMSKey: new("alias/k")},
	}
}

func TestManagedLogsArriveAtOnceAndWhole(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made, d := w.launch(t, "s1", nil)
		s.Attend(made, d)
		s.Attend(made, d) // told twice, followed once
		sleep(time.Second)
		want(t, w.managed.ensured, managedGroup)
		if len(w.managed.names()) != 0 {
			t.Errorf("streams %q of a driver that wrote nothing", w.managed.names())
		}
		w.machine.WriteLog("s1", engine.LogStderr, "one", "", "three")
		w.machine.WriteLog("s1", engine.LogStdout, "out")
		at := time.Now()
		sleep(150 * time.Millisecond)
		want(t, w.managed.texts(managedGroup, "s1/driver/stderr"), "one", "", "three")
		want(t, w.managed.texts(managedGroup, "s1/driver/stdout"), "out")
		if e := w.managed.streams[managedGroup+" s1/driver/stderr"][0]; !e.Time.Equal(at.Truncate(time.Millisecond)) {
			t.Errorf("time is %v, want that of the line, %v", e.Time, at)
		}
		w.machine.WriteLog("s1", engine.LogStderr, "last")
		w.machine.Crash("s1", engine.Exit{Code: 1})
		began := time.Now()
		if err := s.Settle(t.Context(), "s1"); err != nil || time.Since(began) > 150*time.Millisecond {
			t.Errorf("Settle took %v: %v", time.Since(began), err)
		}
		want(t, w.managed.texts(managedGroup, "s1/driver/stderr"), "one", "", "three", "last")
		if err := s.Settle(t.Context(), "s1"); err != nil {
			t.Error(err)
		}
		if st := s.Stats()[0]; st.Kind != "managed" || st.Lines != 5 || st.Failed != 0 || st.Lag != 0 {
			t.Errorf("stats are %+v", st)
		}
	})
}

// TestFollowingAGroupMissesNothing follows as "aws logs tail" does: from the
// newest time that it has seen.
func TestFollowingAGroupMissesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		const out, errs = managedGroup + " s1/driver/stdout", managedGroup + " s1/driver/stderr"
		s := w.serve(t)
		made, d := w.launch(t, "s1", nil)
		s.Attend(made, d)
		sleep(time.Second)
		var newest time.Time
		seen := map[string]int{} // events by stream
		poll := func() {
			w.managed.mu.Lock()
			defer w.managed.mu.Unlock()
			from := newest
			for _, name := range []string{out, errs} {
				for _, e := range w.managed.streams[name][seen[name]:] {
					if e.Time.Before(from) {
						t.Fatalf("%q of %v came after an event of %v", e.Message, e.Time, from)
					}
					if e.Time.After(newest) {
						newest = e.Time
					}
					seen[name]++
				}
			}
		}
		for i := range 500 {
			w.machine.WriteLog("s1", engine.LogStdout, fmt.Sprintf("line %d", i))
			if i%7 < 5 { // so that their batches are not of the same times
				sleep(time.Duration(i%13) * time.Millisecond)
				poll()
				w.machine.WriteLog("s1", engine.LogStderr, fmt.Sprintf("line %d", i))
			}
			sleep(time.Duration(i%17) * time.Millisecond)
			poll()
		}
		sleep(time.Second)
		if poll(); seen[out] != 500 {
			t.Errorf("%d lines were seen", seen[out])
		}

		w.managed.set(func() { w.managed.fail = errors.New("no space left") })
		at := time.Now()
		w.machine.WriteLog("s1", engine.LogStdout, "old")
		sleep(time.Minute)
		w.machine.WriteLog("s1", engine.LogStderr, "new")
		sleep(time.Second)
		w.managed.set(func() { w.managed.fail = nil })
		sleep(time.Minute)
		if e := w.managed.streams[out][500]; e.Message != "old" || e.Time.Sub(at).Abs() > 2*time.Second {
			t.Errorf("%q of %v has the time %v", e.Message, at, e.Time)
		}
		if got := w.managed.streams[out]; !slices.IsSortedFunc(got, func(a, b logs.Event) int { return a.Time.Compare(b.Time) }) {
			t.Error("the times of a stream go back")
		}
	})
}

func TestTargetsAreThoseOfTheMonitoring(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		for id, m := range map[string]*workgroup.Monitoring{
			"all":      on(),
			"off":      {Managed: &workgroup.ManagedLogging{}},
			"default":  {CloudWatch: &workgroup.CloudWatchLogging{Enabled: true}},
			"executor": {Managed: &workgroup.ManagedLogging{}, CloudWatch: &workgroup.CloudWatchLogging{Enabled: true, LogTypes: map[string][]string{workgroup.SparkExecutor: nil}}},
		} {
			made, d := w.launch(t, id, m)
			s.Attend(made, d)
			w.machine.WriteLog(engine.Key(id), engine.LogStderr, "err")
			w.machine.WriteLog(engine.Key(id), engine.LogStdout, "out")
			w.machine.Crash(engine.Key(id), engine.Exit{})
			if err := s.Flush(t.Context(), session.Key(id)); err != nil {
				t.Fatal(err)
			}
		}
		want(t, w.managed.names(), managedGroup+" default/driver/stderr", managedGroup+" default/driver/stdout")
		want(t, w.cloud.names(), "/aws-athena/spark default/driver/stderr", "/aws-athena/spark default/driver/stdout", "/team p/all/driver/stderr")
		want(t, w.objects.names(), "s3://logs/here/all/SPARK_DRIVER/stderr/0000000000000000.gz", "s3://logs/here/all/SPARK_DRIVER/stdout/0000000000000000.gz")
		want(t, w.objects.lines(t, "s3://logs/here/all/SPARK_DRIVER/stderr/"), "err")
		if k := w.objects.keys["s3://logs/here/all/SPARK_DRIVER/stderr/0000000000000000.gz"]; k != "alias/k" {
			t.Errorf("the KMS key is %q", k)
		}
		for _, asked := range []string{
			"role of all s3:PutObject arn:aws:s3:::logs/here/all/SPARK_DRIVER/stderr/0000000000000000.gz",
			"role of all logs:PutLogEvents arn:aws:logs:us-east-1:000000000000:log-group:/team:log-stream:p/all/driver/stderr",
		} {
			if !slices.Contains(w.access.asked, asked) {
				t.Errorf("nobody asked %q", asked)
			}
		}
	})
}

func TestLinesForS3AreGathered(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made, d := w.launch(t, "s1", on())
		s.Attend(made, d)
		const dir = "s3://logs/here/s1/SPARK_DRIVER/stderr/"
		w.machine.WriteLog("s1", engine.LogStderr, "a")
		sleep(30 * time.Second)
		w.machine.WriteLog("s1", engine.LogStderr, "b")
		sleep(29 * time.Second)
		if len(w.objects.names()) != 0 {
			t.Errorf("objects %q before a minute is over", w.objects.names())
		}
		sleep(2 * time.Second)
		want(t, w.objects.lines(t, dir), "a", "b")
		big := strings.Repeat("x", 1<<20)
		w.machine.WriteLog("s1", engine.LogStderr, big, big, big, big, "c")
		sleep(time.Second)
		if n := len(w.objects.names()); n != 2 {
			t.Errorf("%d objects after 4 MiB more", n)
		}
		w.machine.Crash("s1", engine.Exit{})
		if err := s.Flush(t.Context(), "s1"); err != nil {
			t.Fatal(err)
		}
		want(t, w.objects.lines(t, dir), "a", "b", big, big, big, big, "c")
	})
}

func TestTargetThatIsDownHoldsUpNoOther(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		m := on()
		m.S3 = nil
		w.cloud.set(func() { w.cloud.fail = errors.New("connection refused") })
		made, d := w.launch(t, "s1", m)
		s.Attend(made, d)
		for i := range 600 { // ten minutes
			w.machine.WriteLog("s1", engine.LogStderr, fmt.Sprintf("line %d", i))
			sleep(time.Second)
			if n := len(w.managed.texts(managedGroup, "s1/driver/stderr")); n != i+1 {
				t.Fatalf("managed logging has %d of %d lines", n, i+1)
			}
			if i == 300 {
				w.cloud.set(func() { w.cloud.fail, w.cloud.hang = nil, true }) // takes connections, and nothing more
			}
		}
		if st := s.Stats()[1]; st.Failed < 20 || st.Failed > 200 || st.Lag < 9*time.Minute {
			t.Errorf("stats are %+v", st)
		}
		w.cloud.set(func() { w.cloud.hang = false })
		sleep(80 * time.Second) // one attempt and one pause
		want(t, w.cloud.texts("/team", "p/s1/driver/stderr"), numbered("line", 0, 600)...)
		if st := s.Stats()[1]; st.Lag != 0 || st.Lines != 600 {
			t.Errorf("stats are %+v", st)
		}
	})
}

func TestRefusedIsSaidOnceAndTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		w.objects.set(func() { w.objects.fail = &delivery.RefusedError{Why: "the bucket does not exist"} })
		made, d := w.launch(t, "s1", on())
		s.Attend(made, d)
		w.machine.WriteLog("s1", engine.LogStderr, "one")
		sleep(10 * time.Minute)
		want(t, w.managed.texts(managedGroup, "s1/delivery"),
			"Logs cannot be delivered to s3://logs/here/s1/SPARK_DRIVER/stderr/: the bucket does not exist; it is tried again every minute.")
		w.objects.set(func() { w.objects.fail = nil })
		sleep(2 * time.Minute)
		want(t, w.objects.lines(t, "s3://logs/here/s1/SPARK_DRIVER/stderr/"), "one")

		w.objects.set(func() { w.objects.fail = &delivery.RefusedError{Why: "the object store denies access"} })
		w.machine.WriteLog("s1", engine.LogStderr, "two")
		sleep(2 * time.Minute)
		w.machine.Crash("s1", engine.Exit{})
		began := time.Now()
		if err := s.Flush(t.Context(), "s1"); err != nil || time.Since(began) > time.Second {
			t.Errorf("the end waited %v for a target that refuses: %v", time.Since(began), err)
		}
		if st := s.Stats()[2]; st.GivenUp != 1 {
			t.Errorf("stats are %+v", st)
		}
	})
}

func TestRoleThatMayNotWrite(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.access.denied = "s3:"
		s := w.serve(t)
		made, d := w.launch(t, "s1", on())
		s.Attend(made, d)
		w.machine.WriteLog("s1", engine.LogStderr, "one")
		sleep(time.Second)
		want(t, w.cloud.texts("/team", "p/s1/driver/stderr"), "one")
		w.machine.Crash("s1", engine.Exit{})
		if err := s.Flush(t.Context(), "s1"); err != nil {
			t.Fatal(err)
		}
		if len(w.objects.names()) != 0 || s.Stats()[2].GivenUp != 3 {
			t.Errorf("objects %q, stats %+v", w.objects.names(), s.Stats()[2])
		}
	})
}

func TestLocationThatLeadsElsewhere(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made, d := w.launch(t, "s1", &workgroup.Monitoring{S3: &workgroup.S3Logging{Enabled: true, LogLocation: new("s3://mine/../theirs")}})
		s.Attend(made, d)
		w.machine.WriteLog("s1", engine.LogStderr, "one")
		w.machine.Crash("s1", engine.Exit{})
		if err := s.Flush(t.Context(), "s1"); err != nil || len(w.objects.names()) != 0 {
			t.Fatalf("objects %q, %v", w.objects.names(), err)
		}
		if told := w.managed.texts(managedGroup, "s1/delivery"); len(told) == 0 || !strings.Contains(told[0], "no object can have the key") {
			t.Errorf("told %q", told)
		}
	})
}

func TestNextServerGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		m := on()
		first := w.serve(t)
		made, d := w.launch(t, "s1", m)
		first.Attend(made, d)
		w.machine.WriteLog("s1", engine.LogStderr, numbered("line", 0, 10)...)
		sleep(61 * time.Second)
		w.machine.WriteLog("s1", engine.LogStderr, numbered("line", 10, 20)...) // gathered for S3 when the server goes
		sleep(time.Second)
		first.stop()
		w.machine.WriteLog("s1", engine.LogStderr, numbered("line", 20, 30)...)
		time.Sleep(time.Hour)
		second := w.serve(t)
		second.Attend(made, d)
		sleep(time.Second)
		events := w.cloud.streams["/team p/s1/driver/stderr"]
		if len(events) != 30 || time.Since(events[29].Time) < time.Hour {
			t.Errorf("%d events, the last of %v", len(events), events[len(events)-1].Time)
		}
		w.machine.WriteLog("s1", engine.LogStderr, numbered("line", 30, 40)...)
		w.machine.Crash("s1", engine.Exit{})
		second.stop() // goes once more, before the end has arrived
		third := w.serve(t)
		made.State = session.Ended
		third.Attend(made, d)
		if err := third.Settle(t.Context(), "s1"); err != nil {
			t.Fatal(err)
		}
		want(t, w.cloud.texts("/team", "p/s1/driver/stderr"), numbered("line", 0, 40)...)
		want(t, w.objects.lines(t, "s3://logs/here/s1/SPARK_DRIVER/stderr/"), numbered("line", 0, 40)...)
	})
}

func TestCrashRepeatsButLosesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		first := w.serve(t)
		made, d := w.launch(t, "s1", nil)
		first.Attend(made, d)
		w.machine.WriteLog("s1", engine.LogStderr, numbered("line", 0, 10)...)
		sleep(time.Second)
		w.managed.set(func() { w.managed.half = errors.New("killed before the mark was kept") })
		w.machine.WriteLog("s1", engine.LogStderr, "line 10")
		sleep(150 * time.Millisecond)
		first.stop()
		w.managed.set(func() { w.managed.half = nil })
		second := w.serve(t)
		second.Attend(made, d)
		sleep(time.Second)
		got := w.managed.texts(managedGroup, "s1/driver/stderr")
		want(t, slices.Compact(slices.Clone(got)), numbered("line", 0, 11)...)
		if len(got) == 11 {
			t.Error("nothing was repeated: the test tests nothing")
		}
	})
}

func TestWhatTheDriverDroppedIsSaid(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		w.managed.set(func() { w.managed.fail = errors.New("no space left") })
		made, d := w.launch(t, "s1", nil, func(s *engine.Spec) { s.MaxLog = 64 << 10 })
		s.Attend(made, d)
		for i := range 10000 {
			w.machine.WriteLog("s1", engine.LogStderr, fmt.Sprintf("line %d", i))
		}
		sleep(5 * time.Minute)
		w.managed.set(func() { w.managed.fail = nil })
		w.machine.WriteLog("s1", engine.LogStderr, "last")
		sleep(time.Minute)
		got := w.managed.texts(managedGroup, "s1/driver/stderr")
		gaps := 0
		next := -1
		for _, line := range got {
			n := 0
			switch {
			case strings.HasSuffix(line, "bytes of the log were dropped before they could be delivered]"):
				gaps++
				next = -1
				continue
			case line == "last":
				continue
			}
			if _, err := fmt.Sscanf(line, "line %d", &n); err != nil || next >= 0 && n != next {
				t.Fatalf("after line %d comes %q", next-1, line)
			}
			next = n + 1
		}
		if gaps == 0 || got[len(got)-1] != "last" || next != 10000 {
			t.Errorf("%d gaps, %d lines, the last %q", gaps, len(got), got[len(got)-1])
		}
		if st := s.Stats()[0]; st.Dropped == 0 {
			t.Errorf("stats are %+v", st)
		}
	})
}

func TestPositionsAreKeptAsLongAsTheSession(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		const dir, day = "s3://logs/here/quiet/SPARK_DRIVER/stderr/", 24 * time.Hour
		first := w.serve(t)
		made, d := w.launch(t, "quiet", on(), func(s *engine.Spec) { s.MaxLog = 1 << 10 })
		first.Attend(made, d)
		w.machine.WriteLog("quiet", engine.LogStderr, "line 0")
		sleep(2 * time.Minute)
		first.stop()
		file, old := w.dir+"/quiet.json", w.dir+"/.eventlog-1"
		mustWrite(t, old, "of a server that was killed")
		age := func() {
			for _, name := range []string{file, old} {
				if err := os.Chtimes(name, time.Time{}, time.Now().Add(-9*day)); err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Fatal(err)
				}
			}
		}
		age()
		second := w.serve(t) // is told of the session late
		sleep(3 * time.Hour)
		if exists(t, old) {
			t.Error("what a killed server left is there")
		}
		w.machine.WriteLog("quiet", engine.LogStderr, numbered("line", 1, 200)...) // the driver drops most
		second.Attend(made, d)
		sleep(2 * time.Minute)
		got := w.objects.lines(t, dir)
		if got[0] != "line 0" || !strings.HasSuffix(got[1], "dropped before they could be delivered]") || got[len(got)-1] != "line 199" {
			t.Errorf("S3 has %q", got)
		}
		second.stop()

		age()
		w.fail = errors.New("the store is down")
		third := w.serve(t)
		sleep(time.Minute)
		if third.stop(); !exists(t, file) {
			t.Error("the position is gone though nobody knows whether the session is")
		}
		w.fail, w.deleted["quiet"] = nil, true
		w.serve(t)
		sleep(time.Minute)
		if exists(t, file) {
			t.Error("the position of a session that is no more is kept")
		}
	})
}

func TestEndWaitsAndThenGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.changed = func(c *delivery.Config) { c.Keep = time.Hour }
		s := w.serve(t)
		w.objects.set(func() { w.objects.fail = errors.New("connection refused") })
		late, d := w.launch(t, "late", on())
		s.Attend(late, d)
		never, nd := w.launch(t, "never", on())
		s.Attend(never, nd)
		w.machine.WriteLog("late", engine.LogStdout, "one")
		w.machine.WriteLog("never", engine.LogStdout, "one")
		w.machine.Crash("late", engine.Exit{})
		bound, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if err := s.Flush(bound, "late"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Flush with the target down: %v", err)
		}
		sleep(30 * time.Minute)
		w.objects.set(func() { w.objects.fail = nil })
		if err := s.Settle(t.Context(), "late"); err != nil {
			t.Fatal(err)
		}
		want(t, w.objects.lines(t, "s3://logs/here/late/"), "one")

		w.objects.set(func() { w.objects.fail = errors.New("connection refused") })
		w.machine.WriteLog("never", engine.LogStdout, "two")
		w.machine.Crash("never", engine.Exit{})
		began := time.Now()
		if err := s.Settle(t.Context(), "never"); err != nil || time.Since(began) < time.Hour || time.Since(began) > time.Hour+5*time.Minute {
			t.Errorf("gave up after %v: %v", time.Since(began), err)
		}
	})
}

// TestRestartsDoNotKeepForLonger has a server that starts anew each hour.
func TestRestartsDoNotKeepForLonger(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.changed = func(c *delivery.Config) { c.Keep = 2 * time.Hour }
		w.objects.set(func() { w.objects.fail = errors.New("connection refused") })
		made, d := w.launch(t, "s1", on())
		w.machine.WriteLog("s1", engine.LogStdout, "one")
		w.machine.Crash("s1", engine.Exit{})
		made.State, made.EndedAt = session.Ended, time.Now()
		for range 2 {
			s := w.serve(t)
			s.Attend(made, d)
			bound, cancel := context.WithTimeout(t.Context(), time.Hour-time.Second)
			if err := s.Settle(bound, "s1"); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("settled within two hours: %v", err)
			}
			cancel()
			s.stop()
		}
		s := w.serve(t)
		s.Attend(made, d)
		began := time.Now()
		if err := s.Settle(t.Context(), "s1"); err != nil || time.Since(began) > 11*time.Minute || s.Stats()[2].GivenUp == 0 {
			t.Errorf("gave up after %v: %v", time.Since(began), err)
		}
	})
}

func TestDriverWithoutLogs(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made, d := w.launch(t, "s1", nil)
		s.Attend(made, struct{ engine.Driver }{d})
		if err := s.Settle(t.Context(), "s1"); err != nil {
			t.Fatal(err)
		}
		if err := s.Flush(t.Context(), "unknown"); err != nil {
			t.Fatal(err)
		}
		old, od := w.launch(t, "s2", nil)
		s.Attend(old, oldDriver{od})
		if err := s.Settle(t.Context(), "s2"); err != nil {
			t.Fatal(err)
		}
	})
}

// oldDriver has a shim of before there were logs.
type oldDriver struct{ engine.Driver }

func (oldDriver) Log(context.Context, engine.LogSource, int64) (io.ReadCloser, error) {
	return nil, engine.ErrNoLog
}

// brokenDriver breaks every connection after some bytes.
type brokenDriver struct {
	engine.Driver
	engine.Logger
}

func (b brokenDriver) Log(ctx context.Context, s engine.LogSource, at int64) (io.ReadCloser, error) {
	in, err := b.Logger.Log(ctx, s, at)
	if err != nil {
		return nil, err
	}
	return &broken{ReadCloser: in, left: 100}, nil
}

type broken struct {
	io.ReadCloser
	left int
}

func (b *broken) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errors.New("connection reset")
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

func TestConnectionsThatBreak(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made, d := w.launch(t, "s1", nil)
		s.Attend(made, brokenDriver{d, d.(engine.Logger)})
		w.machine.WriteLog("s1", engine.LogStderr, numbered("line", 0, 50)...)
		w.machine.Crash("s1", engine.Exit{})
		if err := s.Settle(t.Context(), "s1"); err != nil {
			t.Fatal(err)
		}
		want(t, w.managed.texts(managedGroup, "s1/driver/stderr"), numbered("line", 0, 50)...)
	})
}

func TestSecretsAreHidden(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made, d := w.launch(t, "s1", nil)
		s.Attend(made, d)
		sleep(time.Second)
		w.machine.WriteLog("s1", engine.LogStderr, "connect with secret of s1 for connect, please", "it is a secret of the session", "nothing here")
		w.mu.Lock()
		w.secrets = append(w.secrets, "a later secret")
		w.mu.Unlock()
		sleep(time.Second)
		w.machine.WriteLog("s1", engine.LogStderr, "psst: a later secret")
		sleep(time.Second)
		want(t, w.managed.texts(managedGroup, "s1/driver/stderr"), "connect with [hidden], please", "it is [hidden]", "nothing here", "psst: [hidden]")
	})
}

func TestEventLogsAreCopiedOnceTheyAreComplete(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made, d := w.launch(t, "s1", on())
		log := w.history + "/s1/eventlog_v2_app/events_1_app"
		mustWrite(t, log, "{}\n")
		mustWrite(t, w.history+"/s1/eventlog_v2_app/appstatus_app.inprogress", "")
		s.Attend(made, d)
		sleep(10 * time.Minute)
		if len(w.objects.names()) != 0 {
			t.Errorf("objects %q of a session that lives", w.objects.names())
		}
		mustRename(t, w.history+"/s1/eventlog_v2_app/appstatus_app.inprogress", w.history+"/s1/eventlog_v2_app/appstatus_app")
		long := strings.Repeat("x", 5<<20)
		mustWrite(t, log, "{\"Event\":1}\n{\"x\":\"a secret of the session\"}\n"+long+"\n{\"last\":true}")
		mustWrite(t, w.history+"/s1/eventlog_v2_app/events_2_app", "rolled\n"+long)
		mustWrite(t, w.history+"/s1/eventlog_v2_app/.events_1_app.crc", "x")
		mustWrite(t, w.history+"/s1/eventlog_v2_app/other", "not Spark's")
		mustWrite(t, w.history+"/s1/events_3_app", "not Spark's")
		mustWrite(t, w.history+"/s1/eventlog_v2_app/events_4_app", "")
		mustWrite(t, w.history+"/elsewhere", "not the session's")
		for _, err := range []error{
			os.Symlink("../../elsewhere", w.history+"/s1/eventlog_v2_app/events_5_app"), os.Symlink("..", w.history+"/s1/eventlog_v2_dir"),
			os.Link(w.history+"/elsewhere", w.history+"/s1/eventlog_v2_app/events_6_app"),
			syscall.Mkfifo(w.history+"/s1/eventlog_v2_app/events_7_app", 0o600),
			os.Truncate(w.history+"/s1/eventlog_v2_app/events_4_app", 1<<40), // nothing of it is on the disk
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		w.machine.Crash("s1", engine.Exit{})
		if err := s.Settle(t.Context(), "s1"); err != nil {
			t.Fatal(err)
		}
		const to = "s3://logs/here/s1/eventlog/eventlog_v2_app/"
		want(t, w.objects.names(), to+"appstatus_app", to+"events_1_app", to+"events_2_app")
		want(t, []string{w.objects.have[to+"events_1_app"], w.objects.have[to+"events_2_app"]}, "{\"Event\":1}\n{\"x\":\"[hidden]\"}\n{\"last\":true}", "rolled\n")
		w.objects.set(func() { clear(w.objects.have) })
		again := w.serve(t)
		again.Attend(made, d)
		if err := again.Settle(t.Context(), "s1"); err != nil || len(w.objects.names()) != 0 {
			t.Errorf("copied again: %q, %v", w.objects.names(), err)
		}
	})
}

// TestCopyOfEventLogsEndsWithTheServer has a server go in the middle of a file.
func TestCopyOfEventLogsEndsWithTheServer(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		asked, hidden := 0, make(chan struct{})
		w.changed = func(c *delivery.Config) {
			c.Secrets = func(session.Key) []string {
				if asked++; asked == 10 {
					close(hidden)
				}
				time.Sleep(2 * time.Second) // stands for text that takes long
				return nil
			}
		}
		s := w.serve(t)
		made, d := w.launch(t, "s1", on())
		mustWrite(t, w.history+"/s1/eventlog_v2_app/events_1_app", strings.Repeat("{}\n", 1<<20))
		s.Attend(made, d)
		w.machine.Crash("s1", engine.Exit{})
		bound, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := s.Flush(bound, "s1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Flush: %v", err)
		}
		<-hidden
		began := time.Now()
		if s.stop(); time.Since(began) > 2*time.Second || len(w.objects.names()) != 0 {
			t.Errorf("the server went after %v, objects %q", time.Since(began), w.objects.names())
		}
	})
}

func TestConfigIsChecked(t *testing.T) {
	if _, err := delivery.New(delivery.Config{}); err == nil {
		t.Error("a manager of nothing is made")
	}
	if (&delivery.RefusedError{Why: "no", Err: io.EOF}).Error() != "no: EOF" {
		t.Error("a refusal does not say why")
	}
}
