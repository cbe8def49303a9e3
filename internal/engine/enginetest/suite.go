package enginetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
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

func launchIsIdempotent(b *bench) {
	spec := b.spec()
	first := b.launch(spec)
	again, err := b.l.Launch(b.ctx, spec)
	b.check(err, "second Launch")
	b.check(first.Ready(b.ctx), "Ready")
	b.check(again.Ready(b.ctx), "Ready of the second")
	id := b.run(first, b.d.Print("once"))
	if got := b.output(b.runner(again), id, engine.Stdout, 0); got != "once\n" {
		b.Errorf("the second driver sees output %q, want that of the first", got)
	}
	list, err := b.l.List(b.ctx)
	b.check(err, "List")
	if n := count(list, spec.Key); n != 1 {
		b.Errorf("List has the key %d times, want once", n)
	}
}

func count(list []engine.Handle, k engine.Key) (n int) {
	for _, h := range list {
		if h.Key == k {
			n++
		}
	}
	return n
}

func readyThenGone(b *bench) {
	r := b.prepared()
	b.check(r.Ready(b.ctx), "Ready again")
	b.check(r.Stop(b.ctx), "Stop")
	e := b.gone(r)
	if !e.Asked || e.Lost || e.Lived <= 0 {
		b.Errorf("exit is %+v, want asked, with a lifetime", e)
	}
	if err := r.Ready(b.ctx); !isStart(err) {
		b.Errorf("Ready of a driver that is gone: %v, want a *StartError", err)
	}
	b.wantErr(r.Run(b.ctx, engine.Cell{ID: "late", Code: b.d.Print("x")}), engine.ErrGone, "Run when gone")
}

func isStart(err error) bool {
	_, ok := errors.AsType[*engine.StartError](err)
	return ok
}

func failedStart(b *bench) {
	spec := b.spec()
	hint := b.d.FailWith(&spec)
	r := b.launch(spec)
	err := r.Ready(b.ctx)
	if !isStart(err) || !strings.Contains(err.Error(), hint) {
		b.Fatalf("Ready: %v, want a *StartError with %q", err, hint)
	}
	if e := b.gone(r); e.Asked || e.Code == 0 && e.Signal == 0 {
		b.Errorf("exit is %+v, want a failure", e)
	}
}

func watchTellsPhases(b *bench) {
	r := b.launch(b.spec())
	var mu sync.Mutex
	var phases []engine.Phase
	var prepared engine.Status
	var inside int
	seen, ready := make(chan error, 1), make(chan struct{})
	go func() {
		seen <- r.Watch(b.ctx, func(s engine.Status) {
			mu.Lock()
			defer mu.Unlock()
			if inside++; inside != 1 {
				b.Error("Watch calls its function twice at a time")
			}
			if len(phases) == 0 || phases[len(phases)-1] != s.Phase {
				phases = append(phases, s.Phase)
			}
			if s.Phase == engine.Prepared && prepared.Phase == "" {
				prepared = s
				close(ready)
			}
			inside--
		})
	}()
	b.check(r.Ready(b.ctx), "Ready")
	select {
	case <-ready:
	case <-b.ctx.Done():
		b.Fatal("Watch never told that the driver is prepared")
	}
	id := b.run(r, b.d.Print("x"))
	b.result(r, id, engine.Succeeded)
	b.check(r.Stop(b.ctx), "Stop")
	b.check(<-seen, "Watch")
	if !slices.IsSortedFunc(phases, func(x, y engine.Phase) int { return order(x) - order(y) }) || phases[len(phases)-1] != engine.Gone {
		b.Errorf("phases were %v, want them in order and Gone at the end", phases)
	}
	if prepared.ApplicationID == "" || prepared.SparkVersion == "" || !prepared.Responsive || len(prepared.Executors) == 0 {
		b.Errorf("prepared status is %+v, want it filled", prepared)
	}
}

func order(p engine.Phase) int {
	return slices.Index([]engine.Phase{engine.Scheduled, engine.Started, engine.Prepared, engine.Gone}, p)
}

