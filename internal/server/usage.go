package server

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"glaux/internal/engine"
	"glaux/internal/session"
)

// usageEvery bounds how often the memory of drivers is measured, which costs
// processor time for each of them, however often /metrics is asked for.
const usageEvery = 20 * time.Second

// measured is the ability to say what drivers take.
type measured interface {
	Memory(context.Context) (map[engine.Key]int64, error)
}

// lister is the part of the store that knows states.
type lister interface {
	Sessions(context.Context, session.Query) ([]session.Session, error)
}

// usage measures the memory of drivers when /metrics is asked for.
type usage struct {
	ctx      context.Context // of the server's parts; the collector's interface has none
	drivers  measured
	sessions lister
	log      *slog.Logger

	bytes, count *prometheus.Desc

	mu   sync.Mutex // guards what follows; held while it is measured
	at   time.Time
	last []prometheus.Metric
}

func newUsage(ctx context.Context, drivers measured, sessions lister, log *slog.Logger) *usage {
	return &usage{
		ctx: ctx, drivers: drivers, sessions: sessions, log: log,
		bytes: prometheus.NewDesc("glaux_driver_memory_bytes",
			"Memory of the drivers that run (JVM, Python and shim; pages they share count once), by their session's state, or \"none\" for drivers that are no session's. Measured at most every 20 seconds.", []string{"state"}, nil),
		count: prometheus.NewDesc("glaux_driver_memory_drivers", "Drivers that glaux_driver_memory_bytes is the sum of.", []string{"state"}, nil),
	}
}

// Describe tells what Collect sends.
func (u *usage) Describe(to chan<- *prometheus.Desc) {
	to <- u.bytes
	to <- u.count
}

// Collect measures, or repeats what was measured a moment ago.
func (u *usage) Collect(to chan<- prometheus.Metric) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.at.IsZero() || time.Since(u.at) >= usageEvery {
		u.last, u.at = u.measureLocked(), time.Now()
	}
	for _, m := range u.last {
		to <- m
	}
}

func (u *usage) measureLocked() []prometheus.Metric {
	each, err := u.drivers.Memory(u.ctx)
	if err != nil {
		u.log.Warn("cannot measure the memory of drivers", "cause", err)
		return nil
	}
	if len(each) == 0 {
		return nil
	}
	sessions, err := u.sessions.Sessions(u.ctx, session.Query{States: []session.State{
		session.Queued, session.Launching, session.Started, session.Idle, session.Busy, session.Degraded, session.Stopping,
	}})
	if err != nil {
		u.log.Warn("cannot tell the states of sessions", "cause", err)
		return nil
	}
	states := make(map[engine.Key]string, len(sessions))
	for i := range sessions {
		states[engine.Key(sessions[i].Key)] = string(sessions[i].State)
	}
	sum, n := map[string]int64{}, map[string]int{}
	for key, bytes := range each {
		state := states[key]
		if state == "" {
			state = "none"
		}
		sum[state] += bytes
		n[state]++
	}
	var out []prometheus.Metric
	for state := range sum {
		out = append(out, prometheus.MustNewConstMetric(u.bytes, prometheus.GaugeValue, float64(sum[state]), state),
			prometheus.MustNewConstMetric(u.count, prometheus.GaugeValue, float64(n[state]), state))
	}
	return out
}
