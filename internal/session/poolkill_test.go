package session_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"glaux/internal/engine"
	"glaux/internal/engine/enginetest"
	"glaux/internal/engine/warm"
	"glaux/internal/ident"
	"glaux/internal/session"
)

// gate is a launcher of a server that is killed after so many calls: none after it does anything.
type gate struct {
	inner *enginetest.Fake
	mu    sync.Mutex
	calls int
	after int
	late  bool // the last call is carried out, and its answer lost
	trace []string
}

var errDead = errors.New("the server is dead")

// pass returns false when the server is dead.
func (g *gate) pass(what string) (do, answer bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls++
	g.trace = append(g.trace, what)
	switch {
	case g.calls < g.after:
		return true, true
	case g.calls == g.after && g.late:
		return true, false
	}
	return false, false
}

func (g *gate) dead() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.calls >= g.after
}

// call carries out one call, or what is left of it.
func call[T any](ctx context.Context, g *gate, what string, f func() (T, error)) (v T, err error) {
	do, answer := g.pass(what)
	if do {
		v, err = f()
	}
	if !answer {
		<-ctx.Done()
		var none T
		return none, ctx.Err()
	}
	return v, err
}

func (g *gate) Launch(ctx context.Context, s engine.Spec) (engine.Driver, error) {
	return call(ctx, g, "launch", func() (engine.Driver, error) {
		d, err := g.inner.Launch(ctx, s)
		if err != nil {
			return nil, err
		}
		return gated{d, g}, nil
	})
}
func (g *gate) Adopt(ctx context.Context, h engine.Handle) (engine.Driver, error) {
	return call(ctx, g, "adopt", func() (engine.Driver, error) {
		d, err := g.inner.Adopt(ctx, h)
		if err != nil {
			return nil, err
		}
		return gated{d, g}, nil
	})
}
func (g *gate) List(ctx context.Context) ([]engine.Handle, error) {
	return call(ctx, g, "list", func() ([]engine.Handle, error) { return g.inner.List(ctx) })
}

// gated is a driver behind the gate.
type gated struct {
	engine.Driver
	g *gate
}

func (d gated) Claim(ctx context.Context, s engine.Spec) error {
	_, err := call(ctx, d.g, "claim", func() (int, error) { return 0, d.Driver.(engine.Claimer).Claim(ctx, s) })
	return err
}
func (d gated) Stop(ctx context.Context) error {
	_, err := call(ctx, d.g, "stop", func() (int, error) { return 0, d.Driver.Stop(ctx) })
	return err
}
func (d gated) Remove(ctx context.Context) error {
	_, err := call(ctx, d.g, "remove", func() (int, error) { return 0, d.Driver.Remove(ctx) })
	return err
}
func (d gated) Run(ctx context.Context, c engine.Cell) error {
	return d.Driver.(engine.Runner).Run(ctx, c)
}

// The server is killed at each of its calls to the machine in turn, before the
// machine has carried it out or before the answer has come back. The next one
// loses no session, and no driver is left that nobody has.
func TestAServerIsKilledInEveryStepOfThePool(t *testing.T) {
	for _, late := range []bool{false, true} {
		for after := 1; after < 40; after++ {
			t.Run(fmt.Sprintf("call %d, late %v", after, late), func(t *testing.T) {
				bubble(t, func(t *testing.T, w *world) { killAfter(t, w, after, late) })
			})
		}
	}
}

// killAfter starts three sessions and ends one under a server that dies on the
// way, and looks at what the next one makes of it.
func killAfter(t *testing.T, w *world, after int, late bool) {
	w.machine.OnLaunch = func(engine.Spec) enginetest.Start { return enginetest.Start{Preparing: time.Second} }
	g := &gate{inner: w.machine, after: after, late: late}
	w.failStore(func(string) error {
		if g.dead() {
			return errDead
		}
		return nil
	})
	begin := func(l engine.Launcher, epoch uint64) (*server, *warm.Pool, func()) {
		var m *session.Manager
		pool := warm.New(l, warm.Config{
			Max: 2, Min: 1, Epoch: epoch, Log: slog.New(slog.DiscardHandler), NewKey: func() engine.Key { return engine.Key(ident.NewID()) },
			AgentToken: func(k engine.Key) string { return "token of " + string(k) }, Runtime: func() string { return "v1" },
			Declared: func(ctx context.Context) []engine.Spec {
				all, err := w.store.Workgroups(ctx, home.Account, "", 0)
				if err != nil {
					return nil
				}
				return m.Templates(all)
			},
		})
		s := w.serve(t, func(c *session.Config) { c.Launcher, c.EventLogs, c.ResultLocation = pool, "/logs", "s3://results" })
		m = s.Manager
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { _ = pool.Run(ctx) })
		end := sync.OnceFunc(func() { cancel(); running.Wait() })
		t.Cleanup(end)
		return s, pool, end
	}
	s, _, end := begin(g, 1)
	var made []string
	for range 3 {
		if got, err := s.Start(t.Context(), root, session.Request{Workgroup: "spark"}); err == nil {
			made = append(made, got.ID)
		}
		sleep(2500 * time.Millisecond)
	}
	if len(made) > 1 {
		_, _ = s.Terminate(t.Context(), root, made[0])
	}
	sleep(3 * time.Second)
	g.mu.Lock()
	g.calls = max(g.calls, g.after) // dead at the latest now: its end does nothing more
	g.late = false
	g.mu.Unlock()
	var both sync.WaitGroup
	both.Go(s.stop)
	both.Go(end)
	both.Wait()
	w.failStore(nil)
	s, _, end = begin(w.machine, 2)
	sleep(20 * time.Second)
	live := map[session.Key]bool{}
	for _, id := range made {
		got, err := s.Get(t.Context(), root, id)
		if err != nil {
			t.Fatal(err)
		}
		if got.State == session.Ended {
			if got.Cause != session.Asked {
				t.Errorf("a session ended by %s: %s (trace %v)", got.Cause, got.Reason, g.trace)
			}
			continue
		}
		if got.AthenaState() != "IDLE" {
			t.Errorf("a session is %s: %q (trace %v)", got.AthenaState(), got.Reason, g.trace)
		}
		live[got.Key] = true
	}
	end()
	for _, k := range w.machine.Alive() {
		if !live[k] {
			t.Errorf("driver %s is nobody's", k)
		}
	}
}
