package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"glaux/internal/access"
	"glaux/internal/connect"
	"glaux/internal/fault"
	"glaux/internal/session"
)

// The ports of Spark Connect: the one that clients append by themselves, and
// the one for where that may not be bound.
const (
	connectPort  = "443"
	connectOther = "15443"
)

// listenConnect binds the address of Spark Connect that was asked for, or fails.
func (s *Server) listenConnect(ctx context.Context) error {
	want := s.cfg.Connect.Listen
	if want == "off" || want == "" {
		return nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", want)
	if err != nil {
		return fmt.Errorf("cannot serve Spark Connect on %s: %w", want, err)
	}
	s.connect = l
	if host, _, err := net.SplitHostPort(want); err == nil && s.cfg.Connect.PublicHost == "" && (host == "" || net.ParseIP(host).IsUnspecified()) {
		s.log.Warn("Spark Connect is served on every address, but its URLs name localhost: connect-public-host says what clients elsewhere call this machine")
	}
	return nil
}

// findConnect binds the first address of Spark Connect that can be had, where
// none was asked for. Clients of the sessions that live, of which there are
// live, look for it on the port that it had, whatever else became free since.
func (s *Server) findConnect(ctx context.Context, live int) error {
	if s.cfg.Connect.Listen != "" {
		return nil
	}
	last := s.place.lastConnect()
	l, why, err := listenFirst(ctx, connectPorts(last, live)...)
	if err != nil {
		return fmt.Errorf("cannot serve Spark Connect: %w", err)
	}
	s.connect = l
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return err
	}
	reason := "it may not be bound"
	if errors.Is(why, syscall.EADDRINUSE) {
		reason = "another program uses it"
	}
	at := slog.String("connect", l.Addr().String())
	switch stay := live > 0 && last != ""; {
	case stay && port != last:
		s.log.Warn("Spark Connect is not served on port "+last+" any more ("+reason+"), so clients of the sessions that go on cannot come back to it",
			at, slog.Int("sessions", live))
	case stay && port != connectPort:
		s.log.Info("Spark Connect stays on the port that clients of the sessions that go on know", at, slog.Int("sessions", live))
	case port != connectPort:
		s.log.Warn("Spark Connect is not served on port 443 ("+reason+"), so its URLs carry a port; \"glaux doctor\" tells how to change that", at)
	}
	if port == last {
		return nil
	}
	if err := s.place.keepConnect(port); err != nil {
		s.log.Warn("cannot remember the port of Spark Connect", "cause", err)
	}
	return nil
}

// connectPorts are the ports to try for Spark Connect, in order. last is the
// one that it was served on, or "", and live how many sessions go on.
func connectPorts(last string, live int) []string {
	if live > 0 {
		return []string{last, connectPort, connectOther, "0"}
	}
	return []string{connectPort, last, connectOther, "0"}
}

// listenFirst listens on the first of the loopback's ports that can be had. why
// says why it is not the very first; empty ports are passed over.
func listenFirst(ctx context.Context, ports ...string) (l net.Listener, why, err error) {
	for _, port := range ports {
		if port == "" {
			continue
		}
		if l, err = new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", port)); err == nil {
			return l, why, nil
		}
		if why == nil {
			why = err
		}
	}
	return nil, why, err
}

func (p place) connectPortFile() string { return filepath.Join(p.connect(), "port") }

// lastConnect returns the port that Spark Connect was last served on where none
// was asked for, or "".
func (p place) lastConnect() string {
	text, err := os.ReadFile(p.connectPortFile())
	if _, bad := strconv.ParseUint(string(text), 10, 16); err != nil || bad != nil {
		return ""
	}
	return string(text)
}

func (p place) keepConnect(port string) error {
	if err := os.MkdirAll(p.connect(), 0o700); err != nil {
		return err
	}
	return writeFile(p.connectPortFile(), []byte(port))
}

// rootsFile is the bundle that makes gRPC clients trust Spark Connect: the
// system's roots and ours.
func (s *Server) rootsFile() string { return filepath.Join(s.place.connect(), "roots.pem") }

// wireConnect makes the proxy of Spark Connect, if it is served. It comes after
// the other parts, because the sessions that live have a say in the port.
func (p *parts) wireConnect(ctx context.Context) error {
	s := p.s
	live, err := p.sessions.Live(ctx)
	if err != nil {
		return err
	}
	if err := s.findConnect(ctx, live); err != nil {
		return err
	}
	if s.connect == nil {
		return nil
	}
	certificate, roots, err := s.certificates()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.place.connect(), 0o700); err != nil {
		return fmt.Errorf("cannot make the directory of Spark Connect: %w", err)
	}
	bundle := append(systemRoots(os.Getenv), roots...)
	if old, err := os.ReadFile(s.rootsFile()); err != nil || !bytes.Equal(old, bundle) {
		if err := writeFile(s.rootsFile(), bundle); err != nil {
			return fmt.Errorf("cannot write the root certificates: %w", err)
		}
	}
	p.connect = connect.New(connect.Config{
		Home: p.home, Sessions: p.sessions, Tokens: p.authority, Access: p.authority, Certificate: certificate,
		Meter: newConnectMeter(s.meter.registry), Log: s.log,
		Strict: s.cfg.Connect.StrictTokens, Grace: s.cfg.Connect.TokenGrace,
	})
	return nil
}

