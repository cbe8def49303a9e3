package connect

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"glaux/internal/access"
	"glaux/internal/engine"
	"glaux/internal/session"
)

// errEnding is why calls end when the server does.
var errEnding = errors.New("the server is ending")

// secretHeader carries a driver's secret.
const secretHeader = "X-Glaux-Session-Secret"

// maxForwarded bounds the metadata that goes to a driver, which takes 8 KiB,
// bytes as HTTP/2 counts them.
const maxForwarded = 7 << 10

// attempts is how often a call is sent to a driver whose connection turns out to
// be broken before anything of the call was read.
const attempts = 3

// verdict is how a call is answered that no driver answers.
type verdict struct {
	code Code
	text string
}

// call passes one call to its session's driver and returns how it ended.
func (s *Server) call(w http.ResponseWriter, r *http.Request, grant access.Grant) Code {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	key := session.Key(grant.Session)
	if v := s.mayCall(ctx, grant); v != nil {
		return v.answer(w)
	}
	if !linkOf(ctx).welcome(key) {
		s.cfg.Meter.Refused(TooMany)
		return (&verdict{ResourceExhausted, "session " + grant.Session + " has too many connections"}).answer(w)
	}
	header, ok := forwarded(r.Header)
	if !ok {
		return (&verdict{ResourceExhausted, "the call's metadata is too long"}).answer(w)
	}
	body := newSplicer(r.Body, identity(userOf(grant.Who), grant.Who.ARN))
	for n := 1; ; n++ {
		up, v := s.upstream(ctx, key)
		if v != nil {
			return v.answer(w)
		}
		header[secretHeader] = []string{up.secret}
		out := &http.Request{
			Method: http.MethodPost, URL: &url.URL{Scheme: "http", Host: "driver", Path: r.URL.Path},
			Header: header, Body: &attempt{splicer: body, src: r.Body}, ContentLength: -1,
		}
		in, err := up.RoundTrip(out.WithContext(ctx))
		if err == nil {
			return s.relay(ctx, w, in, body, up, key)
		}
		if n < attempts && ctx.Err() == nil && !body.touched.Load() && up.Err() != nil {
			continue // the connection had broken before; nothing of the call was sent
		}
		return s.failure(ctx, body, up, key, err).answer(w)
	}
}

// answer answers a call to which nothing was answered yet.
func (v *verdict) answer(w http.ResponseWriter) Code {
	if v.code != Canceled { // then nobody is there
		if v.code == Unimplemented {
			w.Header().Set("Grpc-Accept-Encoding", "identity")
		}
		fail(w, v.code, v.text)
	}
	return v.code
}

// mayCall looks at the session and asks whether the caller may use it; nil: yes.
func (s *Server) mayCall(ctx context.Context, grant access.Grant) *verdict {
	row, err := s.cfg.Sessions.Session(ctx, session.Key(grant.Session))
	switch {
	case errors.Is(err, session.ErrNotFound):
		return &verdict{FailedPrecondition, "Session not active: session " + grant.Session + " is not known any more."}
	case err != nil:
		return s.hiccup(ctx, "cannot read the session", err)
	case row.State == session.Ended || row.State == session.Stopping:
		return dead(&row)
	}
	// The caller's policy may have changed since the token was made.
	action, resource := "athena:GetSessionEndpoint", s.cfg.Home.Session(row.Workgroup, row.ID)
	if row.Face == session.Glue {
		action, resource = "glue:GetSessionEndpoint", s.cfg.Home.GlueSession(row.ID)
	}
	if err := s.cfg.Access.Decide(ctx, grant.Who, action, resource); err != nil {
		s.cfg.Meter.Refused(NotAllowed)
		return &verdict{PermissionDenied, err.Error()}
	}
	return nil
}

// dead is the verdict over calls to a session that has ended or is ending:
// final, because a client that tries again waits for nothing.
func dead(row *session.Session) *verdict {
	text := "Session not active: session " + row.ID + " is " + row.ShownState()
	if row.Reason != "" {
		text += ": " + row.Reason
	}
	return &verdict{FailedPrecondition, text}
}

// hiccup is the verdict over a call that could not be served now.
func (s *Server) hiccup(ctx context.Context, what string, err error) *verdict {
	switch {
	case errors.Is(context.Cause(ctx), errEnding):
		return &verdict{Unavailable, "the server is restarting"}
	case ctx.Err() != nil:
		return &verdict{Canceled, ""}
	}
	s.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "connect: "+what, slog.Any("cause", err))
	return &verdict{Unavailable, what + "; try again"}
}

// upstream returns the connection to a session's driver. It waits for a session
// that is still being made, for a bounded time.
func (s *Server) upstream(ctx context.Context, key session.Key) (upstream, *verdict) {
	hold, cancel := context.WithTimeout(ctx, s.cfg.Hold)
	defer cancel()
	up, err := s.routes.get(hold, key)
	switch {
	case err == nil:
		return up, nil
	case ctx.Err() == nil && hold.Err() != nil:
		return up, &verdict{Unavailable, "session " + string(key) + " is still being made; try again"}
	}
	return up, s.lost(ctx, key, err)
}

