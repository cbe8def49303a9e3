package session_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"glaux/internal/access"
	"glaux/internal/engine"
	"glaux/internal/engine/enginetest"
	"glaux/internal/fault"
	"glaux/internal/ident"
	"glaux/internal/session"
	"glaux/internal/store/storetest"
	"glaux/internal/workgroup"
)

var (
	home = ident.Home{Partition: "aws", Region: "us-east-1", Account: "000000000000"}
	root = access.Caller{Account: home.Account, UserID: home.Account, ARN: "arn:aws:iam::000000000000:root"}
)

// decider denies the actions it holds and keeps what it was asked.
type decider struct {
	mu     sync.Mutex
	denied map[string]bool
	asked  []string
}

func (d *decider) Decide(_ context.Context, who access.Caller, action, resource string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, action+" "+resource)
	if d.denied[action] {
		return fault.New(fault.Denied, "%s may not %s", who.ARN, action)
	}
	return nil
}

// world is what outlives a server: the store and the machine.
type world struct {
	store   *storetest.Memory
	machine *enginetest.Fake
	access  *decider
	log     *slog.Logger

	mu   sync.Mutex
	fail func(method string) error
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		store:   storetest.NewMemory(),
		machine: &enginetest.Fake{},
		access:  &decider{denied: map[string]bool{}},
		log:     slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	w.store.Fail = func(method string) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.fail == nil {
			return nil
		}
		return w.fail(method)
	}
	w.workgroup(t, "spark", workgroup.Config{SelectedEngine: workgroup.EnginePySpark})
	w.workgroup(t, "spark35", workgroup.Config{SelectedEngine: workgroup.EngineSpark35})
	w.workgroup(t, "primary", workgroup.Config{SelectedEngine: workgroup.EngineAuto})
	return w
}

// workgroup makes a workgroup with a role and a result location.
func (w *world) workgroup(t *testing.T, name string, c workgroup.Config, tags ...workgroup.Tag) {
	t.Helper()
	c.ExecutionRole = home.Role("Default")
	c.Result = &workgroup.ResultConfig{OutputLocation: "s3://results/" + name}
	err := w.store.CreateWorkgroup(t.Context(), workgroup.Workgroup{
		Account: home.Account, Name: name, State: workgroup.Enabled, Created: time.Now(), Config: c,
	}, tags, 0)
	if err != nil {
		t.Fatal(err)
	}
}

// failStore makes methods of the store fail for which f returns an error; nil stops that.
func (w *world) failStore(f func(method string) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail = f
}

// server is one server in a world.
type server struct {
	*world
	*session.Manager
	stop func()
}

// manager makes a manager that does not run yet.
func (w *world) manager(t *testing.T, change ...func(*session.Config)) *session.Manager {
	t.Helper()
	epoch, err := w.store.NextEpoch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cfg := session.Config{
		Home: home, Store: w.store, Tags: w.store, Access: w.access, Launcher: w.machine, Log: w.log, Epoch: epoch,
		Workgroups: workgroup.New(w.store, w.access, home, ident.NewPages([]byte("0123456789abcdef"))),
		AgentToken: func(k session.Key) string { return "token of " + string(k) },
	}
	for _, f := range change {
		f(&cfg)
	}
	m, err := session.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// serve starts a server; stop ends it as a shutdown would.
func (w *world) serve(t *testing.T, change ...func(*session.Config)) *server {
	t.Helper()
	m := w.manager(t, change...)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = m.Run(ctx) })
	stop := sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(stop)
	return &server{world: w, Manager: m, stop: stop}
}

// start starts a session of the account's root.
func (s *server) start(t *testing.T, change ...func(*session.Request)) session.Session {
	t.Helper()
	return s.as(t, root, change...)
}

// want checks the state that Athena would show.
func (s *server) want(t *testing.T, id, state string) session.Session {
	t.Helper()
	got, err := s.Get(t.Context(), root, id)
	if err != nil {
		t.Fatal(err)
	}
	if got.AthenaState() != state {
		t.Fatalf("session is %s (%q), want %s", got.AthenaState(), got.Reason, state)
	}
	return got
}

// bubble runs a test on a fake clock.
func bubble(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { f(t, newWorld(t)) })
}

// sleep lets time pass in a bubble.
func sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func wantFault(t *testing.T, err error, kind fault.Kind, text string) {
	t.Helper()
	if err == nil || fault.Of(err) != kind || err.Error() != text {
		t.Fatalf("got %v (kind %d), want %q (kind %d)", err, fault.Of(err), text, kind)
	}
}

func exitCode(code int) engine.Exit { return engine.Exit{Code: code, Process: "java"} }
