package logs

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"
)

// sweepEvery is how often expired events are looked for.
const sweepEvery = 10 * time.Minute

// idleSegment is when a segment that nothing is added to any more is sealed.
const idleSegment = time.Hour

// Run removes what has expired and keeps the files within their bound, until
// ctx ends.
func (s *Store) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := s.Sweep(ctx, time.Now()); err != nil && ctx.Err() == nil {
			s.cfg.Log.Error("cannot remove expired log events", "cause", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Sweep does once what Run does all the time. What cannot be removed does not
// keep the rest from it.
func (s *Store) Sweep(ctx context.Context, now time.Time) error {
	var faults []error
	for _, g := range s.all() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.sweepGroup(g, now); err != nil && !errors.Is(err, ErrNoGroup) {
			faults = append(faults, err)
		}
	}
	s.prune()
	return errors.Join(faults...)
}

// all returns the groups.
func (s *Store) all() []*group {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Collect(maps.Values(s.groups))
}

func (s *Store) sweepGroup(g *group, now time.Time) error {
	streams, meta, err := s.list(g)
	if err != nil {
		return err
	}
	from := meta.expired(now)
	var faults []error
	for _, st := range streams {
		left, err := st.expire(from, now)
		if err == nil && left == 0 && meta.Managed() && st.created.UnixMilli() < from {
			err = s.removeEmpty(g, st)
		}
		if err != nil {
			faults = append(faults, err)
		}
	}
	if meta.Managed() && meta.Created.UnixMilli() < from {
		err := s.removeGroup(g, func() error {
			if len(g.streams) > 0 {
				return errInUse
			}
			return nil
		})
		if err != nil && !errors.Is(err, errInUse) {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

var errInUse = errors.New("log group has streams")

// expire seals what is idle, drops segments whose events all lie before from,
// and returns how many segments are left.
func (s *stream) expire(from int64, now time.Time) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return 0, nil
	}
	if err := s.openLocked(); err != nil {
		return 0, err
	}
	if n := len(s.segments); n > 0 && now.Sub(fromMillis(s.segments[n-1].ingested)) > idleSegment {
		if err := s.sealLocked(); err != nil {
			return 0, err
		}
	}
	for _, seg := range slices.Clone(s.segments) {
		// One that holds marks alone goes by when it was written.
		if last := max(seg.max, -1); last < from && (last >= 0 || seg.ingested < from) {
			if _, err := s.dropLocked(seg.number); err != nil {
				return 0, err
			}
		}
	}
	return len(s.segments), nil
}

// removeEmpty removes a stream of a managed group that has nothing left.
func (s *Store) removeEmpty(g *group, st *stream) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.gone || g.streams[st.name] != st {
		return nil
	}
	if !st.forgetEmpty() {
		return nil // a late writer
	}
	return s.removeStreamLocked(g, st)
}

// prune drops the oldest segments while the files are larger than their bound,
// and some more, so that this is rare. Streams that nobody has used since the
// start are counted once Run has seen them.
func (s *Store) prune() {
	bound := s.cfg.MaxBytes
	if bound <= 0 || s.disk.Load() <= bound || !s.pruning.TryLock() {
		return // another one is at it
	}
	defer s.pruning.Unlock()
	var all []target
	for _, g := range s.all() {
		streams, _, err := s.list(g)
		if err != nil {
			continue // deleted meanwhile, or told by the sweep
		}
		for _, st := range streams {
			st.mu.Lock()
			for i := range st.segments {
				all = append(all, target{st.segments[i], st})
			}
			st.mu.Unlock()
		}
	}
	slices.SortFunc(all, func(a, b target) int {
		return cmp.Or(cmp.Compare(a.max, b.max), cmp.Compare(a.ingested, b.ingested), cmp.Compare(a.number, b.number))
	})
	var freed int64
	var last int64
	for i := range all {
		if s.disk.Load() <= bound-bound/20 {
			break
		}
		n, err := all[i].in.sacrifice(all[i].number)
		if err != nil {
			s.cfg.Log.Error("cannot drop old log events", "cause", err)
			return
		}
		freed, last = freed+n, max(last, all[i].max)
	}
	if freed > 0 {
		s.dropped.Add(freed)
		s.cfg.Log.Warn("dropped the oldest log events because the files of logs reached their bound", "bound", bound, "freed", freed, "until", fromMillis(last))
	}
}

// sacrifice drops a segment, which is sealed first if it is the open one.
func (s *stream) sacrifice(number int64) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return 0, nil
	}
	if n := len(s.segments); n > 0 && s.segments[n-1].number == number {
		if err := s.sealLocked(); err != nil {
			return 0, err
		}
	}
	return s.dropLocked(number)
}
