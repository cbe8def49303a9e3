package server

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"glaux/internal/awsapi"
	"glaux/internal/calc"
	"glaux/internal/logs"
	"glaux/internal/session"
)

// meter counts what /metrics shows. It never touches the store's write path.
type meter struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	s3       *prometheus.HistogramVec
	ui       *prometheus.CounterVec
	starts   *prometheus.CounterVec
	took     *starts
}

func newMeter() *meter {
	m := &meter{
		took:     newStarts(),
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "glaux_requests_total",
			Help: "API requests by service, operation, HTTP status and exception (empty on success).",
		}, []string{"service", "operation", "status", "code"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "glaux_request_seconds",
			Help:    "Time from a request's arrival to its reply, by service and operation.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 30},
		}, []string{"service", "operation"}),
		s3: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "glaux_s3_request_seconds",
			Help:    "Time to answer S3 requests, by IAM action and HTTP status.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 30, 120},
		}, []string{"action", "status"}),
		ui: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "glaux_ui_requests_total",
			Help: "Requests for the Spark UIs of sessions, by what answered (live, history, or own for a page of ours) and HTTP status.",
		}, []string{"from", "status"}),
		starts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "glaux_driver_starts_total",
			Help: "Drivers that have started, by whether their JVM uses the start-up archive (used or unused).",
		}, []string{"archive"}),
	}
	m.registry.MustRegister(m.requests, m.latency, m.s3, m.ui, m.starts, m.took.seconds,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// handler serves the metrics below /metrics.
func (m *meter) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !ownHost(r.Host, "") { // a page of a foreign site whose name was pointed here
			http.Error(w, "this host name is not ours", http.StatusMisdirectedRequest)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// Observe counts a finished API request.
func (m *meter) Observe(r *awsapi.Record) {
	m.requests.WithLabelValues(r.Service, r.Operation, strconv.Itoa(r.Status), r.Code).Inc()
	m.latency.WithLabelValues(r.Service, r.Operation).Observe(r.Duration.Seconds())
}

// started counts a driver that has started.
func (m *meter) started(archive bool) {
	kind := "unused"
	if archive {
		kind = "used"
	}
	m.starts.WithLabelValues(kind).Inc()
}

// census counts sessions and running calculations when /metrics is asked for,
// from the store's read side.
type census struct {
	ctx      context.Context // of the server's parts; the collector's interface has none
	sessions session.Store
	calcs    calc.Store
	logs     *logs.Store
	log      *slog.Logger

	bySession, byCalc, statements              *prometheus.Desc
	logDisk, logGroups, logEvents, logsDropped *prometheus.Desc
}

func newCensus(ctx context.Context, p *parts) *census {
	return &census{
		ctx: ctx, sessions: p.db, calcs: p.db, logs: p.logs, log: p.s.log,
		bySession: prometheus.NewDesc("glaux_sessions",
			"Sessions that are kept, by state, and by cause once they have ended.", []string{"state", "cause"}, nil),
		byCalc: prometheus.NewDesc("glaux_calculations_live",
			"Calculations that are not over, by state.", []string{"state"}, nil),
		statements:  prometheus.NewDesc("glaux_statements_live", "Statements of Glue sessions that wait or run.", nil, nil),
		logDisk:     prometheus.NewDesc("glaux_logs_bytes", "Bytes that the log groups take on the disk.", nil, nil),
		logGroups:   prometheus.NewDesc("glaux_log_groups", "Log groups that exist.", nil, nil),
		logEvents:   prometheus.NewDesc("glaux_log_events_total", "Log events that were appended.", nil, nil),
		logsDropped: prometheus.NewDesc("glaux_logs_dropped_bytes_total", "Bytes of logs that were dropped because of the bound on the disk.", nil, nil),
	}
}

// Describe tells what Collect sends.
func (c *census) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.bySession, c.byCalc, c.statements, c.logDisk, c.logGroups, c.logEvents, c.logsDropped} {
		to <- d
	}
}

// Collect counts.
func (c *census) Collect(to chan<- prometheus.Metric) {
	l := c.logs.Stats()
	to <- prometheus.MustNewConstMetric(c.logDisk, prometheus.GaugeValue, float64(l.Disk))
	to <- prometheus.MustNewConstMetric(c.logGroups, prometheus.GaugeValue, float64(l.Groups))
	to <- prometheus.MustNewConstMetric(c.logEvents, prometheus.CounterValue, float64(l.Appended))
	to <- prometheus.MustNewConstMetric(c.logsDropped, prometheus.CounterValue, float64(l.Dropped))
	sessions, err := c.sessions.Sessions(c.ctx, session.Query{})
	if err != nil {
		c.log.Warn("cannot count sessions", "cause", err)
		return
	}
	type kind struct{ state, cause string }
	kinds, open := map[kind]int{}, 0
	for i := range sessions {
		open += sessions[i].Open
		kinds[kind{string(sessions[i].State), string(sessions[i].Cause)}]++
	}
	for k, n := range kinds {
		to <- prometheus.MustNewConstMetric(c.bySession, prometheus.GaugeValue, float64(n), k.state, k.cause)
	}
	to <- prometheus.MustNewConstMetric(c.statements, prometheus.GaugeValue, float64(open))
	calcs, err := c.calcs.Calculations(c.ctx, calc.Query{States: []calc.State{
		calc.Creating, calc.Created, calc.Queued, calc.Running, calc.Canceling,
	}})
	if err != nil {
		c.log.Warn("cannot count calculations", "cause", err)
		return
	}
	states := map[string]int{}
	for i := range calcs {
		states[string(calcs[i].State)]++
	}
	for s, n := range states {
		to <- prometheus.MustNewConstMetric(c.byCalc, prometheus.GaugeValue, float64(n), s)
	}
}
