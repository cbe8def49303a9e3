package server

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"glaux/internal/engine"
	"glaux/internal/engine/warm"
	"glaux/internal/ident"
	"glaux/internal/machine"
	"glaux/internal/session"
)

// wirePool puts a pool in front of the launcher, unless none is to wait.
func (p *parts) wirePool(launcher *launcher, epoch uint64, memory machine.Reader) engine.Launcher {
	c := p.s.cfg.Pool
	if c.Max == 0 {
		return launcher
	}
	p.pool = warm.New(launcher, warm.Config{
		Max: c.Max, Min: c.Min, Each: poolDriver, Memory: cmp.Or(c.Memory, memory.Read().Total/8), Age: c.Age,
		Epoch: epoch, AgentToken: p.agentToken, NewKey: func() engine.Key { return engine.Key(ident.NewID()) },
		Runtime: launcher.version, Declared: p.templates, Log: p.s.log, Discard: p.discard,
		Pressed: p.pressed(&pressure{memory: memory, spared: p.s.cfg.Headroom(memory.Read().Total)}),
	})
	return p.pool
}

// discard removes the event log of a driver that nobody has had.
func (p *parts) discard(k engine.Key) {
	if err := os.RemoveAll(filepath.Join(p.s.place.history(), string(k))); err != nil {
		p.s.log.Warn("cannot remove the event log of a driver that waited", "driver", string(k), "err", err)
	}
}

// pressed says whether sessions to come have to stand back: while some wait for
// the machine's memory or processors, those are theirs.
func (p *parts) pressed(machine *pressure) func() bool {
	return func() bool { return machine.now() || p.sessions.Queue().Machine > 0 }
}

// pressure says whether the machine has no room for drivers that nobody asked
// for. Only the pool's own goroutine asks.
type pressure struct {
	memory machine.Reader
	spared int       // MiB that are left for sessions that work
	busy   time.Time // since when the processors are
	asked  time.Time // when last
}

// What counts as pressure: the share of time in percent in which everything
// waited for memory, or something for a processor. Busy processors are not
// waited for longer than a minute: what waits computes behind everybody else.
const (
	memoryStalls = 5
	busyStalls   = 80
	busyMost     = time.Minute
	busyAsked    = 5 * time.Second // nobody knows what was between questions that lie further apart
)

func (p *pressure) now() bool {
	m := p.memory.Read()
	if m.Pressure > memoryStalls || m.Available >= 0 && m.Available < p.spared+poolDriver {
		return true
	}
	now, last := time.Now(), p.asked
	if p.asked = now; p.memory.CPUPressure() < busyStalls {
		p.busy = time.Time{}
		return false
	}
	if p.busy.IsZero() || now.Sub(last) > busyAsked {
		p.busy = now
	}
	return now.Sub(p.busy) < busyMost
}

// reclaim gives up a driver that waits.
func (p *parts) reclaim() bool { return p.pool != nil && p.pool.Reclaim() }

func (p *parts) agentToken(k session.Key) string { return p.authority.AgentToken(string(k)) }

// templates are the specs of sessions as the workgroups declare them.
func (p *parts) templates(ctx context.Context) []engine.Spec {
	all, err := p.db.Workgroups(ctx, p.home.Account, "", 0)
	if err != nil {
		p.s.log.WarnContext(ctx, "cannot read the workgroups that drivers are to wait for", "err", err)
		return nil
	}
	return p.sessions.Templates(all)
}

// starts counts what the starts of sessions take.
type starts struct{ seconds *prometheus.HistogramVec }

func newStarts() *starts {
	return &starts{prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "glaux_session_start_seconds",
		Help: "What the starts of sessions took, by face, by tier (warm, primed or cold) and by step: queue (until a budget was found), launch (until there was a driver), " +
			"context and attach (from then on, until Spark and Python were there), total (until the session was idle).",
		Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2, 5, 10, 30, 120, 600},
	}, []string{"face", "tier", "step"})}
}

func (s *starts) observe(r session.StartRecord) {
	for step, d := range map[string]float64{
		"queue": r.Queue.Seconds(), "launch": r.Launch.Seconds(), "context": r.Context.Seconds(), "attach": r.Attach.Seconds(), "total": r.Total.Seconds(),
	} {
		s.seconds.WithLabelValues(string(r.Face), string(r.Tier), step).Observe(d)
	}
}

// poolGauges shows the pool.
type poolGauges struct {
	pool *warm.Pool

	drivers, wanted, oldest, claims, launched, ended *prometheus.Desc
}

func newPoolGauges(p *warm.Pool) *poolGauges {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &poolGauges{
		pool:     p,
		drivers:  desc("glaux_pool_drivers", "Drivers that wait for sessions, by state: ready, or launching.", "state"),
		wanted:   desc("glaux_pool_wanted", "Drivers that are to wait, by what was asked for lately and what there is room for."),
		oldest:   desc("glaux_pool_oldest_seconds", "For how long the oldest driver has waited."),
		claims:   desc("glaux_pool_launches_total", "Sessions that were launched, by what they found: warm, primed, or cold, which is nothing.", "tier"),
		launched: desc("glaux_pool_launched_total", "Drivers that were launched to wait."),
		ended:    desc("glaux_pool_ended_total", "Drivers that were ended while they waited, by why: dead, or expired.", "why"),
	}
}

// Describe tells what Collect sends.
func (g *poolGauges) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.drivers, g.wanted, g.oldest, g.claims, g.launched, g.ended} {
		to <- d
	}
}

// Collect counts.
func (g *poolGauges) Collect(to chan<- prometheus.Metric) {
	st := g.pool.Stats()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v int, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge(g.drivers, float64(st.Ready), "ready")
	gauge(g.drivers, float64(st.Launching), "launching")
	gauge(g.wanted, float64(st.Wanted))
	gauge(g.oldest, st.Oldest.Seconds())
	count(g.claims, st.Hits, string(engine.Warm))
	count(g.claims, st.Primed, string(engine.Primed))
	count(g.claims, st.Misses, string(engine.Cold))
	count(g.launched, st.Launched)
	count(g.ended, st.Dead, "dead")
	count(g.ended, st.Expired, "expired")
}
