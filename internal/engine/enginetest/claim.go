package enginetest

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"strings"
	"time"

	"glaux/internal/engine"
)

var _ engine.Claimer = (*driver)(nil)

// Claim gives a fake driver that waits to a session, unless FailClaims was
// called for it.
func (d *driver) Claim(ctx context.Context, spec engine.Spec) error {
	m := d.m
	if err := d.now(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	switch {
	case m.claim != nil && reflect.DeepEqual(*m.claim, spec):
		return nil
	case m.exit != nil:
		return engine.ErrGone
	case m.claim != nil || m.status.Phase != engine.Waiting:
		return errors.New("the driver does not wait")
	case m.unclaimable != nil:
		m.mu.Unlock()
		m.end(engine.Exit{Code: 1})
		m.mu.Lock()
		return m.unclaimable
	}
	m.claim = &spec
	m.born = time.Now()
	m.logs = map[engine.LogSource]*journal{}
	m.logLocked(engine.LogStderr, 's', strings.Join(spec.Notes, "\n"))
	m.spec.Args, m.spec.Display, m.spec.Notes, m.spec.Orphaned = spec.Args, spec.Display, spec.Notes, spec.Orphaned
	m.spec.Properties = maps.Clone(spec.Properties)
	if m.spec.Wait == engine.WaitContext {
		m.status.Executors[0].Added = m.born
		m.readyLocked()
		return nil
	}
	m.status.Phase = engine.Started
	m.tellLocked()
	time.AfterFunc(m.begin.Preparing, m.prepare)
	return nil
}

// FailClaims makes the driver die when somebody claims it, with the error.
func (f *Fake) FailClaims(key engine.Key, err error) {
	if m := f.machine(key); m != nil {
		m.change(func() { m.unclaimable = err })
	}
}

// waiting launches a driver that waits and returns once it does.
func (b *bench) waiting(spec engine.Spec) runner {
	b.Helper()
	r := b.launch(spec)
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	waits := false
	err := r.Watch(ctx, func(s engine.Status) {
		if waits = waits || s.Phase == engine.Waiting; waits {
			cancel()
		}
	})
	if !waits {
		b.Fatalf("the driver does not wait: %v", err)
	}
	return r
}

// claim makes a driver that waits a session's.
func (b *bench) claim(r runner, spec engine.Spec) {
	b.Helper()
	c, ok := engine.Driver(r).(engine.Claimer)
	if !ok {
		b.Fatalf("driver %T cannot be claimed", r)
	}
	b.check(c.Claim(b.ctx, spec), "Claim")
}

func claimed(b *bench, wait engine.Wait) {
	spec := b.spec()
	spec.Wait, spec.Orphaned = wait, time.Minute
	old := b.waiting(spec)
	if !old.Handle().Waits {
		b.Error("the handle of a driver that waits does not say so")
	}
	if err := old.Run(b.ctx, engine.Cell{ID: "early", Code: b.d.Print("early")}); err == nil {
		b.Error("a driver that waits has run a cell")
	}
	l, r := b.restart(old, 2) // what waits for one server is found by the next
	list, err := l.List(b.ctx)
	b.check(err, "List")
	for _, h := range list {
		if h.Key == spec.Key && !h.Waits {
			b.Error("List does not say that the driver waits")
		}
	}
	spec.Wait, spec.Epoch, spec.Orphaned = "", 2, 10*time.Minute
	spec.Args, spec.Notes = []string{"--name", "value"}, []string{"a note for people"}
	asked := time.Now().Add(-time.Second) // what it says has milliseconds
	b.claim(r, spec)
	b.claim(r, spec) // as after a reply that was lost
	b.check(r.Ready(b.ctx), "Ready")
	if r.Handle().Waits {
		b.Error("the handle of a driver that was claimed says that it waits")
	}
	b.result(r, b.run(r, b.d.Print("x")), engine.Succeeded)
	var s engine.Status
	ctx, cancel := context.WithCancel(b.ctx)
	_ = r.Watch(ctx, func(now engine.Status) { s = now; cancel() }) // ends with the context
	cancel()
	if len(s.Executors) != 1 || s.Executors[0].Added.Before(asked) {
		b.Errorf("executors are %+v, want one since %v", s.Executors, asked)
	}
	first := b.firstLine(r)
	if !strings.HasSuffix(first, "a note for people") {
		b.Errorf("the log begins with %q, want the note", first)
	}
	b.check(r.Stop(b.ctx), "Stop")
	if e := b.gone(r); e.Started.Before(asked) || e.Lived > time.Since(asked) {
		b.Errorf("exit is %+v, want a life since %v", e, asked)
	}
}

// firstLine is the first record of the driver's standard error.
func (b *bench) firstLine(r runner) string {
	b.Helper()
	log, err := engine.Driver(r).(engine.Logger).Log(b.ctx, engine.LogStderr, 0)
	b.check(err, "Log")
	defer log.Close()
	var line []byte
	for p := make([]byte, 1); !strings.HasSuffix(string(line), "\n"); {
		n, err := log.Read(p)
		b.check(err, "Read")
		line = append(line, p[:n]...)
	}
	return strings.TrimSuffix(string(line), "\n")
}

func claimOfNone(b *bench) {
	spec := b.spec()
	r := b.prepared()
	spec.Key = r.Handle().Key
	if err := engine.Driver(r).(engine.Claimer).Claim(b.ctx, spec); err == nil {
		b.Error("a driver that is a session's was claimed")
	}
	b.result(r, b.run(r, b.d.Print("x")), engine.Succeeded)
}
