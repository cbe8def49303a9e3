package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"glaux/internal/machine"
	"glaux/internal/session"
)

// queueMeter counts what the budgets did. It implements session.QueueMeter.
type queueMeter struct {
	waits   *prometheus.HistogramVec
	refused *prometheus.CounterVec
}

func newQueueMeter(to prometheus.Registerer) *queueMeter {
	m := &queueMeter{
		waits: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "glaux_session_queue_seconds",
			Help:    "How long sessions waited in the queue, by outcome: admitted, or ended when they were stopped or had waited too long.",
			Buckets: []float64{.01, .05, .1, .5, 1, 5, 10, 30, 60, 120, 300, 600, 1800},
		}, []string{"outcome"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "glaux_sessions_refused_total",
			Help: "Sessions that were refused, by what: a budget, size for those that no budget could ever hold, or queue when that was full.",
		}, []string{"by"}),
	}
	to.MustRegister(m.waits, m.refused)
	return m
}

// Waited implements session.QueueMeter.
func (m *queueMeter) Waited(d time.Duration, admitted bool) {
	outcome := "ended"
	if admitted {
		outcome = "admitted"
	}
	m.waits.WithLabelValues(outcome).Observe(d.Seconds())
}

// Refused implements session.QueueMeter.
func (m *queueMeter) Refused(by string) { m.refused.WithLabelValues(by).Inc() }

// queue shows the queue and the machine's memory when /metrics is asked for.
type queue struct {
	sessions *session.Manager
	memory   machine.Reader

	waiting, held, dpus, total, available, pressure *prometheus.Desc
}

func newQueue(sessions *session.Manager) *queue {
	return &queue{
		sessions:  sessions,
		waiting:   prometheus.NewDesc("glaux_sessions_queued", "Sessions that wait to be started, by what they wait for.", []string{"for"}, nil),
		held:      prometheus.NewDesc("glaux_sessions_admitted", "Sessions that have a place in the budgets and are not over.", nil, nil),
		dpus:      prometheus.NewDesc("glaux_budget_dpus", "DPUs that the admitted sessions may have together.", nil, nil),
		total:     prometheus.NewDesc("glaux_memory_total_bytes", "Memory of the machine or of the control group, whichever is tighter.", nil, nil),
		available: prometheus.NewDesc("glaux_memory_available_bytes", "What of it could be had now without swapping.", nil, nil),
		pressure:  prometheus.NewDesc("glaux_memory_stalled_ratio", "Share of the last ten seconds in which everything waited for memory.", nil, nil),
	}
}

// Describe tells what Collect sends.
func (q *queue) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{q.waiting, q.held, q.dpus, q.total, q.available, q.pressure} {
		to <- d
	}
}

// Collect reads.
func (q *queue) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	s := q.sessions.Queue()
	for what, n := range s.Waiting {
		gauge(q.waiting, float64(n), what)
	}
	gauge(q.held, float64(s.Held))
	gauge(q.dpus, s.DPUs)
	m := q.memory.Read()
	gauge(q.total, float64(m.Total)*(1<<20))
	if m.Available >= 0 {
		gauge(q.available, float64(m.Available)*(1<<20))
	}
	gauge(q.pressure, m.Pressure/100)
}
