package warm

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"glaux/internal/engine"
)

// Run reaps what an earlier server left waiting, and keeps as many drivers
// ready as are wanted, until ctx ends. It ends those that wait then, and
// returns once nothing of them is left.
func (p *Pool) Run(ctx context.Context) error {
	var serving sync.WaitGroup
	defer serving.Wait()
	p.reap(ctx, &serving)
	timer := time.NewTimer(0)
	defer timer.Stop()
	var declared time.Time
	for {
		select {
		case <-ctx.Done():
			p.drain()
			return nil
		case <-p.wake:
		case <-timer.C:
		}
		if time.Since(declared) >= redeclare {
			p.declare(ctx)
			declared = time.Now()
		}
		pressed := p.cfg.Pressed != nil && p.cfg.Pressed()
		s, next := p.step(ctx, pressed)
		if s != nil {
			serving.Go(func() { p.serve(ctx, s.watch, s.spare) })
		}
		timer.Reset(next)
	}
}

// reap ends the drivers that wait for a server that is gone.
func (p *Pool) reap(ctx context.Context, serving *sync.WaitGroup) {
	defer close(p.recovered)
	left, err := p.inner.List(ctx)
	if err != nil { // they end themselves
		p.cfg.Log.WarnContext(ctx, "cannot look for drivers that wait", "err", err)
		return
	}
	for _, h := range left {
		if !h.Waits {
			continue
		}
		s := &spare{key: h.Key, of: &template{}, begun: time.Now(), stop: func() {}, end: make(chan struct{}), gone: make(chan struct{})}
		p.mu.Lock()
		s.giveUpLocked()
		p.spares[h.Key] = s
		p.mu.Unlock()
		serving.Go(func() { p.serveEnd(ctx, s) })
	}
}

// declare learns what workgroups declare.
func (p *Pool) declare(ctx context.Context) {
	if p.cfg.Declared == nil {
		return
	}
	specs, version := p.cfg.Declared(ctx), p.cfg.Runtime()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.known {
		d.declared = false
	}
	for _, spec := range specs {
		t, ok := templateOf(spec, engine.WaitContext, version)
		if !ok {
			continue
		}
		if p.known[t.id] == nil {
			p.known[t.id] = &demand{template: t}
		}
		p.known[t.id].declared = true
	}
}

// drain ends all that wait, and lets nothing new.
func (p *Pool) drain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, s := range p.spares {
		if s.phase != claimed {
			s.giveUpLocked()
		}
	}
}

// begun is a spare that step has decided on, with the context of its watch.
type begun struct {
	*spare
	watch context.Context
}

// step ends what is not wanted any more and returns the driver to launch, if
// any, and when to look again.
func (p *Pool) step(ctx context.Context, pressed bool) (*begun, time.Duration) {
	version := p.cfg.Runtime()
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	next := now.Add(redeclare)
	soon := func(at time.Time) {
		if at.After(now) && at.Before(next) {
			next = at
		}
	}
	p.expireLocked(now, version, soon)
	wants := p.wantsLocked(now, soon)
	have, starting, busy := map[ID]int{}, 0, false
	for _, s := range p.spares {
		switch s.phase {
		case launching:
			starting++
			slow := s.begun.Add(slowAfter)
			busy = busy || starting > 2 || now.Before(slow)
			soon(slow)
			have[s.of.id]++
		case ready:
			have[s.of.id]++
		case reserved, claimed, ending:
		}
	}
	for _, s := range p.oldestLocked() {
		if s.phase == ready && have[s.of.id] > wants[s.of.id] {
			have[s.of.id]--
			p.tally.Expired++
			s.giveUpLocked()
		}
	}
	if busy || len(p.spares) >= p.room() || version == "" {
		return nil, next.Sub(now)
	}
	var lacks *demand
	for _, d := range p.rankedLocked() {
		if now.Before(d.resume) {
			soon(d.resume)
			continue
		}
		if have[d.id] < wants[d.id] && (lacks == nil || have[d.id] < have[lacks.id]) {
			lacks = d
		}
	}
	switch {
	case lacks == nil:
		return nil, next.Sub(now)
	case now.Before(p.quiet):
		soon(p.quiet)
		return nil, next.Sub(now)
	case pressed:
		soon(now.Add(unpress))
		return nil, next.Sub(now)
	}
	s := &spare{key: p.cfg.NewKey(), of: lacks.template, begun: now, since: now, end: make(chan struct{}), gone: make(chan struct{})}
	var watch context.Context
	watch, s.stop = context.WithCancel(ctx)
	p.spares[s.key] = s // counted before it is asked for
	p.tally.Launched++
	return &begun{s, watch}, next.Sub(now)
}

