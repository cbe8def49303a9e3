package access

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// Decision is one audit entry.
type Decision struct {
	Who      Caller
	Action   string // such as athena:StartSession
	Resource string // ARN or "*"
	Allowed  bool
	Time     time.Time
}

// Auditor receives every decision. Audit must not block and must be safe for
// concurrent use.
type Auditor interface {
	Audit(ctx context.Context, d Decision)
}

// AuditLog is an Auditor that writes decisions to a logger: refusals at level
// warn, permissions at level debug. Entries wait in a bounded queue for Run,
// so that a slow log never holds up a request; what finds the queue full is
// counted and reported instead.
type AuditLog struct {
	log   *slog.Logger
	queue chan Decision
	lost  atomic.Int64
}

// auditQueue is how many entries wait at most.
const auditQueue = 4096

// NewAuditLog returns an audit log that writes once Run is called.
func NewAuditLog(log *slog.Logger) *AuditLog {
	return &AuditLog{log: log, queue: make(chan Decision, auditQueue)}
}

// level says how loud a decision is.
func (d Decision) level() slog.Level {
	if d.Allowed {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

// Audit queues the entry if the logger wants it.
func (l *AuditLog) Audit(ctx context.Context, d Decision) {
	if !l.log.Enabled(ctx, d.level()) {
		return
	}
	select {
	case l.queue <- d:
	default:
		l.lost.Add(1)
	}
}

// Run writes entries until ctx ends, then what is queued by then.
func (l *AuditLog) Run(ctx context.Context) error {
	for {
		select {
		case d := <-l.queue:
			l.write(ctx, d)
		case <-ctx.Done():
			for {
				select {
				case d := <-l.queue:
					l.write(ctx, d)
				default:
					return nil
				}
			}
		}
	}
}

func (l *AuditLog) write(ctx context.Context, d Decision) {
	l.log.LogAttrs(ctx, d.level(), "access decision",
		slog.Bool("allowed", d.Allowed),
		slog.String("caller", d.Who.ARN),
		slog.String("key", d.Who.AccessKeyID),
		slog.String("action", d.Action),
		slog.String("resource", d.Resource),
		slog.Time("at", d.Time),
	)
	if n := l.lost.Swap(0); n > 0 {
		l.log.LogAttrs(ctx, slog.LevelWarn, "audit entries lost: the log is too slow", slog.Int64("entries", n))
	}
}
