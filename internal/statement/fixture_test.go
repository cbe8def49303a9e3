package statement_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"glaux/internal/access"
	"glaux/internal/cell"
	"glaux/internal/engine"
	"glaux/internal/engine/enginetest"
	"glaux/internal/ident"
	"glaux/internal/session"
	"glaux/internal/statement"
	"glaux/internal/store/storetest"
	"glaux/internal/workgroup"
)

// objects is an object store in memory.
type objects struct {
	mu   sync.Mutex
	all  map[string]string
	down bool
	why  string // what Put is refused for; empty: it is not
}

func (o *objects) Put(_ context.Context, in cell.Object) error {
	b, err := io.ReadAll(in.Body)
	if err != nil {
		return err
	}
	if int64(len(b)) != in.Size {
		return fmt.Errorf("body of %s has %d bytes, said %d", in.URI, len(b), in.Size)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.down {
		return errors.New("object store is down")
	}
	if o.why != "" {
		return &cell.RefusedError{Why: o.why, Err: errors.New("no such bucket")}
	}
	if want := (access.Executor{SessionID: in.Role.SessionID, Glue: true, RoleARN: home.Role("r")}); in.Role != want || in.Session == "" {
		return fmt.Errorf("written for session %s as %+v", in.Session, in.Role)
	}
	o.all[in.URI] = string(b)
	return nil
}

// yes allows everything.
type yes struct{}

func (yes) Decide(context.Context, access.Caller, string, string) error { return nil }

var (
	home = ident.Home{Partition: "aws", Region: "us-east-1", Account: "000000000000"}
	root = access.Caller{Account: home.Account, UserID: home.Account, ARN: "arn:aws:iam::000000000000:root"}
)

// world is what outlives a server: store, machine, object store.
type world struct {
	store   *storetest.Memory
	machine *enginetest.Fake
	objects *objects
	log     *slog.Logger

	mu   sync.Mutex
	fail func(method string) error
	ran  []engine.CellID // in the order in which the driver took them
}

func (w *world) Launch(ctx context.Context, s engine.Spec) (engine.Driver, error) {
	d, err := w.machine.Launch(ctx, s)
	return w.watch(d), err
}

func (w *world) Adopt(ctx context.Context, h engine.Handle) (engine.Driver, error) {
	d, err := w.machine.Adopt(ctx, h)
	return w.watch(d), err
}

func (w *world) List(ctx context.Context) ([]engine.Handle, error) { return w.machine.List(ctx) }

func (w *world) watch(d engine.Driver) engine.Driver {
	if d == nil {
		return nil
	}
	return watched{d, d.(engine.Runner), w}
}

// watched notes in which order a driver takes cells.
type watched struct {
	engine.Driver
	engine.Runner
	w *world
}

func (d watched) Run(ctx context.Context, c engine.Cell) error {
	err := d.Runner.Run(ctx, c)
	d.w.mu.Lock()
	defer d.w.mu.Unlock()
	if err == nil && !slices.Contains(d.w.ran, c.ID) {
		d.w.ran = append(d.w.ran, c.ID)
	}
	return err
}

// order returns the cells that drivers took, in order.
func (w *world) order() []engine.CellID {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.ran)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		store:   storetest.NewMemory(),
		machine: &enginetest.Fake{},
		objects: &objects{all: map[string]string{}},
		log:     slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	w.store.Fail = func(method string) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.fail == nil {
			return nil
		}
		return w.fail(method)
	}
	return w
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
	sessions   *session.Manager
	statements *statement.Manager
	made       int // sessions
	stop       func()
}

// serve starts a server; stop ends it as a shutdown would.
func (w *world) serve(t *testing.T, edit ...func(*statement.Config)) *server {
	t.Helper()
	epoch, err := w.store.NextEpoch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all, err := session.New(session.Config{
		Home: home, Store: w.store, Access: yes{}, Launcher: w, Log: w.log, Epoch: epoch,
		Workgroups:     workgroup.New(w.store, yes{}, home, ident.NewPages([]byte("0123456789abcdef"))),
		ResultLocation: "s3://results",
		AgentToken:     func(k session.Key) string { return "token of " + string(k) },
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg := statement.Config{Home: home, Store: w.store, Sessions: all, Objects: w.objects, Log: w.log, MaxResult: 1000}
	for _, e := range edit {
		e(&cfg)
	}
	statements, err := statement.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	all.Attach(statements)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = all.Run(ctx) })
	running.Go(func() { _ = statements.Run(ctx) })
	stop := sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(stop)
	return &server{world: w, sessions: all, statements: statements, stop: stop}
}

// ready starts a session and waits until it can run code.
func (s *server) ready(t *testing.T) session.Session {
	t.Helper()
	made, err := s.sessions.StartGlue(t.Context(), root, session.GlueRequest{ID: fmt.Sprint("session/", s.made), Role: home.Role("r"), Command: "glueetl", IdleTimeout: minutes(20)})
	s.made++
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return s.wantSession(t, made.ID, session.Idle)
}

// start queues a statement.
func (s *server) start(t *testing.T, sessionID, code string) int {
	t.Helper()
	st, err := s.statements.Start(t.Context(), root, sessionID, code)
	if err != nil {
		t.Fatal(err)
	}
	if st.State != statement.Waiting {
		t.Errorf("statement began as %s", st.State)
	}
	return st.ID
}

func (s *server) wantSession(t *testing.T, id string, state session.State) session.Session {
	t.Helper()
	got, err := s.sessions.GetGlue(t.Context(), root, id)
	if err != nil {
		t.Fatal(err)
	}
	if got.State != state {
		t.Fatalf("session is %s (%s), want %s", got.State, got.Reason, state)
	}
	return got
}

func (s *server) want(t *testing.T, sessionID string, id int, state statement.State) statement.Statement {
	t.Helper()
	got, err := s.statements.Get(t.Context(), root, sessionID, id)
	if err != nil {
		t.Fatal(err)
	}
	if got.State != state {
		t.Fatalf("statement %d is %s, want %s", id, got.State, state)
	}
	if got.State.Terminal() != (got.Output != nil) {
		t.Fatalf("statement %d in %s has output %v", id, got.State, got.Output)
	}
	return got
}

// row is a statement as the store has it: also in a session whose statements
// cannot be asked for any more.
func (s *server) row(t *testing.T, key session.Key, id int, state statement.State) statement.Statement {
	t.Helper()
	got, err := s.store.Statement(t.Context(), key, id)
	if err != nil {
		t.Fatal(err)
	}
	if got.State != state {
		t.Fatalf("statement %d is %s, want %s", id, got.State, state)
	}
	return got
}

func (s *server) cancel(t *testing.T, sessionID string, id int) {
	t.Helper()
	if err := s.statements.Cancel(t.Context(), root, sessionID, id); err != nil {
		t.Fatal(err)
	}
}

// bubble runs a test on a fake clock.
func bubble(t *testing.T, f func(t *testing.T, w *world)) {
	t.Parallel()
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newWorld(t)) })
}

func sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func wantMessage(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || err.Error() != text {
		t.Fatalf("got %v, want %q", err, text)
	}
}

// remove makes a driver leave nothing behind, as a reboot with an empty disk would.
func (w *world) remove(k session.Key) {
	ctx := context.Background()
	all, _ := w.machine.List(ctx)
	for _, h := range all {
		if h.Key == k {
			h.Epoch = 1 << 40
			if d, err := w.machine.Adopt(ctx, h); err == nil {
				_ = d.Remove(ctx)
			}
		}
	}
}

func minutes(n int32) *int32 { return &n }
