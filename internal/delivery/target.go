package delivery

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"glaux/internal/engine"
	"glaux/internal/logs"
	"glaux/internal/session"
	"glaux/internal/workgroup"
)

// target is where one lane's lines go.
type target interface {
	kind() string  // managed, cloudwatch or s3
	place() string // for people
	// rights are what the execution role must be allowed; empty: nothing.
	rights() ([]right, error)
	// limits are how many bytes of lines make a batch, and how long fewer wait
	// for more.
	limits() (bytes int, wait time.Duration)
	// start makes ready for lines and returns where in the stream to go on.
	start(ctx context.Context) (int64, error)
	// put delivers a batch and keeps where to go on after it.
	put(ctx context.Context, b batch) error
}

// right is an action on a resource.
type right struct{ action, resource string }

// The kinds of targets.
const (
	kindManaged    = "managed"
	kindCloudWatch = "cloudwatch"
	kindS3         = "s3"
)

// groupTarget is a log stream.
type groupTarget struct {
	what          string
	to            Groups
	group, stream string
	allow         []right
	order         *order
	last          time.Time // of the stream's last event; whoever has the order's turn may use it
}

// order lets the streams of one session come to a log group in the order of
// time. Who follows a group asks for what is not older than the newest event
// that it has seen, and would miss what a slower stream brings later. Such
// lines are given the time of the newest event, unless they are much older:
// those are of a time when the target or the server was down.
type order struct {
	turn   chan struct{} // capacity 1: holds something while events are appended
	newest time.Time     // of what was appended; whoever has the turn may use it
}

// mostBehind is by how much the time of a line may be wrong for that.
const mostBehind = 2 * time.Second

func newOrder() *order { return &order{turn: make(chan struct{}, 1)} }

// executor is how a driver's stream is called in the names of log streams:
// Spark's own id of the driver, as AWS names streams by executors.
const executor = "driver"

func (f *following) streamName(s engine.LogSource) string {
	return f.s.ID + "/" + executor + "/" + string(s)
}

func (f *following) managed(s engine.LogSource) target {
	return &groupTarget{what: kindManaged, to: f.m.cfg.Managed, group: logs.ManagedGroup(f.s.Workgroup), stream: f.streamName(s), order: f.toManaged}
}

func (f *following) cloudWatch(c *workgroup.CloudWatchLogging, s engine.LogSource) target {
	t := &groupTarget{what: kindCloudWatch, to: f.m.cfg.CloudWatch, group: c.Group(f.s.Workgroup), stream: f.streamName(s), order: f.toCloud}
	if c.StreamPrefix != nil && *c.StreamPrefix != "" {
		t.stream = strings.TrimSuffix(*c.StreamPrefix, "/") + "/" + t.stream
	}
	if f.s.Face == session.Glue {
		t.group, t.stream = session.GlueLogGroup(s == engine.LogStderr), f.s.GlueLogStream()
	}
	home := f.m.cfg.Home
	t.allow = []right{
		{"logs:CreateLogGroup", home.LogGroup(t.group)},
		{"logs:CreateLogStream", home.LogGroup(t.group)},
		{"logs:PutLogEvents", home.LogStream(t.group, t.stream)},
	}
	return t
}

func (t *groupTarget) kind() string             { return t.what }
func (t *groupTarget) place() string            { return "log group " + t.group }
func (t *groupTarget) rights() ([]right, error) { return t.allow, nil }

// Lines are gathered for a moment only: who follows a log waits for them.
func (t *groupTarget) limits() (int, time.Duration) { return 512 << 10, 100 * time.Millisecond }

func (t *groupTarget) start(ctx context.Context) (int64, error) {
	if err := t.to.EnsureGroup(ctx, t.group); err != nil {
		return 0, err
	}
	mark, err := t.to.Mark(ctx, t.group, t.stream)
	if err != nil || mark == "" {
		return 0, err
	}
	at, err := strconv.ParseInt(mark, 10, 64)
	if err != nil || at < 0 {
		return 0, nil //nolint:nilerr // a mark of somebody else's: the stream begins anew
	}
	return at, nil
}

func (t *groupTarget) put(ctx context.Context, b batch) error {
	return t.append(ctx, b.lines, strconv.FormatInt(b.next, 10))
}

