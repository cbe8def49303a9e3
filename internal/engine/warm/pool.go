// Package warm has drivers ready before anybody asks for them. A Pool stands
// in front of another launcher: it launches drivers that wait, of templates
// that it learns from what was asked for, and gives them to sessions. Each is
// one session's and never a second one's.
//
// A driver that waits has a key of its own, a random one like a session's.
// Reserve names the key of one that fits before the session is written down,
// and the session takes it as its own: sockets, directories, Spark's
// application id and its event log are the session's from the beginning.
package warm

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"glaux/internal/engine"
)

// Config says how many drivers wait, and for how long. Fields without a default
// are required.
type Config struct {
	// Max is how many drivers wait at most, of all templates. Min is how many
	// wait of each declared template, while there is room.
	Max, Min int
	// Each is what a driver that waits counts against Memory, both MiB.
	Each, Memory int
	// Age is how long one waits before another takes its place. Default 1 hour.
	Age time.Duration
	// Window is how far back what was asked for counts. Default 5 minutes.
	Window time.Duration
	// Orphaned is how long one lives without a server. Default 2 minutes.
	Orphaned time.Duration

	Epoch      uint64
	AgentToken func(engine.Key) string
	NewKey     func() engine.Key
	// Runtime names the Spark runtime that drivers are launched with now; empty:
	// there is none, and nothing waits.
	Runtime func() string
	// Declared returns specs of sessions as workgroups declare them, whose keys
	// stand for those to come. Nil: none.
	Declared func(context.Context) []engine.Spec
	// Discard removes what a driver that waited leaves elsewhere, such as its event
	// log. Nil: nothing.
	Discard func(engine.Key)
	// Pressed says that the machine has no room for drivers that nobody asked
	// for. Nil: it always has.
	Pressed func() bool
	Log     *slog.Logger
}

// The pool's patience.
const (
	reservedFor = time.Minute            // from Reserve to Launch
	originFor   = 10 * time.Minute       // Origin answers
	settle      = 500 * time.Millisecond // sessions that have just started come first
	rushMost    = 2 * time.Second
	unpress     = 2 * time.Second  // then the machine is asked again
	shed        = time.Minute      // nothing is launched after a driver was given up for its memory
	burst       = 15 * time.Second // what is asked for within it comes at once
	endWithin   = 5 * time.Second
	endAgain    = time.Second
	retryAfter  = 30 * time.Second // a template whose driver could not start; twice as long each time
	retryMost   = 30 * time.Minute
	slowAfter   = 30 * time.Second // one that takes longer holds up no other
	readyWithin = 10 * time.Minute // one that does not come so far never will
	remembered  = 30 * time.Minute // a template nobody asks for any more
	redeclare   = time.Minute      // what workgroups declare is asked for again
)

// Pool keeps drivers ready. It implements engine.Launcher, engine.Pool and
// engine.Killer, and is safe for concurrent use. Run owns what waits.
type Pool struct {
	inner engine.Launcher
	cfg   Config

	wake      chan struct{} // capacity 1
	recovered chan struct{} // closed once those of an earlier server are known

	mu      sync.Mutex // guards what follows; nothing is called out to under it
	known   map[ID]*demand
	spares  map[engine.Key]*spare
	origins map[engine.Key]noted
	quiet   time.Time // nothing is launched before it
	rush    time.Time // since when that is put off by one start after the other
	wanted  int       // how many are to wait
	closed  bool
	tally   Stats
}

// demand is what was asked for of one template.
type demand struct {
	*template
	declared bool
	asked    []time.Time // oldest first
	failures int         // how many could not start, one after the other
	resume   time.Time   // none is launched before it
}

// phase is how far a spare has come.
type phase int

const (
	launching phase = iota
	ready
	reserved
	claimed // it is a session's
	ending
)

// spare is one driver that waits, or is about to.
type spare struct {
	key   engine.Key
	of    *template
	begun time.Time
	stop  context.CancelFunc // ends its watch
	end   chan struct{}      // closed once it is to end
	gone  chan struct{}      // closed once it is a session's, or nothing of it is left

	phase phase         // Pool.mu guards the rest
	since time.Time     // of phase
	d     engine.Driver // nil until launched
}

type noted struct {
	engine.Origin
	at time.Time
}

// Stats counts what the pool has done, and has.
type Stats struct {
	Hits, Primed, Misses int // Launch by what it found: a driver with a context, one without, none
	Dead                 int // found dead while they waited, or when they were claimed
	Launched             int
	Expired              int           // for their age, or because their template was forgotten
	Ready                int           // wait now
	Launching            int           // are being launched to wait
	Oldest               time.Duration // of those that wait
	Wanted               int           // how many are to wait
}

