package delivery

import (
	"sync"
	"time"
)

// Stats are figures about deliveries, for metrics.
type Stats struct {
	Kind    string // managed, cloudwatch or s3
	Lines   int64  // delivered
	Bytes   int64  // of their texts
	Failed  int64  // attempts
	GivenUp int64  // streams of which the rest will not be delivered
	Dropped int64  // bytes that drivers no longer kept when they could be delivered
	// Lag is how long ago the oldest line came that waits. Lines for S3 are
	// gathered for a while.
	Lag time.Duration
}

// tally counts.
type tally struct {
	mu sync.Mutex
	by map[string]*Stats // guarded by mu; the keys never change
}

func newTally() tally {
	return tally{by: map[string]*Stats{kindManaged: {Kind: kindManaged}, kindCloudWatch: {Kind: kindCloudWatch}, kindS3: {Kind: kindS3}}}
}

func (t *tally) count(kind string, f func(*Stats)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(t.by[kind])
}

func (t *tally) delivered(kind string, lines, bytes int) {
	t.count(kind, func(s *Stats) { s.Lines, s.Bytes = s.Lines+int64(lines), s.Bytes+int64(bytes) })
}
func (t *tally) failed(kind string)           { t.count(kind, func(s *Stats) { s.Failed++ }) }
func (t *tally) gaveUp(kind string)           { t.count(kind, func(s *Stats) { s.GivenUp++ }) }
func (t *tally) dropped(kind string, n int64) { t.count(kind, func(s *Stats) { s.Dropped += n }) }

// Stats returns figures about each kind of target, in a fixed order.
func (m *Manager) Stats() []Stats {
	lag := map[string]time.Duration{}
	m.mu.Lock()
	for _, f := range m.known {
		for _, l := range f.lanes {
			if since := l.since.Load(); since != 0 {
				lag[l.to.kind()] = max(lag[l.to.kind()], time.Since(time.Unix(0, since)))
			}
		}
	}
	m.mu.Unlock()
	m.sum.mu.Lock()
	defer m.sum.mu.Unlock()
	out := make([]Stats, 0, 3)
	for _, kind := range []string{kindManaged, kindCloudWatch, kindS3} {
		s := *m.sum.by[kind]
		s.Lag = lag[kind]
		out = append(out, s)
	}
	return out
}
