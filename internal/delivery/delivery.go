// Package delivery carries what drivers write to where a session's monitoring
// says: the service's own log groups (managed logging), CloudWatch Logs and S3.
//
// A driver keeps the newest of each of its streams by itself (engine.Logger),
// whether or not a server is there. For every stream and every target there is
// a lane: it reads the stream from where the target has it, makes batches,
// hides credentials, and delivers one batch after the other. So each stream
// arrives in order, one target that is down holds up no other, and nothing
// piles up in memory: while a target takes nothing, its lane does not read.
//
// Where a lane goes on after a restart is kept with what was delivered: as a
// mark in the log stream, or in a file beside the name of the last object. A
// crash between delivering and keeping that repeats at most one batch.
package delivery

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"glaux/internal/access"
	"glaux/internal/ident"
	"glaux/internal/logs"
	"glaux/internal/session"
)

// Config is what a Manager stands on. Fields without a default are required.
type Config struct {
	Home ident.Home
	// Dir keeps how far deliveries to S3 have come, a file a session, and nothing
	// else is there. It is made when missing.
	Dir string
	// Managed takes the lines of managed logging, CloudWatch those of CloudWatch
	// logging; they may be the same.
	Managed, CloudWatch Groups
	// Objects takes the lines of S3 logging.
	Objects Objects
	// Access decides whether a session's execution role may write where its
	// monitoring says.
	Access access.Decider
	// Exists reports whether there is a session of the key, be it over. How far
	// its deliveries have come is kept for as long.
	Exists func(context.Context, session.Key) (bool, error)
	// Role is a session's execution role as a caller.
	Role func(session.Session) (access.Caller, error)
	// Secrets returns what must not appear in the logs of a session, besides the
	// secrets that its driver keeps. It may change while the session runs, and is
	// asked for once a second: what will be a secret within that is one already.
	Secrets func(session.Key) []string
	// Tokens are the beginnings of the service's own tokens.
	Tokens []string
	// EventLogs returns the directory of a session's Spark event logs. Nil, or an
	// empty name: there are none.
	EventLogs func(session.Key) string
	Log       *slog.Logger

	// Every is how long lines for S3 are gathered before they become an object,
	// unless there are enough of them. Default 1 minute.
	Every time.Duration
	// Keep is how long what a driver wrote is kept for a target that is down
	// after the driver's end. Default 24 hours.
	Keep time.Duration
}

// Groups is where lines go as log events: a logs.Store, or a client of
// CloudWatch Logs elsewhere. Its methods are safe for concurrent use. An error
// that wraps logs.ErrRefused is not mended by trying again.
type Groups interface {
	// EnsureGroup makes a log group unless it is there.
	EnsureGroup(ctx context.Context, group string) error
	// Append adds events to a stream and makes group and stream when they are
	// missing. The mark is kept with the last of them.
	Append(ctx context.Context, group, stream string, events []logs.Event, mark string) error
	// Mark returns the mark that was appended to the stream last, or nothing.
	Mark(ctx context.Context, group, stream string) (string, error)
}

// Objects is where lines go as objects. It is safe for concurrent use.
type Objects interface {
	// Resource returns the ARN on which access to an object is decided. The error
	// wraps a *RefusedError for what no object can be.
	Resource(uri string) (string, error)
	// Put writes one object and replaces what is there. The error wraps a
	// *RefusedError where trying again soon does not help.
	Put(ctx context.Context, o Object) error
}

// Object is one object to write.
type Object struct {
	URI         string // s3://bucket/key
	ContentType string
	Size        int64
	Body        io.ReadSeeker
	KMSKey      string // SSE-KMS with this key; empty: none asked for
}

// RefusedError says that a target will not take what it is given.
type RefusedError struct {
	Why string // for people, such as "the bucket does not exist"
	Err error
}

// Error says why.
func (e *RefusedError) Error() string {
	if e.Err == nil {
		return e.Why
	}
	return e.Why + ": " + e.Err.Error()
}

// Unwrap returns what the target said.
func (e *RefusedError) Unwrap() error { return e.Err }

// refusal says why an error will not go away soon; empty: it may.
func refusal(err error) string {
	if r, ok := errors.AsType[*RefusedError](err); ok {
		return r.Why
	}
	if errors.Is(err, logs.ErrRefused) {
		return "CloudWatch Logs refuses it"
	}
	return ""
}

// denial says why nothing may be written to a target.
func denial(err error) string {
	if why := refusal(err); why != "" {
		return why
	}
	return "the session's execution role may not write there"
}

func (c *Config) check() error {
	if c.Dir == "" || c.Managed == nil || c.CloudWatch == nil || c.Objects == nil || c.Access == nil || c.Exists == nil || c.Role == nil || c.Secrets == nil || c.Log == nil {
		return errors.New("cannot deliver logs: a required part is missing")
	}
	return nil
}

func (c *Config) fill() {
	if c.EventLogs == nil {
		c.EventLogs = func(session.Key) string { return "" }
	}
	if c.Every == 0 {
		c.Every = time.Minute
	}
	if c.Keep == 0 {
		c.Keep = 24 * time.Hour
	}
}