func cellWithOutput(b *bench) {
	r := b.prepared()
	id := b.run(r, b.d.Print("hello"), b.d.PrintErr("careful"), b.d.Display("shown"))
	res := b.result(r, id, engine.Succeeded)
	if got := b.output(r, id, engine.Stdout, 0); got != "hello\n" {
		b.Errorf("stdout is %q", got)
	}
	if got := b.output(r, id, engine.Stdout, 3); got != "lo\n" {
		b.Errorf("stdout from 3 is %q", got)
	}
	if got := b.output(r, id, engine.Stdout, 1000); got != "" {
		b.Errorf("stdout from beyond its end is %q", got)
	}
	if got := b.output(r, id, engine.Stderr, 0); got != "careful\n" {
		b.Errorf("stderr is %q", got)
	}
	if got := b.output(r, id, engine.Displays, 0); !strings.Contains(got, "shown") || strings.Count(got, "\n") != 1 {
		b.Errorf("displays are %q, want one line", got)
	}
	if res.Sizes[engine.Stdout] != 6 || res.Sizes[engine.Stderr] != 8 || res.Error != nil {
		b.Errorf("result is %+v", res)
	}
	_, err := r.Output(b.ctx, "unknown", engine.Stdout, 0)
	b.wantErr(err, engine.ErrNoCell, "Output of an unknown cell")
	_, err = r.Result(b.ctx, "unknown")
	b.wantErr(err, engine.ErrNoCell, "Result of an unknown cell")
}

func cellThatFails(b *bench) {
	r := b.prepared()
	id := b.run(r, b.d.Raise("ValueError", "bad thing"))
	res := b.result(r, id, engine.Failed)
	if res.Error == nil || res.Error.Name != "ValueError" || res.Error.Value != "bad thing" || len(res.Error.Traceback) == 0 {
		b.Errorf("error is %+v", res.Error)
	}
	if got := b.output(r, id, engine.Stderr, 0); !strings.Contains(got, "ValueError: bad thing") {
		b.Errorf("stderr is %q, want the traceback", got)
	}
	b.result(r, b.run(r, b.d.Print("next")), engine.Succeeded)
}

func runIsIdempotentAndExclusive(b *bench) {
	r := b.prepared()
	cell := engine.Cell{ID: engine.CellID(ident.NewID()), Code: lines(b.d.Print("once"), b.d.Sleep(time.Minute))}
	b.check(r.Run(b.ctx, cell), "Run")
	b.check(r.Run(b.ctx, cell), "Run again")
	b.wantErr(r.Run(b.ctx, engine.Cell{ID: "other", Code: b.d.Print("x")}), engine.ErrBusy, "Run beside another")
	b.wantErr(r.Discard(b.ctx, cell.ID), engine.ErrBusy, "Discard of a running cell")
	b.begun(r, cell.ID, "once\n")
	b.check(r.Interrupt(b.ctx, cell.ID), "Interrupt")
	b.result(r, cell.ID, engine.Cancelled)
	b.check(r.Run(b.ctx, cell), "Run of an ended cell")
	if got := b.output(r, cell.ID, engine.Stdout, 0); got != "once\n" {
		b.Errorf("stdout is %q, want the cell to have run once", got)
	}
	b.check(r.Interrupt(b.ctx, cell.ID), "Interrupt of an ended cell")
	b.result(r, cell.ID, engine.Cancelled)
}

func outputIsFollowedLive(b *bench) {
	r := b.prepared()
	id := b.run(r, b.d.Print("early"), b.d.Sleep(2*time.Second), b.d.Late("late"))
	rd, err := r.Output(b.ctx, id, engine.Stdout, 0)
	b.check(err, "Output")
	defer rd.Close()
	first := make([]byte, 6)
	_, err = io.ReadFull(rd, first)
	b.check(err, "read the first line")
	if string(first) != "early\n" {
		b.Fatalf("first line is %q", first)
	}
	early, cancel := context.WithTimeout(b.ctx, time.Millisecond)
	defer cancel()
	if _, err := r.Result(early, id); !errors.Is(err, context.DeadlineExceeded) {
		b.Errorf("Result at the first line: %v, want the cell to run still", err)
	}
	rest, err := io.ReadAll(rd)
	b.check(err, "read the rest")
	if string(rest) != "late\n" {
		b.Errorf("rest is %q", rest)
	}
	b.result(r, id, engine.Succeeded)
}

func largeOutputIsCapped(b *bench) {
	r := b.prepared()
	const n = 3 << 20 // the suite's cap is 1 MiB
	id := b.run(r, b.d.Fill(n))
	res := b.result(r, id, engine.Succeeded)
	got := b.output(r, id, engine.Stdout, 0)
	if res.Sizes[engine.Stdout] != int64(len(got)) {
		b.Errorf("result has size %d, the stream %d", res.Sizes[engine.Stdout], len(got))
	}
	if kept := strings.Count(got, "x"); int64(kept)+res.Truncated[engine.Stdout] < n || kept > 1<<20 {
		b.Errorf("kept %d bytes and dropped %d of %d with a cap of 1 MiB", kept, res.Truncated[engine.Stdout], n)
	}
	b.result(r, b.run(r, b.d.Print("next")), engine.Succeeded)
}

