package server

import (
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"glaux/internal/awsapi"
)

// meter counts what /metrics shows. It never touches the store's write path.
type meter struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	s3       *prometheus.HistogramVec
}

func newMeter() *meter {
	m := &meter{
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
	}
	m.registry.MustRegister(m.requests, m.latency, m.s3,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// handler serves the metrics below /metrics.
func (m *meter) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	return mux
}

// Observe counts a finished API request.
func (m *meter) Observe(r *awsapi.Record) {
	m.requests.WithLabelValues(r.Service, r.Operation, strconv.Itoa(r.Status), r.Code).Inc()
	m.latency.WithLabelValues(r.Service, r.Operation).Observe(r.Duration.Seconds())
}
