package server

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"glaux/internal/access"
	"glaux/internal/delivery"
	"glaux/internal/object"
	"glaux/internal/session"
)

// wireDelivery connects the logs of sessions to the places they go to.
func (p *parts) wireDelivery() (err error) {
	s := p.s
	p.delivery, err = delivery.New(delivery.Config{
		Home: p.home, Dir: filepath.Join(s.place.data, "delivery"), Managed: p.logs, CloudWatch: p.cloudWatch,
		Objects: logObjects{p.storage.client}, Access: p.authority, Log: s.log,
		Exists: func(ctx context.Context, k session.Key) (bool, error) {
			_, err := p.sessions.Session(ctx, k)
			if errors.Is(err, session.ErrNotFound) {
				return false, nil
			}
			return err == nil, err
		},
		Role: func(of session.Session) (access.Caller, error) {
			return p.authority.ExecutorCaller(string(of.Key), executorOf(&of))
		},
		Secrets:   func(k session.Key) []string { return p.authority.ExecutorSecrets(string(k)) },
		Tokens:    p.authority.TokenBeginnings(),
		EventLogs: func(k session.Key) string { return filepath.Join(s.place.history(), string(k)) },
		Every:     s.cfg.Logs.S3Every, Keep: s.cfg.Logs.Keep,
	})
	return err
}

// logObjects keeps logs in the object store.
type logObjects struct{ client *object.Client }

// Resource returns what access to an object is decided on.
func (l logObjects) Resource(uri string) (string, error) {
	at, err := object.ParseURI(uri)
	if err != nil {
		return "", &delivery.RefusedError{Why: notObject, Err: err}
	}
	resource, ok := l.client.Resource(at)
	if !ok {
		return "", &delivery.RefusedError{Why: notObject}
	}
	return resource, nil
}

// Put writes one object.
func (l logObjects) Put(ctx context.Context, o delivery.Object) error {
	to, err := object.ParseURI(o.URI)
	if err != nil {
		return &delivery.RefusedError{Why: notObject, Err: err}
	}
	var encryption object.Encryption
	if o.KMSKey != "" {
		encryption = object.Encryption{Option: "SSE_KMS", KMSKey: o.KMSKey}
	}
	err = l.client.PutEncrypted(ctx, to, o.Body, o.Size, o.ContentType, encryption)
	switch {
	case errors.Is(err, object.ErrNotFound):
		return &delivery.RefusedError{Why: "the bucket does not exist", Err: err}
	case errors.Is(err, object.ErrDenied):
		return &delivery.RefusedError{Why: "the object store denies access", Err: err}
	}
	return err
}

// deliveries counts what delivery.Manager.Stats tells.
type deliveries struct {
	of *delivery.Manager

	lines, bytes, failed, givenUp, dropped, lag *prometheus.Desc
}

func newDeliveries(of *delivery.Manager) *deliveries {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("glaux_delivery_"+name, help, []string{"target"}, nil)
	}
	return &deliveries{
		of:      of,
		lines:   desc("lines_total", "Lines of sessions' logs that were delivered, by kind of target."),
		bytes:   desc("bytes_total", "Bytes of the lines that were delivered."),
		failed:  desc("failures_total", "Attempts to deliver that failed."),
		givenUp: desc("given_up_total", "Streams of which the rest will not be delivered."),
		dropped: desc("dropped_bytes_total", "Bytes that drivers no longer kept when they could have been delivered."),
		lag:     desc("lag_seconds", "For how long the oldest line that waits has been waiting; lines for S3 are gathered for a while."),
	}
}

// Describe tells what Collect sends.
func (d *deliveries) Describe(to chan<- *prometheus.Desc) {
	for _, x := range []*prometheus.Desc{d.lines, d.bytes, d.failed, d.givenUp, d.dropped, d.lag} {
		to <- x
	}
}

// Collect counts.
func (d *deliveries) Collect(to chan<- prometheus.Metric) {
	for _, s := range d.of.Stats() {
		count := func(of *prometheus.Desc, n int64) {
			to <- prometheus.MustNewConstMetric(of, prometheus.CounterValue, float64(n), s.Kind)
		}
		count(d.lines, s.Lines)
		count(d.bytes, s.Bytes)
		count(d.failed, s.Failed)
		count(d.givenUp, s.GivenUp)
		count(d.dropped, s.Dropped)
		to <- prometheus.MustNewConstMetric(d.lag, prometheus.GaugeValue, s.Lag.Seconds(), s.Kind)
	}
}