func interrupt(b *bench, code string) {
	r := b.prepared()
	id := b.run(r, b.d.Print("begun"), code)
	b.begun(r, id, "begun\n")
	asked := time.Now()
	b.check(r.Interrupt(b.ctx, id), "Interrupt")
	b.result(r, id, engine.Cancelled)
	if took := time.Since(asked); took > 4*time.Second { // two, on a quiet machine; at five the ladder goes on
		b.Errorf("the interrupt took %v, want at most 4 s", took)
	}
	b.result(r, b.run(r, b.d.Print("next")), engine.Succeeded)
}

func interruptStubborn(b *bench) {
	r := b.prepared()
	var judged bool
	watched, begun := make(chan error, 1), make(chan struct{})
	go func() {
		first := sync.OnceFunc(func() { close(begun) })
		watched <- r.Watch(b.ctx, func(s engine.Status) {
			first()
			judged = judged || s.Phase == engine.Prepared && !s.Responsive && s.Note != ""
		})
	}()
	<-begun
	id := b.run(r, b.d.Print("begun"), b.d.Stubborn())
	b.begun(r, id, "begun\n")
	asked := time.Now()
	b.check(r.Interrupt(b.ctx, id), "Interrupt")
	b.result(r, id, engine.Cancelled)
	if took := time.Since(asked); took > 10*time.Second {
		b.Errorf("the interrupt took %v, want at most 10 s", took)
	}
	e := b.gone(r)
	if e.Asked || e.Lost || e.Process != "python" {
		b.Errorf("exit is %+v, want the interpreter killed", e)
	}
	b.check(<-watched, "Watch")
	if !judged {
		b.Error("the status never said that the interpreter is not responsive")
	}
	b.result(r, id, engine.Cancelled)
}

func interruptUnknown(b *bench) {
	b.wantErr(b.prepared().Interrupt(b.ctx, "unknown"), engine.ErrNoCell, "Interrupt")
}

func crashUnderCell(b *bench) {
	r := b.prepared()
	id := b.run(r, b.d.Print("before"), b.d.Crash(7))
	res, err := r.Result(b.ctx, id)
	b.check(err, "Result")
	if res.Outcome != engine.Lost {
		b.Errorf("outcome is %q, want lost", res.Outcome)
	}
	if e := b.gone(r); e.Asked || e.Lost || e.Code != 7 || e.Process != "python" {
		b.Errorf("exit is %+v, want python with 7", e)
	}
	if got := b.output(r, id, engine.Stdout, 0); got != "before\n" {
		b.Errorf("stdout after the crash is %q", got)
	}
}

// restart returns the driver as a server after a restart sees it.
func (b *bench) restart(r runner, epoch uint64) (engine.Launcher, runner) {
	b.Helper()
	l := b.s.New(b.T)
	h := r.Handle()
	h.Epoch = epoch
	d, err := l.Adopt(b.ctx, h)
	b.check(err, "Adopt")
	return l, b.runner(d)
}

func adoptWhileIdle(b *bench) {
	old := b.prepared()
	_, r := b.restart(old, 2)
	b.check(r.Ready(b.ctx), "Ready")
	b.result(r, b.run(r, b.d.Print("x")), engine.Succeeded)
}

func adoptUnderRunningCell(b *bench) {
	old := b.prepared()
	id := b.run(old, b.d.Print("early"), b.d.Sleep(300*time.Millisecond), b.d.Late("late"))
	_, r := b.restart(old, 2)
	b.check(r.Run(b.ctx, engine.Cell{ID: id, Code: b.d.Print("again")}), "Run of the running cell")
	b.result(r, id, engine.Succeeded)
	if got := b.output(r, id, engine.Stdout, 0); got != "early\nlate\n" {
		b.Errorf("stdout is %q", got)
	}
}

func adoptAfterTheEnd(b *bench) {
	old := b.prepared()
	id := b.run(old, b.d.Print("kept"))
	b.result(old, id, engine.Succeeded)
	lost := b.run(old, b.d.Crash(3))
	b.gone(old)
	l, r := b.restart(old, 2)
	if e := b.gone(r); e.Code != 3 || e.Lost {
		b.Errorf("exit is %+v, want code 3", e)
	}
	b.result(r, id, engine.Succeeded)
	b.result(r, lost, engine.Lost)
	if got := b.output(r, id, engine.Stdout, 0); got != "kept\n" {
		b.Errorf("stdout is %q", got)
	}
	if list, err := l.List(b.ctx); err != nil || count(list, r.Handle().Key) != 1 {
		b.Errorf("List is %v, %v, want what the driver left behind in it", list, err)
	}
}

func adoptUnknown(b *bench) {
	_, err := b.l.Adopt(b.ctx, engine.Handle{Key: engine.Key(ident.NewID())})
	b.wantErr(err, engine.ErrGone, "Adopt")
}