// expireLocked ends what has waited too long, and forgets what nobody asks for.
func (p *Pool) expireLocked(now time.Time, version string, soon func(time.Time)) {
	for _, s := range p.spares {
		at, old := s.begun.Add(p.cfg.Age), s.of.runtime != version
		switch s.phase {
		case launching:
			at = s.begun.Add(readyWithin)
		case reserved:
			at = s.since.Add(reservedFor)
		case ready:
		case claimed, ending:
			continue
		}
		if old = old && s.phase != reserved; !old && now.Before(at) {
			soon(at)
			continue
		}
		if s.phase == launching {
			p.failedLocked(s, now)
		}
		p.tally.Expired++
		s.giveUpLocked()
	}
	for key, o := range p.origins {
		if now.Sub(o.at) > originFor {
			delete(p.origins, key)
		}
	}
	for id, d := range p.known {
		d.asked = slices.DeleteFunc(d.asked, func(at time.Time) bool { return now.Sub(at) >= remembered })
		if len(d.asked) == 0 && !d.declared || d.runtime != version {
			delete(p.known, id)
		}
	}
}

// failedLocked notes that a driver of the template cannot be started for now.
func (p *Pool) failedLocked(s *spare, now time.Time) {
	if d := p.known[s.of.id]; d != nil {
		d.resume = now.Add(min(retryAfter<<min(d.failures, 10), retryMost))
		d.failures++
	}
}

// room is how many drivers may wait.
func (p *Pool) room() int {
	if p.cfg.Each <= 0 {
		return p.cfg.Max
	}
	return min(p.cfg.Max, p.cfg.Memory/p.cfg.Each)
}

// wantsLocked says how many drivers are to wait of each template: the minimum of
// those that are declared, then as many as were asked for at once lately. Where
// there is no room for all, each gets one before any gets two.
func (p *Pool) wantsLocked(now time.Time, soon func(time.Time)) map[ID]int {
	ideal, wants, left := map[ID]int{}, map[ID]int{}, p.room()
	for id, d := range p.known {
		n := atOnce(d.asked, now.Add(-p.cfg.Window))
		if len(d.asked) > 0 {
			n = max(n, 1)
			soon(d.asked[0].Add(p.cfg.Window))
			soon(d.asked[0].Add(remembered))
		}
		ideal[id] = n
	}
	ranked := p.rankedLocked()
	deal := func(most func(*demand) int) {
		for given := true; given && left > 0; {
			given = false
			for _, d := range ranked {
				if wants[d.id] < most(d) && left > 0 {
					wants[d.id]++
					left--
					given = true
				}
			}
		}
	}
	deal(func(d *demand) int {
		if d.declared {
			return p.cfg.Min
		}
		return 0
	})
	deal(func(d *demand) int { return ideal[d.id] })
	p.wanted = p.room() - left
	return wants
}

// atOnce is the most of the times that lie within one burst, of those after from.
func atOnce(times []time.Time, from time.Time) int {
	most, first := 0, 0
	for i, at := range times {
		for times[first].Before(at.Add(-burst)) || times[first].Before(from) && first < i {
			first++
		}
		if !at.Before(from) {
			most = max(most, i-first+1)
		}
	}
	return most
}

