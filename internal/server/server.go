package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// How long requests that are under way get when the server ends.
const drain = 5 * time.Second

// How long a start waits for the object store, which is tens of milliseconds
// away. What does not need it is of use without it.
const firstBucket = 10 * time.Second

// Server is one running server.
type Server struct {
	cfg   Config
	place place
	log   *slog.Logger
	out   io.Writer // what the person at the terminal reads
	ready *readiness
	meter *meter

	listener net.Listener // of the API
	metrics  net.Listener // nil: not served
	connect  net.Listener // nil: not served
	base     string       // base URL

	parts *parts

	stop     context.CancelFunc // ends the server
	stopOnce sync.Once
}

// Run serves until ctx ends or "glaux stop" asks it to end. Sessions go on
// without the server in the first case. The configuration must be complete
// and valid. Log records and what a person should read go to out.
func Run(ctx context.Context, c Config, out io.Writer) error {
	runtime.GOMAXPROCS(c.processors())
	s := &Server{cfg: c, place: newPlace(&c), log: newLogger(&c, out), out: out, ready: newReadiness(partObjects)}
	if err := s.place.make(); err != nil {
		return err
	}
	lock, err := s.place.lock()
	if errors.Is(err, errRunning) {
		r, _ := s.place.readRunning() // it may not be written yet; then the sentence lacks a number
		return fmt.Errorf("cannot start: another server (process %d, %s) uses the data directory %s", r.PID, r.URL, c.DataDir)
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := s.listen(ctx); err != nil {
		return err
	}
	defer s.listener.Close()
	if s.metrics != nil {
		defer s.metrics.Close()
	}
	if err := s.listenConnect(ctx); err != nil {
		return err
	}
	defer func() {
		if s.connect != nil {
			s.connect.Close()
		}
	}()
	s.meter = newMeter()
	if s.parts, err = s.wire(ctx); err != nil {
		return err
	}
	defer s.parts.close()
	if err := s.parts.wireConnect(ctx); err != nil {
		return err
	}
	return s.serve(ctx)
}

// listen binds the TCP addresses first, so that a taken one is told at once.
func (s *Server) listen(ctx context.Context) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", s.cfg.Listen)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w", s.cfg.Listen, err)
	}
	scheme := "http"
	if s.cfg.TLSCert != "" {
		cert, err := tls.LoadX509KeyPair(s.cfg.TLSCert, s.cfg.TLSKey)
		if err != nil {
			l.Close()
			return fmt.Errorf("cannot load the TLS certificate: %w", err)
		}
		scheme = "https"
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	}
	s.listener, s.base = l, scheme+"://"+reachable(l.Addr())
	if s.cfg.MetricsListen == "off" {
		return nil
	}
	if s.metrics, err = lc.Listen(ctx, "tcp", s.cfg.MetricsListen); err != nil {
		l.Close()
		return fmt.Errorf("cannot serve metrics on %s: %w", s.cfg.MetricsListen, err)
	}
	return nil
}