func lowerEpochIsStale(b *bench) {
	old := b.prepared()
	_, r := b.restart(old, 5)
	b.check(r.Ready(b.ctx), "Ready of the newer")
	b.wantErr(old.Run(b.ctx, engine.Cell{ID: "x", Code: b.d.Print("x")}), engine.ErrStale, "Run by the older")
	h := old.Handle()
	h.Epoch = 4
	_, err := b.s.New(b.T).Adopt(b.ctx, h)
	b.wantErr(err, engine.ErrStale, "Adopt with a lower epoch")
	b.result(r, b.run(r, b.d.Print("x")), engine.Succeeded)
}

func listAndRemove(b *bench) {
	r := b.prepared()
	key := r.Handle().Key
	if err := r.Remove(b.ctx); err == nil {
		b.Error("Remove of a driver that runs succeeds")
	}
	b.check(r.Stop(b.ctx), "Stop")
	list, err := b.l.List(b.ctx)
	b.check(err, "List")
	if count(list, key) != 1 {
		b.Errorf("List is %v, want the driver that is gone but not removed", list)
	}
	b.check(r.Remove(b.ctx), "Remove")
	b.check(r.Remove(b.ctx), "Remove again")
	list, err = b.l.List(b.ctx)
	b.check(err, "List")
	if count(list, key) != 0 {
		b.Errorf("List is %v after Remove", list)
	}
	_, err = b.s.New(b.T).Adopt(b.ctx, r.Handle())
	b.wantErr(err, engine.ErrGone, "Adopt of a removed driver")
}

func killEnds(b *bench) {
	k, ok := b.l.(engine.Killer)
	if !ok {
		b.Fatalf("launcher %T kills no drivers", b.l)
	}
	r := b.prepared()
	key := r.Handle().Key
	b.check(k.Kill(b.ctx, key), "Kill")
	if e, err := r.Wait(b.ctx); err != nil || !e.Lost {
		b.Errorf("exit is %+v, %v, want lost", e, err)
	}
	b.check(k.Kill(b.ctx, key), "Kill again")
	b.check(r.Remove(b.ctx), "Remove")
	b.check(k.Kill(b.ctx, key), "Kill of a removed driver")
}

func stopIsIdempotent(b *bench) {
	r := b.launch(b.spec()) // not ready yet: Stop is legal at any time
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if err := r.Stop(b.ctx); err != nil {
				b.Errorf("Stop: %v", err)
			}
		})
	}
	wg.Wait()
	if e := b.gone(r); !e.Asked {
		b.Errorf("exit is %+v, want asked", e)
	}
}

func stopForces(b *bench) {
	r := b.prepared()
	id := b.run(r, b.d.Print("begun"), b.d.Stubborn())
	ctx, cancel := context.WithTimeout(b.ctx, 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	b.check(r.Stop(ctx), "Stop")
	if took := time.Since(began); took > 5*time.Second {
		b.Errorf("Stop took %v after its context ended", took)
	}
	if e := b.gone(r); !e.Asked {
		b.Errorf("exit is %+v, want asked", e)
	}
	if res, err := r.Result(b.ctx, id); err != nil || res.Outcome != engine.Lost && res.Outcome != engine.Cancelled {
		b.Errorf("result is %+v, %v, want lost or cancelled", res, err)
	}
}

func waitsEndWithContext(b *bench) {
	r := b.prepared()
	id := b.run(r, b.d.Sleep(time.Minute))
	ctx, cancel := context.WithCancel(b.ctx)
	var wg sync.WaitGroup
	for what, f := range map[string]func() error{
		"Watch":  func() error { return r.Watch(ctx, func(engine.Status) {}) },
		"Wait":   func() error { _, err := r.Wait(ctx); return err },
		"Result": func() error { _, err := r.Result(ctx, id); return err },
		"Read": func() error {
			rd, err := r.Output(ctx, id, engine.Stdout, 0)
			if err != nil {
				return err
			}
			defer rd.Close()
			_, err = io.Copy(&bytes.Buffer{}, rd)
			return err
		},
	} {
		wg.Go(func() {
			if err := f(); !errors.Is(err, context.Canceled) {
				b.Errorf("%s after its context ended: %v, want %v", what, err, context.Canceled)
			}
		})
	}
	cancel()
	wg.Wait()
	b.check(r.Interrupt(b.ctx, id), "Interrupt")
	b.result(r, id, engine.Cancelled)
}

func discardForgets(b *bench) {
	r := b.prepared()
	id := b.run(r, b.d.Print("x"))
	b.result(r, id, engine.Succeeded)
	b.check(r.Discard(b.ctx, id), "Discard")
	b.check(r.Discard(b.ctx, id), "Discard again")
	b.check(r.Discard(b.ctx, "unknown"), "Discard of an unknown cell")
	_, err := r.Result(b.ctx, id)
	b.wantErr(err, engine.ErrNoCell, "Result after Discard")
}