// rankedLocked are the templates, those most asked for first.
func (p *Pool) rankedLocked() []*demand {
	return slices.SortedFunc(maps.Values(p.known), func(a, b *demand) int {
		if a.declared != b.declared && len(a.asked) == len(b.asked) {
			if a.declared {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(len(b.asked), len(a.asked)), slices.Compare(a.id[:], b.id[:]))
	})
}

func (p *Pool) oldestLocked() []*spare {
	return slices.SortedFunc(maps.Values(p.spares), func(a, b *spare) int {
		return cmp.Or(a.begun.Compare(b.begun), cmp.Compare(a.key, b.key))
	})
}

// serve launches a driver and watches it until it is a session's or to end.
func (p *Pool) serve(ctx, watch context.Context, s *spare) {
	defer s.stop()
	spec := s.of.launch(s.key)
	spec.Epoch, spec.AgentToken, spec.Orphaned = p.cfg.Epoch, p.cfg.AgentToken(s.key), p.cfg.Orphaned
	d, err := p.inner.Launch(watch, spec)
	if err != nil {
		failed := watch.Err() == nil // and not merely given up
		if failed {
			p.cfg.Log.WarnContext(ctx, "cannot launch a driver to wait", "err", err)
		}
		p.mu.Lock()
		if failed {
			p.failedLocked(s, time.Now())
		}
		s.giveUpLocked()
		p.mu.Unlock()
		p.serveEnd(ctx, s)
		return
	}
	p.mu.Lock()
	s.d = d
	p.mu.Unlock()
	for {
		err = d.Watch(watch, func(st engine.Status) { p.saw(s, st) })
		if err == nil || watch.Err() != nil || errors.Is(err, engine.ErrGone) || errors.Is(err, engine.ErrStale) || pause(watch, endAgain) != nil {
			break
		}
	}
	if watch.Err() == nil {
		p.died(s)
	}
	select {
	case <-s.end:
		p.serveEnd(ctx, s)
	case <-s.gone:
	}
}

// saw moves a driver by what it shows.
func (p *Pool) saw(s *spare, st engine.Status) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case st.Phase != engine.Waiting:
	case s.phase == launching:
		s.becomeLocked(ready)
		if d := p.known[s.of.id]; d != nil {
			d.failures = 0
		}
		poke(p.wake)
	case !st.Responsive && s.phase == ready:
		p.tally.Dead++
		s.giveUpLocked()
	}
}

// died is called once a driver that waited is gone.
func (p *Pool) died(s *spare) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch s.phase {
	case launching:
		p.failedLocked(s, time.Now())
	case ready, reserved:
	case claimed, ending:
		return
	}
	p.tally.Dead++
	s.giveUpLocked()
}

// serveEnd ends a driver, which has nothing to lose, and removes what it left.
// It tries until that has worked: another may be launched under its key. With
// ctx its patience ends; the next server goes on then.
func (p *Pool) serveEnd(ctx context.Context, s *spare) {
	for n := 0; ; n++ {
		err := p.end(ctx, s)
		if err == nil && p.cfg.Discard != nil {
			p.cfg.Discard(s.key)
		}
		if err == nil || errors.Is(err, engine.ErrGone) || errors.Is(err, engine.ErrStale) {
			break
		}
		if n == 0 || ctx.Err() != nil {
			p.cfg.Log.WarnContext(ctx, "cannot end a driver that waited", "driver", string(s.key), "err", err)
		}
		if ctx.Err() != nil || pause(ctx, endAgain) != nil {
			break
		}
	}
	p.mu.Lock()
	delete(p.spares, s.key)
	p.mu.Unlock()
	close(s.gone)
	poke(p.wake)
}

// end tries once to end a driver and to remove what it left.
func (p *Pool) end(ctx context.Context, s *spare) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endWithin)
	defer cancel()
	d := s.d
	if d == nil {
		var err error
		if d, err = p.inner.Adopt(ctx, engine.Handle{Key: s.key, Epoch: p.cfg.Epoch}); err != nil {
			return errors.Join(err, p.Kill(ctx, s.key))
		}
	}
	atOnce, done := context.WithTimeout(ctx, time.Millisecond)
	err := d.Stop(atOnce)
	done()
	if err != nil && !errors.Is(err, engine.ErrGone) {
		err = p.Kill(ctx, s.key)
	}
	if err == nil || errors.Is(err, engine.ErrGone) {
		err = d.Remove(ctx)
	}
	return err
}

// pause waits, or returns the error of ctx if that ends first.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