var (
	_ engine.Launcher = (*Pool)(nil)
	_ engine.Pool     = (*Pool)(nil)
	_ engine.Killer   = (*Pool)(nil)
)

// New makes a pool that does nothing until Run.
func New(inner engine.Launcher, cfg Config) *Pool {
	cfg.Age = cmp.Or(cfg.Age, time.Hour)
	cfg.Window = cmp.Or(cfg.Window, 5*time.Minute)
	cfg.Orphaned = cmp.Or(cfg.Orphaned, 2*time.Minute)
	return &Pool{
		inner: inner, cfg: cfg, wake: make(chan struct{}, 1), recovered: make(chan struct{}),
		known: map[ID]*demand{}, spares: map[engine.Key]*spare{}, origins: map[engine.Key]noted{},
	}
}

// Reserve takes a driver that waits and fits the spec, one with a context first.
func (p *Pool) Reserve(spec engine.Spec) (engine.Key, bool) {
	version := p.cfg.Runtime()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return "", false
	}
	for _, w := range []engine.Wait{engine.WaitContext, engine.WaitProperties} {
		t, ok := templateOf(spec, w, version)
		if !ok {
			continue
		}
		var best *spare
		for _, s := range p.spares {
			if s.phase == ready && s.of.id == t.id && (best == nil || s.begun.Before(best.begun)) {
				best = s
			}
		}
		if best != nil {
			best.becomeLocked(reserved)
			return best.key, true
		}
	}
	return "", false
}

// becomeLocked moves it, unless it is to end.
func (s *spare) becomeLocked(p phase) {
	if s.phase != ending {
		s.phase, s.since = p, time.Now()
	}
}

// giveUpLocked lets Run end it.
func (s *spare) giveUpLocked() {
	if s.phase == ending {
		return
	}
	s.becomeLocked(ending)
	close(s.end)
	s.stop()
}

// Release gives a driver back that no session was made with.
func (p *Pool) Release(key engine.Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.spares[key]; s != nil && s.phase == reserved {
		s.becomeLocked(ready)
	}
}

// Origin tells where the driver of a key came from.
func (p *Pool) Origin(key engine.Key) engine.Origin {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.origins[key].Origin
}

