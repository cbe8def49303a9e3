package session

import (
	"context"
	"time"

	"glaux/internal/access"
	"glaux/internal/engine"
	"glaux/internal/ident"
	"glaux/internal/workgroup"
)

// reserve makes the creation of a session: with the key of a driver that waits
// for one like it, if there is any, or else with a new key.
func (m *Manager) reserve(make func(key string) Creation) (c Creation, reserved bool) {
	c = make(ident.NewID())
	pool, ok := m.cfg.Launcher.(engine.Pool)
	if !ok {
		return c, false
	}
	spec, err := m.spec(c.Session)
	if err != nil {
		return c, false // its launch will say so
	}
	if key, ok := pool.Reserve(spec); ok {
		return make(string(key)), true
	}
	return c, false
}

// release gives back the key of a creation that made no session.
func (m *Manager) release(key Key) {
	if pool, ok := m.cfg.Launcher.(engine.Pool); ok {
		pool.Release(key)
	}
}

// Templates are the specs of sessions as workgroups declare them, each under a
// key that stands for those to come.
func (m *Manager) Templates(all []workgroup.Workgroup) []engine.Spec {
	var specs []engine.Spec
	for i := range all {
		w := &all[i]
		if w.State == workgroup.Disabled || !w.Config.Spark() {
			continue
		}
		c := m.creation(ident.NewID(), access.Caller{Account: w.Account}, Request{Workgroup: w.Name}, *w, nil, nil)
		if spec, err := m.spec(c.Session); err == nil {
			specs = append(specs, spec)
		}
	}
	return specs
}

// StartRecord says what the start of one session took.
type StartRecord struct {
	Face   Face
	Tier   engine.Tier
	Missed string        // why no driver was ready
	Queue  time.Duration // until a budget was found
	Launch time.Duration // until the launcher had a driver
	// From then on, as the driver's owner measured it; zero where that was
	// there before.
	Context, Attach time.Duration
	Total           time.Duration // from the request to IDLE
}

// started logs and counts the start of a session that has just become Idle.
func (v *serving) started(ctx context.Context) {
	r := StartRecord{
		Face: v.s.Face, Tier: v.origin.Tier, Missed: v.origin.Missed, Queue: v.queued, Launch: v.launched,
		Context: v.shows.Context, Attach: v.shows.Attached, Total: v.s.IdleSince.Sub(v.s.Created),
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	v.m.cfg.Log.InfoContext(ctx, "session started", "session", v.s.ID, "key", string(v.s.Key), "tier", string(r.Tier), "missed", r.Missed,
		"queue_ms", ms(r.Queue), "launch_ms", ms(r.Launch), "context_ms", ms(r.Context), "attach_ms", ms(r.Attach), "total_ms", ms(r.Total))
	if v.m.cfg.Observe != nil {
		v.m.cfg.Observe(r)
	}
}

// origin is where a session's driver came from.
func (m *Manager) origin(key Key) engine.Origin {
	if pool, ok := m.cfg.Launcher.(engine.Pool); ok {
		return pool.Origin(key)
	}
	return engine.Origin{Tier: engine.Cold}
}

// waitingFor is the StateChangeReason of a session whose driver is being started.
func waitingFor(o engine.Origin) string {
	switch {
	case o.Tier == engine.Warm:
		return ""
	case o.Tier == engine.Primed:
		return "The SparkContext is being made in a driver that was started before."
	case o.Missed == "":
		return "A driver is being started."
	}
	return "A driver is being started: " + o.Missed + "."
}
