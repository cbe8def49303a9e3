package calc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"glaux/internal/access"
	"glaux/internal/calc"
	"glaux/internal/cell"
	"glaux/internal/engine"
	"glaux/internal/engine/enginetest"
	"glaux/internal/ident"
	"glaux/internal/session"
	"glaux/internal/store/storetest"
	"glaux/internal/workgroup"
)

// objects is an object store in memory.
type objects struct {
	mu   sync.Mutex
	all  map[string]string
	down bool
	why  string // what Put is refused for; empty: it is not
	puts int
	as   map[string]int // puts by session and role
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
	o.puts++
	if o.as == nil {
		o.as = map[string]int{}
	}
	o.as[fmt.Sprint(in.Session, in.Role)]++
	o.all[in.URI] = string(b)
	return nil
}

func (o *objects) Get(_ context.Context, uri string, offset int64) (io.ReadCloser, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	text, ok := o.all[uri]
	if !ok {
		return nil, fmt.Errorf("no object %s", uri)
	}
	return io.NopCloser(strings.NewReader(text[min(offset, int64(len(text))):])), nil
}

func (o *objects) setDown(down bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.down = down
}

func (o *objects) setRefused(why string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.why = why
}

func (o *objects) read(t *testing.T, uri string) string {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	text, ok := o.all[uri]
	if !ok {
		t.Fatalf("no object %q", uri)
	}
	return text
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
	over map[engine.CellID]bool // discarded cells
	late []engine.CellID        // cells that were run again after that
}

// The world is a launcher that watches what is asked of its machine's drivers.

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

type watched struct {
	engine.Driver
	engine.Runner
	w *world
}

func (d watched) Run(ctx context.Context, c engine.Cell) error {
	d.w.mu.Lock()
	if d.w.over[c.ID] {
		d.w.late = append(d.w.late, c.ID)
	}
	d.w.mu.Unlock()
	return d.Runner.Run(ctx, c)
}

func (d watched) Discard(ctx context.Context, id engine.CellID) error {
	d.w.mu.Lock()
	d.w.over[id] = true
	d.w.mu.Unlock()
	return d.Runner.Discard(ctx, id)
}

// twice returns the cells that were handed to the driver after they were over.
func (w *world) twice() []engine.CellID {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.late
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		store:   storetest.NewMemory(),
		machine: &enginetest.Fake{},
		objects: &objects{all: map[string]string{}},
		over:    map[engine.CellID]bool{},
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
	err := w.store.CreateWorkgroup(t.Context(), workgroup.Workgroup{
		Account: home.Account, Name: "spark", State: workgroup.Enabled, Created: time.Now(),
		Config: workgroup.Config{
			SelectedEngine: workgroup.EnginePySpark, ExecutionRole: home.Role("Default"),
			Result: &workgroup.ResultConfig{OutputLocation: "s3://results/spark"},
		},
	}, nil, 0)
	if err != nil {
		t.Fatal(err)
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
	sessions *session.Manager
	calcs    *calc.Manager
	stop     func()
}

// serve starts a server; stop ends it as a shutdown would.
func (w *world) serve(t *testing.T, change ...func(*calc.Config)) *server {
	t.Helper()
	epoch, err := w.store.NextEpoch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sessions, err := session.New(session.Config{
		Home: home, Store: w.store, Access: yes{}, Launcher: w, Log: w.log, Epoch: epoch,
		Workgroups: workgroup.New(w.store, yes{}, home, ident.NewPages([]byte("0123456789abcdef"))),
		AgentToken: func(k session.Key) string { return "token of " + string(k) },
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg := calc.Config{Home: home, Store: w.store, Sessions: sessions, Access: yes{}, Objects: w.objects, Log: w.log}
	for _, c := range change {
		c(&cfg)
	}
	calcs, err := calc.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	sessions.Attach(calcs)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = sessions.Run(ctx) })
	running.Go(func() { _ = calcs.Run(ctx) })
	stop := sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(stop)
	return &server{world: w, sessions: sessions, calcs: calcs, stop: stop}
}

// idle starts a session and waits until it is IDLE.
func (s *server) idle(t *testing.T) session.Session {
	t.Helper()
	made, err := s.sessions.Start(t.Context(), root, session.Request{Workgroup: "spark"})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	s.wantSession(t, made.ID, "IDLE")
	return made
}

// start starts a calculation.
func (s *server) start(t *testing.T, sessionID, code string) calc.Calculation {
	t.Helper()
	c, err := s.calcs.Start(t.Context(), root, calc.Request{Session: sessionID, Code: code})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (s *server) wantSession(t *testing.T, id, state string) session.Session {
	t.Helper()
	got, err := s.sessions.Get(t.Context(), root, id)
	if err != nil {
		t.Fatal(err)
	}
	if got.AthenaState() != state {
		t.Fatalf("session is %s (%s), want %s", got.AthenaState(), got.Reason, state)
	}
	return got
}

func (s *server) want(t *testing.T, id string, state calc.State) calc.Calculation {
	t.Helper()
	got, err := s.calcs.Get(t.Context(), root, id)
	if err != nil {
		t.Fatal(err)
	}
	if got.State != state {
		t.Fatalf("calculation is %s (%s), want %s", got.State, got.Reason, state)
	}
	return got
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

func (s *server) sessionState(t *testing.T, id string) string {
	t.Helper()
	got, err := s.sessions.Get(t.Context(), root, id)
	if err != nil {
		t.Fatal(err)
	}
	return got.AthenaState()
}
