// Package connect serves Spark Connect: a gRPC proxy in front of the drivers'
// own servers, which listen on Unix sockets only. It speaks TLS with HTTP/2 and
// nothing else, asks every call for a token, routes it to the session the
// token is for, and passes it on as a stream: what is looked at is a request's
// head and the top-level fields of its messages, never a plan or a result.
//
// The server is net/http's, for its HTTP/2 and its defences; what is ours is
// who gets in (admit.go), the token's rule (judge.go), the identity written
// over the one that a client claims (splice.go), and statuses that make stock
// clients do the right thing (status.go).
package connect

import (
	"cmp"
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"glaux/internal/access"
	"glaux/internal/engine"
	"glaux/internal/ident"
	"glaux/internal/session"
)

// Sessions is what the proxy asks of the sessions; session.Manager has it.
type Sessions interface {
	// Session returns the session of the key, or session.ErrNotFound.
	Session(ctx context.Context, key session.Key) (session.Session, error)
	// Driver returns the driver of a session. It blocks while a server that has
	// just started takes over drivers and while a driver is being launched. The
	// error is engine.ErrGone when nothing is left of the driver.
	Driver(ctx context.Context, key session.Key) (engine.Driver, error)
	// AwaitEnd returns once the session is recorded as ended, or with the error of ctx.
	AwaitEnd(ctx context.Context, key session.Key) error
}

// Tokens opens what GetSessionEndpoint hands out; access.Authority has it.
type Tokens interface {
	// OpenConnectToken returns what a token says, or access.ErrBadToken.
	OpenConnectToken(token string) (access.Grant, error)
}

// Meter counts what goes on. Its methods must not block.
type Meter interface {
	// Called counts a call that was let in, once it is over.
	Called(method string, code Code, took time.Duration)
	// Refused counts a call or connection that was not let in, by why.
	Refused(why Refusal)
	// Connected counts clients' connections: +1 as one begins, -1 as it ends.
	Connected(change int)
}

// Certificates returns the certificate for a handshake.
type Certificates func(*tls.ClientHelloInfo) (*tls.Certificate, error)

// Config is what a Server stands on. Fields without a default are required.
type Config struct {
	Home     ident.Home
	Sessions Sessions
	Tokens   Tokens
	Access   access.Decider
	// Certificate is asked at every handshake.
	Certificate Certificates
	Meter       Meter
	Log         *slog.Logger

	// Strict refuses every expired token. Otherwise an expired one stays good
	// on a connection that had accepted those same bytes for that session, and
	// for Grace after this server started, because stock clients cannot get
	// another one while they run.
	Strict bool
	// Grace is how long after a start expired tokens of sessions that are alive
	// are taken. Zero: not at all.
	Grace time.Duration
	// Hold is how long a call to a session that is still being made waits for
	// it, before the client is told to try again. Default 1 minute.
	Hold time.Duration
	// Drain is how long calls that are under way may go on once Run is told to
	// end. Default 2 seconds.
	Drain time.Duration
}

// Server is the proxy. Run serves.
type Server struct {
	cfg     Config
	judge   *judge
	routes  *routes
	admit   *admission
	strikes *strikes
	ping    pinging // of clients
}

// New returns a server that does nothing until Run. The grace of expired
// tokens is counted from here.
func New(cfg Config) *Server {
	cfg.Hold = cmp.Or(cfg.Hold, time.Minute)
	cfg.Drain = cmp.Or(cfg.Drain, 2*time.Second)
	return &Server{
		cfg:     cfg,
		judge:   &judge{tokens: cfg.Tokens, strict: cfg.Strict, started: time.Now(), grace: cfg.Grace},
		routes:  newRoutes(cfg.Sessions),
		admit:   newAdmission(cfg.Meter),
		strikes: newStrikes(),
		ping:    pinging{pingEvery, pingAnswer},
	}
}

// service is how the paths of Spark Connect's calls begin.
const service = "/spark.connect.SparkConnectService/"

// methods are the calls of Spark Connect 3.5. A driver serves others too, such
// as reflection, and they are nobody's business.
func known(method string) bool {
	switch method {
	case "ExecutePlan", "AnalyzePlan", "Config", "AddArtifacts", "ArtifactStatus", "Interrupt", "ReattachExecute", "ReleaseExecute":
		return true
	}
	return false
}

// ServeHTTP answers one call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusUnsupportedMediaType)
		_, _ = w.Write([]byte("Spark Connect is served here; its clients speak gRPC.\n")) // whoever has gone needs no answer
		return
	}
	grant, ok := s.authenticate(w, r)
	if !ok {
		return
	}
	method, ours := strings.CutPrefix(r.URL.Path, service)
	if !ours || !known(method) {
		fail(w, Unimplemented, "Method not found: "+strings.TrimPrefix(r.URL.Path, "/")) // as a 3.5 server says it
		s.cfg.Meter.Called("other", Unimplemented, 0)
		return
	}
	began := time.Now()
	code := s.call(w, r, grant)
	took := time.Since(began)
	s.cfg.Meter.Called(method, code, took)
	s.cfg.Log.LogAttrs(r.Context(), slog.LevelDebug, "connect call", slog.String("method", method), slog.String("session", grant.Session),
		slog.String("caller", grant.Who.ARN), slog.String("status", code.String()), slog.Duration("duration", took))
}
