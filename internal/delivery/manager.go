package delivery

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"glaux/internal/engine"
	"glaux/internal/session"
)

// Manager delivers the logs of sessions. Run owns everything that goes on by
// itself; the other methods may be called before it and at any time.
type Manager struct {
	cfg  Config
	wake chan struct{} // capacity 1: queue has something
	sum  tally

	mu    sync.Mutex // guards what follows; nothing is called out to under it
	known map[session.Key]*following
	queue []*following // attended, not yet served
}

// New returns a manager that does nothing until Run.
func New(cfg Config) (*Manager, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg.fill()
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the directory of deliveries: %w", err)
	}
	return &Manager{cfg: cfg, wake: make(chan struct{}, 1), known: map[session.Key]*following{}, sum: newTally()}, nil
}

// sweepEvery is how often files of sessions that are no more are looked for,
// and staleFile how old those are by then.
const (
	sweepEvery = time.Hour
	staleFile  = 48 * time.Hour
)

// Run delivers until ctx ends, and returns once nothing of it goes on any more.
// What was not delivered by then is in the drivers, for the next server. It is
// called once, and runs beside the Run of the session manager.
func (m *Manager) Run(ctx context.Context) error {
	var serving sync.WaitGroup
	defer serving.Wait()
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	m.sweep(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.wake:
			for _, f := range m.take() {
				serving.Go(func() { f.serve(ctx) })
			}
		case <-sweep.C:
			m.sweep(ctx)
		}
	}
}

func (m *Manager) take() []*following {
	m.mu.Lock()
	defer m.mu.Unlock()
	q := m.queue
	m.queue = nil
	return q
}

// Attend implements session.Attendant: it begins to deliver what the session's
// driver writes and wrote, and returns at once.
func (m *Manager) Attend(s session.Session, d engine.Driver) {
	f := m.follow(s, d)
	m.mu.Lock()
	_, already := m.known[s.Key]
	if !already {
		m.known[s.Key] = f
		m.queue = append(m.queue, f)
	}
	m.mu.Unlock()
	if !already {
		select {
		case m.wake <- struct{}{}:
		default:
		}
	}
}

func (m *Manager) following(key session.Key) *following {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.known[key]
}

// Flush implements session.Attendant: it is told that the session's driver is
// gone, and returns once all that it wrote has been delivered or never will be,
// or with the error of ctx.
func (m *Manager) Flush(ctx context.Context, key session.Key) error {
	f := m.following(key)
	if f == nil {
		return nil
	}
	f.isGone()
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Settle implements session.Work: it returns once nothing of the session's
// driver is needed for its logs any more.
func (m *Manager) Settle(ctx context.Context, key session.Key) error {
	if err := m.Flush(ctx, key); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.known, key)
	return nil
}

// sweep removes the files of sessions that are no more, and what a server that
// was killed left behind.
func (m *Manager) sweep(ctx context.Context) {
	entries, err := os.ReadDir(m.cfg.Dir)
	if err != nil {
		m.cfg.Log.WarnContext(ctx, "cannot look for files of old deliveries", "cause", err)
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || time.Since(info.ModTime()) < staleFile {
			continue
		}
		if key, ok := strings.CutSuffix(e.Name(), positionSuffix); ok {
			exists, err := m.cfg.Exists(ctx, session.Key(key))
			if err != nil {
				m.cfg.Log.WarnContext(ctx, "cannot ask for the session of an old delivery", "session", key, "cause", err)
				return
			}
			if exists {
				continue
			}
		}
		if err := os.Remove(filepath.Join(m.cfg.Dir, e.Name())); err != nil {
			m.cfg.Log.WarnContext(ctx, "cannot remove the file of an old delivery", "cause", err)
		}
	}
}
