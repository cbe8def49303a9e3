package enginetest

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"glaux/internal/engine"
	"glaux/internal/ident"
)

// Subject is a machine with drivers on it, as the suite sees it.
type Subject struct {
	// New returns a launcher over the machine. A second call plays the server
	// after a restart: it shares nothing with the first but the machine.
	New func(t *testing.T) engine.Launcher
	// Dialect is the language of the cells.
	Dialect Dialect
	// Patience is how long the suite waits for anything. Zero: 30 s.
	Patience time.Duration
}

// Test runs the conformance suite; newSubject is called once for each test.
func Test(t *testing.T, newSubject func(t *testing.T) Subject) {
	for _, c := range []struct {
		name string
		run  func(*bench)
	}{
		{"LaunchIsIdempotent", launchIsIdempotent},
		{"ReadyThenGone", readyThenGone},
		{"FailedStart", failedStart},
		{"WatchTellsPhases", watchTellsPhases},
		{"CellWithOutput", cellWithOutput},
		{"CellThatFails", cellThatFails},
		{"RunIsIdempotentAndExclusive", runIsIdempotentAndExclusive},
		{"OutputIsFollowedLive", outputIsFollowedLive},
		{"LargeOutputIsCapped", largeOutputIsCapped},
		{"InterruptSleep", func(b *bench) { interrupt(b, b.d.Sleep(10*time.Minute)) }},
		{"InterruptLoop", func(b *bench) { interrupt(b, b.d.Forever()) }},
		{"InterruptStubborn", interruptStubborn},
		{"InterruptUnknown", interruptUnknown},
		{"CrashUnderCell", crashUnderCell},
		{"ClaimedWithContext", func(b *bench) { claimed(b, engine.WaitContext) }},
		{"ClaimedForProperties", func(b *bench) { claimed(b, engine.WaitProperties) }},
		{"ClaimOfNone", claimOfNone},
		{"AdoptWhileIdle", adoptWhileIdle},
		{"AdoptUnderRunningCell", adoptUnderRunningCell},
		{"AdoptAfterTheEnd", adoptAfterTheEnd},
		{"AdoptUnknown", adoptUnknown},
		{"LowerEpochIsStale", lowerEpochIsStale},
		{"ListAndRemove", listAndRemove},
		{"KillEnds", killEnds},
		{"StopIsIdempotent", stopIsIdempotent},
		{"StopForces", stopForces},
		{"WaitsEndWithContext", waitsEndWithContext},
		{"DiscardForgets", discardForgets},
		{"KeepsSecrets", keepsSecrets},
		{"ShowsUI", showsUI},
		{"LogIsFollowed", logIsFollowed},
		{"LogOutlivesTheDriver", logOutlivesTheDriver},
		{"LogIsBounded", logIsBounded},
		{"SlowLogReader", slowLogReader},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSubject(t)
			if s.Patience == 0 {
				s.Patience = 30 * time.Second
			}
			ctx, cancel := context.WithTimeout(t.Context(), s.Patience)
			t.Cleanup(cancel)
			c.run(&bench{T: t, ctx: ctx, s: s, d: s.Dialect, l: s.New(t)})
		})
	}
}

// bench is one test of the suite.
type bench struct {
	*testing.T
	ctx context.Context
	s   Subject
	d   Dialect
	l   engine.Launcher
}

// runner is what the suite needs of a driver: both contracts.
type runner interface {
	engine.Driver
	engine.Runner
}

func (b *bench) spec() engine.Spec {
	return engine.Spec{
		Key: engine.Key(ident.NewID()), Epoch: 1, Region: "us-east-1", AgentToken: "token",
		Cores: 1, HeapMiB: 512, MaxOutput: 1 << 20, Orphaned: 10 * time.Minute,
	}
}

func (b *bench) check(err error, what string) {
	b.Helper()
	if err != nil {
		b.Fatalf("%s: %v", what, err)
	}
}

func (b *bench) runner(d engine.Driver) runner {
	b.Helper()
	r, ok := d.(runner)
	if !ok {
		b.Fatalf("driver %T cannot run cells", d)
	}
	return r
}

func (b *bench) launch(spec engine.Spec) runner {
	b.Helper()
	d, err := b.l.Launch(b.ctx, spec)
	b.check(err, "Launch")
	b.T.Cleanup(func() { b.end(d) })
	return b.runner(d)
}

// end stops and removes a driver, whatever became of it.
func (b *bench) end(d engine.Driver) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(b.ctx), 20*time.Second) // outlives the test's own context
	defer cancel()
	h := d.Handle()
	h.Epoch = 1 << 40 // newer than any the test used
	d, err := b.s.New(b.T).Adopt(ctx, h)
	if errors.Is(err, engine.ErrGone) {
		return
	}
	if err != nil {
		b.Errorf("cannot adopt driver to end it: %v", err)
		return
	}
	if err := d.Stop(ctx); err != nil {
		b.Errorf("cannot stop driver: %v", err)
	}
	if err := d.Remove(ctx); err != nil {
		b.Errorf("cannot remove driver: %v", err)
	}
}

func (b *bench) prepared() runner {
	b.Helper()
	r := b.launch(b.spec())
	b.check(r.Ready(b.ctx), "Ready")
	return r
}

func (b *bench) run(r runner, code ...string) engine.CellID {
	b.Helper()
	id := engine.CellID(ident.NewID())
	b.check(r.Run(b.ctx, engine.Cell{ID: id, Code: lines(code...)}), "Run")
	return id
}

func (b *bench) result(r runner, id engine.CellID, want engine.Outcome) engine.CellResult {
	b.Helper()
	res, err := r.Result(b.ctx, id)
	b.check(err, "Result")
	if res.ID != id || res.Outcome != want {
		b.Fatalf("result is %+v, want outcome %q of cell %q", res, want, id)
	}
	if res.Started.IsZero() || res.Ended.Before(res.Started) || res.Run < 0 {
		b.Errorf("result has times %v to %v, run %v", res.Started, res.Ended, res.Run)
	}
	return res
}

func (b *bench) output(r runner, id engine.CellID, s engine.Stream, offset int64) string {
	b.Helper()
	rd, err := r.Output(b.ctx, id, s, offset)
	b.check(err, "Output")
	defer rd.Close()
	all, err := io.ReadAll(rd)
	b.check(err, "read output")
	return string(all)
}

// begun waits for what a running cell prints first.
func (b *bench) begun(r runner, id engine.CellID, want string) {
	b.Helper()
	rd, err := r.Output(b.ctx, id, engine.Stdout, 0)
	b.check(err, "Output")
	defer rd.Close()
	got := make([]byte, len(want))
	_, err = io.ReadFull(rd, got)
	b.check(err, "wait for the cell to begin")
	if string(got) != want {
		b.Fatalf("the cell begins with %q, want %q", got, want)
	}
}

func (b *bench) wantErr(got, want error, what string) {
	b.Helper()
	if !errors.Is(got, want) {
		b.Fatalf("%s: error is %v, want %v", what, got, want)
	}
}

func (b *bench) gone(r runner) engine.Exit {
	b.Helper()
	e, err := r.Wait(b.ctx)
	b.check(err, "Wait")
	return e
}
