package warm_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"glaux/internal/engine"
	"glaux/internal/engine/enginetest"
	"glaux/internal/engine/warm"
)

// troubled is a launcher whose drivers take their time to be claimed, or
// cannot be claimed or stopped.
type troubled struct {
	*enginetest.Fake
	claiming time.Duration
	claim    error

	mu   sync.Mutex
	stop error // guarded by mu
}

func (l *troubled) Launch(ctx context.Context, spec engine.Spec) (engine.Driver, error) {
	d, err := l.Fake.Launch(ctx, spec)
	if err != nil {
		return nil, err
	}
	return &troubledDriver{d, l}, nil
}

func (l *troubled) Adopt(ctx context.Context, h engine.Handle) (engine.Driver, error) {
	d, err := l.Fake.Adopt(ctx, h)
	if err != nil {
		return nil, err
	}
	return &troubledDriver{d, l}, nil
}

// Kill fails as Stop does.
func (l *troubled) Kill(ctx context.Context, key engine.Key) error {
	if err := l.stopping(); err != nil {
		return err
	}
	return l.Fake.Kill(ctx, key)
}

func (l *troubled) stopping() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stop
}

func (l *troubled) setStop(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stop = err
}

type troubledDriver struct {
	engine.Driver
	l *troubled
}

func (d *troubledDriver) Claim(ctx context.Context, spec engine.Spec) error {
	select {
	case <-time.After(d.l.claiming):
	case <-ctx.Done():
		return ctx.Err()
	}
	if d.l.claim != nil {
		return d.l.claim
	}
	return d.Driver.(engine.Claimer).Claim(ctx, spec)
}

func (d *troubledDriver) Stop(ctx context.Context) error {
	if err := d.l.stopping(); err != nil {
		return err
	}
	return d.Driver.Stop(ctx)
}

func TestAFailedLaunchCostsNoReadyDriver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, n := newWorld(), 0
		w.machine.OnLaunch = func(engine.Spec) enginetest.Start {
			s := enginetest.Start{Preparing: preparing}
			if n++; n == 4 {
				s.Fail = &engine.StartError{Cause: "bad luck"}
			}
			return s
		}
		p, _ := w.pool(t, func(c *warm.Config) { c.Min, c.Max = 4, 4 })
		time.Sleep(10 * time.Second)
		if st := p.Stats(); st.Ready != 3 || st.Dead != 1 {
			t.Errorf("%+v, want three ready beside the one that failed", st)
		}
		time.Sleep(time.Minute)
		if st := p.Stats(); st.Ready != 4 {
			t.Errorf("%+v, want four in the end", st)
		}
	})
}

func TestTheEndComesDuringAClaim(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld()
		w.launcher = &troubled{Fake: w.machine, claiming: time.Second}
		p, stop := w.pool(t, nil)
		time.Sleep(5 * time.Second)
		spec := session(nil)
		key, ok := p.Reserve(spec)
		if !ok {
			t.Fatal("none is ready")
		}
		spec.Key = key
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if _, err := p.Launch(ctx, spec); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
		stop() // returns, or the bubble is stuck
		synctest.Wait()
	})
}

func TestWhatCannotBeEndedIsTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld()
		l := &troubled{Fake: w.machine, claim: errors.New("no answer")}
		l.setStop(errors.New("the machine is busy"))
		w.launcher = l
		p, _ := w.pool(t, func(c *warm.Config) { c.Max = 1 })
		time.Sleep(5 * time.Second)
		spec := session(nil)
		spec.Key, _ = p.Reserve(spec)
		time.AfterFunc(time.Minute, func() { l.setStop(nil) })
		began := time.Now()
		d, err := p.Launch(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Ready(t.Context()); err != nil || d.Handle().Waits || time.Since(began) < time.Minute {
			t.Errorf("%v, waits %v, after %v; want another driver once the first is gone", err, d.Handle().Waits, time.Since(began))
		}
		if n := len(w.waiting(t)); n > 1 {
			t.Errorf("%d drivers wait, more than there is room for", n)
		}
	})
}

func TestSteadyDemandIsServed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld()
		p, _ := w.pool(t, func(c *warm.Config) { c.Max = 8 })
		time.Sleep(10 * time.Second)
		for range 200 { // one after the other, without a pause to settle
			d, _ := start(t, p, session(nil))
			if err := d.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(450 * time.Millisecond)
		}
		if st := p.Stats(); st.Hits < 15 {
			t.Errorf("%+v: the pool is never filled while sessions come", st)
		}
	})
}

func TestDeclaredConfigurationsComeFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld()
		p, _ := w.pool(t, nil)
		time.Sleep(5 * time.Second)
		for _, own := range []string{"a", "b", "c", "d", "e", "f"} {
			start(t, p, session(map[string]string{"spark.serializer": own}))
		}
		time.Sleep(2 * time.Minute)
		if _, from := start(t, p, session(nil)); from.Tier != engine.Warm {
			t.Errorf("origin is %+v: others have taken the place of what a workgroup declares", from)
		}
	})
}

func TestOneSlowConfigurationHoldsUpNoOther(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld()
		w.machine.OnLaunch = func(s engine.Spec) enginetest.Start {
			if len(s.Modules.Specs) > 0 {
				return enginetest.Start{Preparing: 3 * time.Minute} // pip's
			}
			return enginetest.Start{Preparing: preparing}
		}
		p, _ := w.pool(t, nil)
		time.Sleep(5 * time.Second)
		slow := session(nil)
		slow.Modules = engine.Requirements{Specs: []string{"scipy"}}
		start(t, p, slow)
		start(t, p, session(nil))
		time.Sleep(time.Minute)
		if _, from := start(t, p, session(nil)); from.Tier != engine.Warm {
			t.Errorf("origin is %+v beside a slow launch", from)
		}
		time.Sleep(4 * time.Minute)
		again := session(nil)
		again.Modules = slow.Modules
		if _, from := start(t, p, again); from.Tier != engine.Warm {
			t.Errorf("origin of the slow one is %+v", from)
		}
	})
}

func TestReasonsBlameTheRightThing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld()
		p, _ := w.pool(t, func(c *warm.Config) {
			c.Declared = func(context.Context) []engine.Spec {
				return []engine.Spec{session(nil), session(map[string]string{"spark.others.flag": "x"})}
			}
		})
		time.Sleep(20 * time.Second)
		start(t, p, session(nil))
		if _, from := start(t, p, session(nil)); from.Missed != "every driver that waited for this session's configuration is taken" {
			t.Errorf("origin is %+v", from)
		}
		if _, from := start(t, p, session(map[string]string{"spark.serializer": "one"})); strings.Contains(from.Missed, "others") || !strings.Contains(from.Missed, "spark.serializer") {
			t.Errorf("origin is %+v: it tells what others have", from)
		}
		time.Sleep(time.Minute)
		if _, from := start(t, p, session(map[string]string{"spark.serializer": "two"})); from.Tier != engine.Primed || !strings.Contains(from.Missed, "spark.serializer") {
			t.Errorf("origin is %+v", from)
		}
	})
}