// certificates returns where certificates come from, and what clients have to
// trust beside the system's roots.
func (s *Server) certificates() (connect.Certificates, []byte, error) {
	c := &s.cfg.Connect
	if c.TLSCert != "" {
		files, err := connect.NewFiles(c.TLSCert, c.TLSKey, func(err error) {
			s.log.Warn("cannot use the changed certificate of Spark Connect", "cause", err)
		})
		if err != nil {
			return nil, nil, err
		}
		return files.Certificate, files.Roots(), nil
	}
	listen, _, err := net.SplitHostPort(s.connect.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	issuer, err := connect.NewIssuer(s.place.connect(), connect.Names(c.PublicHost, listen))
	if err != nil {
		return nil, nil, err
	}
	return issuer.Certificate, issuer.Root(), nil
}

// systemRoots returns the certificates that this machine's programs trust,
// PEM; nothing where they are not in one of the usual files.
func systemRoots(getenv func(string) string) []byte {
	for _, path := range []string{
		getenv("SSL_CERT_FILE"),
		"/etc/ssl/certs/ca-certificates.crt",                // Debian
		"/etc/pki/tls/certs/ca-bundle.crt",                  // Fedora
		"/etc/ssl/ca-bundle.pem",                            // SUSE
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // CentOS
		"/etc/ssl/cert.pem",                                 // Alpine, macOS
	} {
		if path == "" {
			continue
		}
		if text, err := os.ReadFile(path); err == nil {
			return append(bytes.TrimRight(text, "\n"), '\n')
		}
	}
	return nil
}

// endpoints tells clients where Spark Connect is.
type endpoints struct{ p *parts }

// Endpoint returns the URL and a token for who. On port 443 the URL carries
// neither port nor path: clients append what they need.
func (e endpoints) Endpoint(who access.Caller, key session.Key) (url, token string, expires time.Time, err error) {
	s := e.p.s
	if s.connect == nil {
		return "", "", expires, fault.Invalidf("This server does not serve Spark Connect.")
	}
	listen, port, err := net.SplitHostPort(s.connect.Addr().String())
	if err != nil {
		return "", "", expires, err
	}
	c := &s.cfg.Connect
	host := c.PublicHost
	if host == "" {
		host = "localhost"
		if ip := net.ParseIP(listen); ip != nil && ip.To4() != nil && !ip.IsLoopback() && !ip.IsUnspecified() {
			host = listen
		}
	}
	if c.HostPerSession && net.ParseIP(host) == nil {
		host = string(key) + ".sessions." + host
	}
	if c.PublicPort != 0 {
		port = strconv.Itoa(c.PublicPort)
	}
	url = "https://" + host
	if port != connectPort {
		url += ":" + port
	}
	token, expires, err = e.p.authority.ConnectToken(who, string(key), c.TokenLife)
	return url, token, expires, err
}

// connectMeter counts Spark Connect for /metrics.
type connectMeter struct {
	calls   *prometheus.CounterVec
	seconds *prometheus.HistogramVec
	refused *prometheus.CounterVec
	open    prometheus.Gauge
}

func newConnectMeter(to prometheus.Registerer) *connectMeter {
	m := &connectMeter{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "glaux_connect_calls_total",
			Help: "Spark Connect calls that are over, by method and gRPC status code.",
		}, []string{"method", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "glaux_connect_call_seconds",
			Help:    "Time from a Spark Connect call's arrival to its end, by method.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 30, 120},
		}, []string{"method"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "glaux_connect_refused_total",
			Help: "Spark Connect calls and connections that were not let in, by reason.",
		}, []string{"reason"}),
		open: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "glaux_connect_connections",
			Help: "Connections of Spark Connect clients, those at their handshake among them.",
		}),
	}
	to.MustRegister(m.calls, m.seconds, m.refused, m.open)
	return m
}

// Called counts a call.
func (m *connectMeter) Called(method string, code connect.Code, took time.Duration) {
	m.calls.WithLabelValues(method, code.String()).Inc()
	m.seconds.WithLabelValues(method).Observe(took.Seconds())
}

// Refused counts a refusal.
func (m *connectMeter) Refused(why connect.Refusal) { m.refused.WithLabelValues(string(why)).Inc() }

// Connected counts connections.
func (m *connectMeter) Connected(change int) { m.open.Add(float64(change)) }