// reachable turns a listening address into one a client on this machine can use.
func reachable(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// serve answers requests until ctx ends or a stop is asked for. Work that is
// under way is not ended by ctx: first no new requests are taken, then those
// under way get a moment, then the parts behind them end.
func (s *Server) serve(ctx context.Context) error {
	ctx, s.stop = context.WithCancel(ctx)
	defer s.stop()
	agent, err := s.place.listenUnix(s.place.agent())
	if err != nil {
		return err
	}
	defer os.Remove(s.place.agent())
	control, err := s.place.listenUnix(s.place.control())
	if err != nil {
		agent.Close()
		return err
	}
	defer os.Remove(s.place.control())

	// The parts outlive ctx, because requests under way need them.
	work, endWork := context.WithCancel(context.WithoutCancel(ctx))
	defer endWork()
	behind, work := errgroup.WithContext(work)
	s.parts.run(work, behind)

	front, failed := errgroup.WithContext(context.WithoutCancel(ctx))
	var servers []*http.Server
	start := func(l net.Listener, h http.Handler) {
		srv := &http.Server{
			Handler:           h,
			ReadHeaderTimeout: 30 * time.Second,
			IdleTimeout:       5 * time.Minute,
			MaxHeaderBytes:    64 << 10,
			BaseContext:       func(net.Listener) context.Context { return work },
			ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		}
		servers = append(servers, srv)
		front.Go(func() error {
			if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("cannot accept connections on %s: %w", l.Addr(), err)
			}
			return nil
		})
	}
	handler := s.handler()
	start(s.listener, handler)
	start(agent, handler)
	start(control, s.controlHandler(work))
	if s.metrics != nil {
		start(s.metrics, s.meter.handler())
	}
	connecting, endConnecting := context.WithCancel(context.WithoutCancel(ctx))
	defer endConnecting()
	if s.connect != nil {
		front.Go(func() error { return s.parts.connect.Run(connecting, s.connect) })
	}
	s.ready.await(ctx, partObjects, firstBucket)
	err = s.announce()
	if err == nil {
		select {
		case <-ctx.Done():
		case <-failed.Done():
		case <-work.Done():
		}
	}

	// From here on nothing waits for ctx, which has ended; each step is bounded.
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	s.farewell(ending)
	endConnecting()
	for _, srv := range servers {
		if e := srv.Shutdown(ending); e != nil {
			srv.Close() // whoever has not finished by now is cut off
		}
	}
	endWork()
	return errors.Join(err, front.Wait(), withoutCancelled(behind.Wait()))
}

func withoutCancelled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// announce tells whoever waits that requests are answered now.
func (s *Server) announce() error {
	err := s.place.writeRunning(running{PID: os.Getpid(), URL: s.base, Control: s.place.control()})
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", s.place.runFile(), err)
	}
	s.log.Info("ready", "url", s.base, "data", s.place.data, "version", Version())
	if s.cfg.LogFormat == "text" { // a person reads it; programs have the ready file
		fmt.Fprintf(s.out, "To connect, in another terminal: eval \"$(%s env --data-dir %s)\"\n", program(), shellQuote(s.place.data))
	}
	if s.cfg.ReadyFile != "" {
		var text strings.Builder
		fmt.Fprintln(&text, s.base)
		if s.metrics != nil {
			fmt.Fprintf(&text, "metrics=%s\n", s.metrics.Addr())
		}
		if s.connect != nil {
			fmt.Fprintf(&text, "connect=%s\n", s.connect.Addr())
		}
		fmt.Fprintf(&text, "agent=%s\n", s.place.agent())
		if err := writeFile(s.cfg.ReadyFile, []byte(text.String())); err != nil {
			return fmt.Errorf("cannot write the ready file: %w", err)
		}
	}
	return nil
}

// program is how this program was called, as a shell reads it.
func program() string {
	if name := os.Args[0]; strings.ContainsAny(name, " \t'\"$`\\*?;&|<>()") {
		return shellQuote(name)
	}
	return os.Args[0]
}

// farewell says what goes on without the server, and how to end it too.
func (s *Server) farewell(ctx context.Context) {
	os.Remove(s.place.runFile())
	if s.cfg.ReadyFile != "" {
		os.Remove(s.cfg.ReadyFile)
	}
	n, err := s.parts.sessions.Live(ctx)
	switch {
	case err != nil:
		s.log.Warn("cannot count the sessions that go on", "cause", err)
	case n == 1:
		fmt.Fprintf(s.out, "glaux ends; 1 session goes on without it. To end it too: %s stop --data-dir %s\n", program(), shellQuote(s.place.data))
	case n > 1:
		fmt.Fprintf(s.out, "glaux ends; %d sessions go on without it. To end them too: %s stop --data-dir %s\n", n, program(), shellQuote(s.place.data))
	}
}