func (t *groupTarget) append(ctx context.Context, lines []line, mark string) error {
	select {
	case t.order.turn <- struct{}{}:
		defer func() { <-t.order.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	events := make([]logs.Event, len(lines))
	for i, l := range lines {
		if behind := t.order.newest.Sub(l.time); behind > 0 && behind <= mostBehind {
			l.time = t.order.newest
		}
		if l.time.Before(t.last) {
			l.time = t.last
		}
		t.last = l.time
		events[i] = logs.Event{Time: l.time, Message: l.text}
	}
	if t.last.After(t.order.newest) { // some may be there even where it fails
		t.order.newest = t.last
	}
	return t.to.Append(ctx, t.group, t.stream, events, mark)
}

// objectTarget is a prefix in S3, below which each batch is an object.
type objectTarget struct {
	f      *following
	source engine.LogSource
	dir    string // s3://bucket/prefix/, with the slash at the end
	kmsKey string
}

// below joins a log location and what comes below it, one slash between them.
func below(location, rest string) string { return strings.TrimSuffix(location, "/") + "/" + rest }

func (f *following) objects(c *workgroup.S3Logging, s engine.LogSource) target {
	t := &objectTarget{f: f, source: s, dir: below(*c.LogLocation, f.s.ID+"/"+workgroup.SparkDriver+"/"+string(s)+"/")}
	if c.KMSKey != nil {
		t.kmsKey = *c.KMSKey
	}
	return t
}

func (t *objectTarget) kind() string  { return kindS3 }
func (t *objectTarget) place() string { return t.dir }

// rights are to write the first object; the others are called much the same.
func (t *objectTarget) rights() ([]right, error) {
	resource, err := t.f.m.cfg.Objects.Resource(t.uri(0))
	return []right{{"s3:PutObject", resource}}, err
}

// uri names the object that begins at an offset of the stream: the names are in
// order, and a batch that is delivered twice replaces itself.
func (t *objectTarget) uri(at int64) string { return fmt.Sprintf("%s%016d.gz", t.dir, at) }

func (t *objectTarget) limits() (int, time.Duration) { return 4 << 20, t.f.m.cfg.Every }

func (t *objectTarget) start(context.Context) (int64, error) {
	return t.f.at.offset(string(t.source))
}

func (t *objectTarget) put(ctx context.Context, b batch) error {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	var err error
	for _, l := range b.lines {
		_, lerr := z.Write(append([]byte(l.text), '\n'))
		err = errors.Join(err, lerr)
	}
	if err = errors.Join(err, z.Close()); err != nil {
		return fmt.Errorf("cannot pack lines: %w", err)
	}
	err = t.f.m.cfg.Objects.Put(ctx, Object{
		URI: t.uri(b.from), ContentType: "application/gzip", Size: int64(packed.Len()), Body: bytes.NewReader(packed.Bytes()), KMSKey: t.kmsKey,
	})
	if err != nil {
		return err
	}
	return t.f.at.update(func(p *positionFile) { p.Offsets[string(t.source)] = b.next })
}

// allowed asks whether the session's execution role may write to the target.
func (f *following) allowed(ctx context.Context, to target) error {
	rights, err := to.rights()
	if err != nil || len(rights) == 0 {
		return err
	}
	who, err := f.m.cfg.Role(f.s)
	if err != nil {
		return err
	}
	for _, r := range rights {
		if err := f.m.cfg.Access.Decide(ctx, who, r.action, r.resource); err != nil {
			return err
		}
	}
	return nil
}

// notice tells whoever reads the session's managed logs what does not arrive
// elsewhere.
func (f *following) notice(ctx context.Context, of target, text string) {
	if !f.s.Monitoring.ManagedLogs() {
		return
	}
	to := &groupTarget{to: f.m.cfg.Managed, group: logs.ManagedGroup(f.s.Workgroup), stream: f.s.ID + "/delivery", order: f.toManaged}
	if err := to.append(ctx, []line{{time.Now(), "Logs cannot be delivered to " + of.place() + ": " + text + "."}}, ""); err != nil {
		f.m.cfg.Log.WarnContext(ctx, "cannot note that logs are not delivered", "session", string(f.s.Key), "cause", err)
	}
}
