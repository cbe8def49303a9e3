package enginetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"glaux/internal/engine"
)

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
	id := b.run(r, b.d.Stubborn("begun"))
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