// How long a call waits for the record of its session's end: when its driver
// cannot be reached, and when the connection to the driver broke, which may be
// the first that is seen of an end.
const (
	endWithin   = 10 * time.Second
	breakWithin = 2 * time.Second
)

// lost is the verdict over a call whose driver cannot be reached: it does not
// serve Spark Connect, or its session has ended or is about to be found so.
func (s *Server) lost(ctx context.Context, key session.Key, err error) *verdict {
	if errors.Is(err, engine.ErrUnserved) || errors.Is(err, engine.ErrNoSecret) {
		return &verdict{FailedPrecondition, "Spark Connect did not start in session " + string(key) + ": " + err.Error()}
	}
	if gone(err) || errors.Is(err, engine.ErrNoReply) || errors.Is(err, io.ErrUnexpectedEOF) {
		if v := s.ended(ctx, key, endWithin); v != nil {
			return v
		}
	}
	return s.hiccup(ctx, "the session's driver cannot be reached", err)
}

// ended is the verdict over a call to a session that has ended, or is recorded
// as ended before long; nil: it is not.
func (s *Server) ended(ctx context.Context, key session.Key, within time.Duration) *verdict {
	over := func() *verdict {
		row, err := s.cfg.Sessions.Session(ctx, key)
		if err != nil || (row.State != session.Ended && row.State != session.Stopping) {
			return nil
		}
		return dead(&row)
	}
	// That its end was asked for is enough: it may take long to be recorded.
	if v := over(); v != nil {
		return v
	}
	wait, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	_ = s.cfg.Sessions.AwaitEnd(wait, key) // whatever came first, the record tells
	return over()
}

// failure is the verdict over a call that broke on its way.
func (s *Server) failure(ctx context.Context, body *splicer, up upstream, key session.Key, err error) *verdict {
	if ctx.Err() != nil {
		return s.hiccup(ctx, "", err)
	}
	switch bad := body.refusal(); {
	case bad == nil:
	case errors.Is(bad, errCompressed):
		return &verdict{Unimplemented, bad.Error()}
	case errors.Is(bad, errTooLong):
		return &verdict{ResourceExhausted, bad.Error()}
	default:
		return &verdict{InvalidArgument, bad.Error()}
	}
	if up.Err() == nil {
		return &verdict{Internal, "the driver ended the call without a status"}
	}
	// The connection broke: does the driver live?
	if v := s.ended(ctx, key, breakWithin); v != nil {
		return v
	}
	if _, v := s.upstream(ctx, key); v != nil {
		return v
	}
	return s.hiccup(ctx, "the connection to the session's driver broke", err)
}

// forwarded returns what of a call's metadata goes to the driver; ok is false
// when it is too much.
func forwarded(h http.Header) (out http.Header, ok bool) {
	out = maps.Clone(h)
	size := 512 // of what is added
	for name, values := range out {
		if ownHeader(name) {
			delete(out, name)
			continue
		}
		for _, v := range values {
			size += len(name) + len(v) + 32
		}
	}
	if out["User-Agent"] == nil {
		out["User-Agent"] = nil // net/http would claim to be one
	}
	return out, size <= maxForwarded
}

// ownHeader reports whether a header is between the client and us: credentials,
// what AWS's own proxy reads, and what only the driver and we may say.
func ownHeader(name string) bool {
	switch name {
	case "Authorization", "X-Aws-Force-H2", "Content-Length":
		return true
	}
	return strings.HasPrefix(name, "X-Aws-Proxy-") || strings.HasPrefix(name, "X-Glaux-")
}

// userOf is the user that a driver knows the caller as: the same for the same
// caller whatever its token. Spark makes a job tag of it, which must not hold
// a comma.
func userOf(who access.Caller) string {
	return strings.NewReplacer("%", "%25", ",", "%2C").Replace(who.ARN)
}

// pieceSize is how much is passed on at once, bytes.
const pieceSize = 128 << 10

// pieces are what results pass through.
var pieces = sync.Pool{New: func() any { return new([pieceSize]byte) }}

// relay passes the driver's answer on, as it comes.
func (s *Server) relay(ctx context.Context, w http.ResponseWriter, in *http.Response, body *splicer, up upstream, key session.Key) Code {
	defer in.Body.Close()
	h := w.Header()
	maps.Copy(h, in.Header)
	if h["Date"] == nil {
		h["Date"] = nil // net/http adds none then
	}
	if h["Content-Length"] == nil {
		h["Content-Length"] = nil // likewise
	}
	w.WriteHeader(in.StatusCode)
	if status := in.Header.Get(headerStatus); status != "" { // there is nothing but a status
		return codeOf(status)
	}
	out := http.NewResponseController(w)
	if out.Flush() != nil {
		return Canceled
	}
	buf := pieces.Get().(*[pieceSize]byte)
	defer pieces.Put(buf)
	for {
		n, err := in.Body.Read(buf[:])
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return Canceled // the client has gone
			}
			if out.Flush() != nil {
				return Canceled
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			code := Unknown
			for name, values := range in.Trailer {
				h[http.TrailerPrefix+name] = values
				if name == headerStatus && len(values) > 0 {
					code = codeOf(values[0])
				}
			}
			return code
		default:
			v := s.failure(ctx, body, up, key, err)
			failLate(w, v.code, v.text)
			return v.code
		}
	}
}
