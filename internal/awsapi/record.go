package awsapi

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"glaux/internal/access"
)

// Record says what became of one request. It is complete once the reply has
// been written.
type Record struct {
	ID        string        // request id, also in the reply's x-amzn-RequestId
	Service   string        // signing name; empty when the request named none we know
	Operation string        // empty when unknown
	Caller    access.Caller // zero before authentication
	Remote    string        // address of the peer
	Status    int           // HTTP status
	Code      string        // exception name; empty on success
	Start     time.Time     // when the request reached the dispatcher
	Duration  time.Duration // until the reply was written
	BytesIn   int64         // body of the request
	BytesOut  int64         // body of the reply
	Cause     error         // what the caller is not told; nil if there is nothing more

	mu    sync.Mutex
	attrs []slog.Attr // added by Annotate; guarded by mu
}

// Observer learns of every finished request, for metrics. Observe must not
// block and must not keep the record.
type Observer interface {
	Observe(*Record)
}

// recordKey is the context key of the request's *Record.
type recordKey struct{}

// RequestID returns the id of the request that ctx belongs to, or "".
func RequestID(ctx context.Context) string {
	if r, ok := ctx.Value(recordKey{}).(*Record); ok {
		return r.ID
	}
	return ""
}

// Annotate adds attributes to the log record of the request that ctx belongs
// to. Outside a request it does nothing.
func Annotate(ctx context.Context, attrs ...slog.Attr) {
	r, ok := ctx.Value(recordKey{}).(*Record)
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attrs = append(r.attrs, attrs...)
}

// Authenticator tells who sent a request.
type Authenticator interface {
	// Authenticate verifies the request's signature over the body for the
	// service (a signing name). It fails with a fault of kind Unauthorized
	// whose code names the exception, such as InvalidSignatureException. It
	// is safe for concurrent use.
	Authenticate(r *http.Request, body []byte, service string) (access.Caller, error)
}

// Options are what a dispatcher needs besides its operations.
type Options struct {
	Authenticator Authenticator
	Log           *slog.Logger // receives one record per request
	Observer      Observer     // nil: nobody
	MaxBody       int64        // longest request body in bytes; zero: DefaultMaxBody
	// BodyTime is how long a request body may take to arrive. Zero: a minute.
	BodyTime time.Duration
}

// defaultBodyTime is far more than a body of DefaultMaxBody needs on any
// network that a person would work over.
const defaultBodyTime = time.Minute

// bodyTime returns BodyTime or its default.
func (o *Options) bodyTime() time.Duration {
	if o.BodyTime == 0 {
		return defaultBodyTime
	}
	return o.BodyTime
}

// DefaultMaxBody is the longest request body accepted unless configured. It
// holds the largest member of either model, ImportNotebook's 10 MiB payload,
// with room for JSON escapes.
const DefaultMaxBody = 16 << 20

// finish completes the record, hands it to the observer and logs it.
func (o *Options) finish(ctx context.Context, r *Record) {
	r.Duration = time.Since(r.Start)
	if o.Observer != nil {
		o.Observer.Observe(r)
	}
	level := slog.LevelInfo
	if r.Status >= http.StatusInternalServerError && r.Status != http.StatusNotImplemented {
		level = slog.LevelError
	}
	if !o.Log.Enabled(ctx, level) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	attrs := make([]slog.Attr, 0, 12+len(r.attrs))
	attrs = append(attrs,
		slog.String("request", r.ID),
		slog.String("service", r.Service),
		slog.String("operation", r.Operation),
		slog.String("caller", r.Caller.ARN),
		slog.String("remote", r.Remote),
		slog.Int("status", r.Status),
		slog.Duration("duration", r.Duration),
		slog.Int64("in", r.BytesIn),
		slog.Int64("out", r.BytesOut),
	)
	if r.Code != "" {
		attrs = append(attrs, slog.String("code", r.Code))
	}
	if r.Cause != nil {
		attrs = append(attrs, slog.String("cause", r.Cause.Error()))
	}
	attrs = append(attrs, r.attrs...)
	o.Log.LogAttrs(ctx, level, "request", attrs...)
}
