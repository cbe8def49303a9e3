package connect

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"glaux/internal/session"
)

// How long a TLS handshake may take.
const handshakeWithin = 10 * time.Second

// maxMetadata bounds the metadata of a call, bytes; beyond it net/http answers
// with status 431 or ends the connection, and with it other calls. So it is far
// more than what is taken, which gets a status.
const maxMetadata = 64 << 10

// pinging is how a peer that has fallen silent is found to be gone.
type pinging struct {
	every  time.Duration // of silence, until it is pinged
	answer time.Duration // that it gets for it, until its connection is closed
}

// pingEvery is how long a client may be silent before it is pinged, which also
// keeps what lies between us from forgetting the connection.
const pingEvery = time.Minute

// A client that does not answer a ping for patience because its machine is gone
// is given up. One whose machine answers is not: gRPC's Python clients before
// 1.60 read nothing while no call runs, and a notebook that was left overnight
// must find its connection, because its token has expired since.
const (
	patience   = 5 * time.Minute
	pingAnswer = 24 * time.Hour
)

// How often what is idle is looked for, and whether the sessions that have
// connections live.
const (
	sweepEvery = time.Second
	partEvery  = 10 * time.Second
)

// tlsConfig is what strangers are met with.
func (s *Server) tlsConfig() *tls.Config {
	return &tls.Config{
		GetCertificate: s.cfg.Certificate,
		NextProtos:     []string{"h2"},
		MinVersion:     tls.VersionTLS12,
		// A client that offers nothing would get HTTP/1.1.
		VerifyConnection: func(c tls.ConnectionState) error {
			if c.NegotiatedProtocol != "h2" {
				return errors.New("the client does not speak HTTP/2")
			}
			return nil
		},
		// Results are long: short records would only cost time.
		DynamicRecordSizingDisabled: true,
	}
}

// httpServer is what speaks HTTP/2 over connections that are through TLS.
func (s *Server) httpServer(ctx context.Context) *http.Server {
	only := new(http.Protocols)
	only.SetHTTP2(true)
	return &http.Server{
		Handler:        s,
		Protocols:      only,
		MaxHeaderBytes: maxMetadata,
		ConnContext:    withLink,
		BaseContext:    func(net.Listener) context.Context { return ctx },
		ErrorLog:       slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug), // it tells of peers that went away, and of hostile ones
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          256,
			MaxReceiveBufferPerStream:     streamWindow,
			MaxReceiveBufferPerConnection: 4<<20 - 1, // the most that is taken
			SendPingTimeout:               s.ping.every,
			PingTimeout:                   s.ping.answer,
		},
	}
}

// Run serves connections of l until ctx ends, or l fails. At the end clients are
// told to go elsewhere; calls under way get cfg.Drain, then those that still
// run are ended with Unavailable, so that clients attach again to the next
// server. It returns once nothing of it goes on any more.
func (s *Server) Run(ctx context.Context, l net.Listener) error {
	// Calls outlive ctx for the drain.
	work, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)
	through := &throughTLS{Listener: l, ready: make(chan net.Conn), closed: make(chan struct{})}
	srv := s.httpServer(work)
	var parts sync.WaitGroup
	failed := make(chan error, 1)
	parts.Go(func() { failed <- s.runAccept(through) })
	parts.Go(func() {
		if err := srv.Serve(through); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			s.cfg.Log.Error("cannot serve Spark Connect", "cause", err)
		}
	})
	parts.Go(func() { s.runSweep(work) })
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	_ = through.Close() // it only had to be closed
	draining, cancel := context.WithTimeout(work, s.cfg.Drain)
	defer cancel()
	if srv.Shutdown(draining) != nil {
		end(errEnding) // calls answer, which empties their connections
		answering, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if srv.Shutdown(answering) != nil {
			srv.Close()
		}
	}
	end(nil)
	s.admit.closeAll()
	s.routes.closeAll()
	parts.Wait()
	s.admit.senders.Wait() // for as long as they linger
	return err
}

// runSweep closes what is idle for too long, until ctx ends.
func (s *Server) runSweep(ctx context.Context) {
	tick, slow := time.NewTicker(sweepEvery), time.NewTicker(partEvery)
	defer tick.Stop()
	defer slow.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			s.admit.expire(now)
			s.routes.sweep(now)
		case <-slow.C:
			s.partFromEnded(ctx)
		}
	}
}

// partFromEnded makes strangers of the guests of sessions that have ended.
func (s *Server) partFromEnded(ctx context.Context) {
	for _, key := range s.admit.hosts() {
		row, err := s.cfg.Sessions.Session(ctx, key)
		if errors.Is(err, session.ErrNotFound) || (err == nil && row.State == session.Ended) {
			s.admit.part(key)
		}
	}
}

// throughTLS is a listener of connections that have done their handshake.
type throughTLS struct {
	net.Listener
	ready  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

// Accept returns the next connection that is through.
func (t *throughTLS) Accept() (net.Conn, error) {
	select {
	case c := <-t.ready:
		return c, nil
	case <-t.closed:
		return nil, net.ErrClosed
	}
}

// Close ends both sides.
func (t *throughTLS) Close() error {
	t.once.Do(func() { close(t.closed) })
	return t.Listener.Close()
}

// runAccept lets connections in until the listener is closed, and returns once
// none is at its handshake any more.
func (s *Server) runAccept(t *throughTLS) error {
	cfg := s.tlsConfig()
	var shaking sync.WaitGroup
	defer shaking.Wait()
	for {
		c, err := t.Listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			if temporary(err) { // out of file descriptors: old strangers go, and make room
				s.cfg.Log.Warn("cannot accept a Spark Connect connection", "cause", err)
				select {
				case <-time.After(100 * time.Millisecond):
					continue
				case <-t.closed:
					return nil
				}
			}
			return err
		}
		if err := setPatience(c, patience); err != nil {
			c.Close() // it is gone already
			continue
		}
		l := s.admit.enter(c)
		shaking.Go(func() { s.serveHandshake(t, l, cfg) })
	}
}

// temporary reports whether accepting may work again.
func temporary(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Temporary() //nolint:staticcheck // net/http asks the same; accept has no other way to tell
}

// serveHandshake takes one connection through TLS.
func (s *Server) serveHandshake(t *throughTLS, l *link, cfg *tls.Config) {
	_ = l.SetDeadline(time.Now().Add(handshakeWithin)) // a connection that is gone shows in the handshake
	c := tls.Server(l, cfg)
	if err := c.Handshake(); err != nil {
		s.cfg.Meter.Refused(NoHandshake)
		if plain := (tls.RecordHeaderError{}); errors.As(err, &plain) && plain.Conn != nil && spellsHTTP(plain.RecordHeader) {
			_, _ = io.WriteString(l, "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\n\r\nSpark Connect is served here, over TLS.\n") // a courtesy
		}
		l.drop()
		return
	}
	_ = l.SetDeadline(time.Time{}) // as above
	select {
	case t.ready <- c:
	case <-t.closed:
		l.drop()
	}
}

// spellsHTTP reports whether the first bytes of a connection are those of an
// HTTP request without TLS.
func spellsHTTP(b [5]byte) bool {
	switch string(b[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "PRI *":
		return true
	}
	return false
}
