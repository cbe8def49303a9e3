package delivery

import (
	"context"
	"errors"
	"sync"
	"time"

	"glaux/internal/engine"
	"glaux/internal/session"
	"glaux/internal/workgroup"
)

// following is one session whose driver is followed.
type following struct {
	m     *Manager
	s     session.Session
	d     engine.Driver
	at    *positions
	hide  *redactor
	given secrets

	toManaged, toCloud *order

	lanes  []*lane
	events *eventLane // nil: none

	over   sync.Once
	goneAt time.Time     // when the session ended; set before gone is closed
	gone   chan struct{} // closed once the driver is gone
	done   chan struct{} // closed once every lane is
}

// follow says what is to be delivered for a session.
func (m *Manager) follow(s session.Session, d engine.Driver) *following {
	f := &following{
		m: m, s: s, d: d, at: newPositions(m.cfg.Dir, s.Key), hide: newRedactor(m.cfg.Tokens), toManaged: newOrder(), toCloud: newOrder(),
		gone: make(chan struct{}), done: make(chan struct{}),
	}
	mon := s.Monitoring
	var cloud *workgroup.CloudWatchLogging
	var s3 *workgroup.S3Logging
	if mon != nil && mon.CloudWatch != nil && mon.CloudWatch.Enabled {
		cloud = mon.CloudWatch
	}
	if mon != nil && mon.S3 != nil && mon.S3.Enabled && mon.S3.LogLocation != nil {
		s3 = mon.S3
	}
	for _, source := range []engine.LogSource{engine.LogStdout, engine.LogStderr} {
		// As on AWS: with S3 logging on, what processes write goes there instead
		// of into managed logging.
		if mon.ManagedLogs() && s3 == nil {
			f.lane(source, f.managed(source))
		}
		if cloud != nil && cloud.Wants(workgroup.SparkDriver, typeOf(source)) {
			f.lane(source, f.cloudWatch(cloud, source))
		}
		if s3 != nil && s.Face != session.Glue { // whose location is the event log's alone
			f.lane(source, f.objects(s3, source))
		}
	}
	if dir := m.cfg.EventLogs(s.Key); s3 != nil && dir != "" {
		f.events = newEventLane(f, s3, dir)
	}
	return f
}

// typeOf names a stream as LogTypes does.
func typeOf(s engine.LogSource) string {
	if s == engine.LogStdout {
		return workgroup.LogStdout
	}
	return workgroup.LogStderr
}

func (f *following) lane(source engine.LogSource, to target) {
	f.lanes = append(f.lanes, &lane{f: f, source: source, to: to, log: f.m.cfg.Log.With("session", string(f.s.Key), "stream", string(source), "target", to.kind())})
}

// serve runs every lane to its end, or until ctx ends.
func (f *following) serve(ctx context.Context) {
	driver, ok := f.d.(engine.Logger)
	if !ok {
		close(f.done)
		return
	}
	f.hideSecrets(ctx)
	var lanes sync.WaitGroup
	for _, l := range f.lanes {
		lanes.Go(func() { l.serve(ctx, driver) })
	}
	if f.events != nil {
		lanes.Go(func() { f.events.serve(ctx) })
	}
	lanes.Wait()
	if ctx.Err() == nil {
		close(f.done)
	}
}

// secretsWithin bounds how long a driver may take to say its secrets.
const secretsWithin = 5 * time.Second

// hideSecrets makes the lanes hide what the session's driver keeps secret.
// What the service gave the session meanwhile is asked for with every batch.
func (f *following) hideSecrets(ctx context.Context) {
	keeper, ok := f.d.(engine.Keeper)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, secretsWithin)
	defer cancel()
	for _, service := range []engine.Service{engine.Connect, engine.UI} {
		secret, err := keeper.Secret(ctx, service)
		switch {
		case err == nil:
			f.hide.always(secret)
		case errors.Is(err, engine.ErrNoSecret), errors.Is(err, engine.ErrGone), ctx.Err() != nil:
		default:
			f.m.cfg.Log.WarnContext(ctx, "cannot ask a driver for a secret to hide", "session", string(f.s.Key), "cause", err)
		}
	}
}

// isGone tells the lanes that the driver is gone. What it wrote is kept from
// the session's end on, whichever server saw that.
func (f *following) isGone() {
	f.over.Do(func() {
		if f.goneAt = f.s.EndedAt; f.goneAt.IsZero() {
			f.goneAt = time.Now()
		}
		close(f.gone)
	})
}

// hasGone reports whether they were told.
func (f *following) hasGone() bool {
	select {
	case <-f.gone:
		return true
	default:
		return false
	}
}