// Launch gives the driver that waits under the spec's key to its session, or
// launches one.
func (p *Pool) Launch(ctx context.Context, spec engine.Spec) (engine.Driver, error) {
	select {
	case <-p.recovered:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s, origin := p.ask(spec)
	if s != nil {
		d, err := p.give(ctx, s, spec, origin.Missed)
		if d != nil || err != nil {
			return d, err
		}
		origin = engine.Origin{Tier: engine.Cold, Missed: "the driver that waited did not answer"}
	}
	p.note(spec.Key, origin)
	return p.inner.Launch(ctx, spec)
}

// ask counts what is asked for, and takes the driver that waits under its key.
func (p *Pool) ask(spec engine.Spec) (*spare, engine.Origin) {
	version := p.cfg.Runtime()
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if now.After(p.quiet) {
		p.rush = now
	}
	if until := now.Add(settle); until.Before(p.rush.Add(rushMost)) { // but not for ever
		p.quiet = later(p.quiet, until)
	}
	s := p.spares[spec.Key]
	if s != nil {
		s.becomeLocked(claimed)
	}
	if _, again := p.origins[spec.Key]; again {
		return s, engine.Origin{Tier: engine.Cold} // the launcher has it
	}
	origin := engine.Origin{Tier: engine.Cold}
	full, ok := templateOf(spec, engine.WaitContext, version)
	expected := ok && p.known[full.id] != nil
	if ok {
		var have []*template
		for _, other := range p.spares {
			if other.phase == ready && other.of.spec.Wait == engine.WaitContext {
				have = append(have, other.of)
			}
		}
		switch {
		case slices.ContainsFunc(have, func(t *template) bool { return t.id == full.id }):
			origin.Missed = "one waits, but no longer for a session that has itself waited"
		case expected:
			origin.Missed = "every driver that waited for this session's configuration is taken"
		default:
			origin.Missed = why(full, have)
		}
		p.countLocked(full, now)
	} else {
		origin.Missed = "no driver waits for what a session fetches at its start, or keeps secret"
	}
	// One without a context is for what no template of a whole one was made for.
	if part, could := templateOf(spec, engine.WaitProperties, version); could && !expected {
		p.countLocked(part, now)
	}
	poke(p.wake)
	return s, origin
}

// countLocked notes that a driver of the template was asked for.
func (p *Pool) countLocked(t *template, now time.Time) {
	d := p.known[t.id]
	if d == nil {
		d = &demand{template: t}
		p.known[t.id] = d
	}
	d.asked = append(d.asked, now)
	if n := len(d.asked) - 4*max(1, p.cfg.Max); n > 0 {
		d.asked = d.asked[n:]
	}
}

// give lets the session claim the driver. Both results are nil when that cannot
// be had any more and nothing of it is left.
func (p *Pool) give(ctx context.Context, s *spare, spec engine.Spec, missed string) (engine.Driver, error) {
	c, ok := s.d.(engine.Claimer)
	if ok && !p.is(s, ending) {
		s.stop()
		err := c.Claim(ctx, spec)
		if err == nil {
			from := engine.Origin{Tier: engine.Warm}
			if s.of.spec.Wait == engine.WaitProperties {
				from = engine.Origin{Tier: engine.Primed, Missed: missed}
			}
			p.note(spec.Key, from)
			p.forget(s)
			return s.d, nil
		}
		if ctx.Err() != nil { // the server ends; the driver itself knows whose it is, and the next one asks it
			p.forget(s)
			return nil, ctx.Err()
		}
		if refused, ok := errors.AsType[*engine.StartError](err); ok {
			p.discard(s)
			return nil, refused
		}
		p.cfg.Log.WarnContext(ctx, "a driver that waited is not handed out", "driver", string(s.key), "err", err)
		p.mu.Lock()
		p.tally.Dead++
		p.mu.Unlock()
		p.discard(s)
	}
	select {
	case <-s.gone: // its directory too: another can be launched under its key
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *Pool) is(s *spare, ph phase) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return s.phase == ph
}

// note remembers where a driver came from.
func (p *Pool) note(key engine.Key, o engine.Origin) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, again := p.origins[key]; again {
		return
	}
	p.origins[key] = noted{o, time.Now()}
	switch o.Tier {
	case engine.Warm:
		p.tally.Hits++
	case engine.Primed:
		p.tally.Primed++
	case engine.Cold:
		p.tally.Misses++
	}
}

// forget is called for a driver that is a session's now.
func (p *Pool) forget(s *spare) {
	p.mu.Lock()
	delete(p.spares, s.key)
	p.mu.Unlock()
	close(s.gone)
	poke(p.wake)
}

// discard lets Run end a driver.
func (p *Pool) discard(s *spare) {
	p.mu.Lock()
	s.giveUpLocked()
	p.mu.Unlock()
}

// Adopt finds a driver that an earlier server launched.
func (p *Pool) Adopt(ctx context.Context, h engine.Handle) (engine.Driver, error) {
	return p.inner.Adopt(ctx, h)
}

// List returns every driver that does not wait.
func (p *Pool) List(ctx context.Context) ([]engine.Handle, error) {
	all, err := p.inner.List(ctx)
	return slices.DeleteFunc(all, func(h engine.Handle) bool { return h.Waits }), err
}

// Kill ends a driver that answers nobody.
func (p *Pool) Kill(ctx context.Context, key engine.Key) error {
	if k, ok := p.inner.(engine.Killer); ok {
		return k.Kill(ctx, key)
	}
	return nil
}

// Reclaim gives up a driver that waits, for the memory that it takes, and
// reports whether there was one. It does not wait for its end.
func (p *Pool) Reclaim() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	var least *spare
	for _, s := range p.spares {
		if (s.phase == ready || s.phase == launching) && (least == nil || s.begun.Before(least.begun)) {
			least = s
		}
	}
	if least == nil {
		return false
	}
	least.giveUpLocked()
	p.quiet = later(p.quiet, time.Now().Add(shed))
	poke(p.wake)
	return true
}

// Has says whether the driver of a key waits, or is about to.
func (p *Pool) Has(key engine.Key) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.spares[key] != nil
}

// Stats returns what the pool has done and has.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	st := p.tally
	st.Wanted = p.wanted
	for _, s := range p.spares {
		switch s.phase {
		case ready, reserved:
			st.Ready++
			st.Oldest = max(st.Oldest, time.Since(s.begun))
		case launching:
			st.Launching++
		case claimed, ending:
		}
	}
	return st
}

// String says in a word how far a spare has come, for logs.
func (ph phase) String() string {
	return [...]string{"launching", "ready", "reserved", "claimed", "ending"}[ph]
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
