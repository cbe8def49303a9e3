package calc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"glaux/internal/access"
	"glaux/internal/cell"
	"glaux/internal/engine"
	"glaux/internal/fault"
	"glaux/internal/ident"
	"glaux/internal/session"
)

// Times within a calculation's life, and a number.
const (
	// retryEvery is how long a step waits before it is tried again.
	retryEvery = 100 * time.Millisecond
	// windDown is how long a step that has begun may go on once Run was told to end.
	windDown = 5 * time.Second
	// readersMay is how long the output of an ended calculation is kept in the
	// driver for those who still follow it.
	readersMay = time.Minute
	// leftovers is how many of the last calculations a server that has just
	// started has a look at; an earlier one may have left something of them.
	leftovers = 200
)

// Config is what a Manager stands on. Fields without a default are required.
type Config struct {
	Home     ident.Home
	Store    Store
	Sessions Sessions
	Access   access.Decider
	Objects  Objects
	Log      *slog.Logger

	// FinishTimeout is how long writing a result is tried again before the
	// calculation fails for it. Default 2 minutes.
	FinishTimeout time.Duration
	// TakeTimeout is how long the driver may refuse to take a calculation
	// before that fails. Default 30 s.
	TakeTimeout time.Duration
	// Patience is for how long Get and GetStatus hold back that a calculation is
	// not over yet, because clients that ask without a pause take the processor
	// from it. Default: not at all.
	Patience time.Duration
}

// Sessions is what calculations ask of sessions; session.Manager has it.
type Sessions interface {
	// Find returns the caller's session after asking whether the caller may do action.
	Find(ctx context.Context, who access.Caller, action, id string) (session.Session, error)
	// Session returns the session of the key, for its own server's use.
	Session(ctx context.Context, key session.Key) (session.Session, error)
	// Runner returns what runs code in the session, or engine.ErrGone.
	Runner(ctx context.Context, key session.Key) (engine.Runner, error)
	// Tasks returns the Spark tasks of a cell as last seen.
	Tasks(key session.Key, cell engine.CellID) engine.Tasks
	// AwaitEnd returns once the session is recorded as ended.
	AwaitEnd(ctx context.Context, key session.Key) error
}

// Objects is where results are kept. Its methods are safe for concurrent use.
type Objects interface {
	// Put asks whether the session's role may write the object, and writes it
	// and replaces what is there. Nothing of it can be
	// read before all of it can. The error wraps a *cell.RefusedError where trying
	// again does not help.
	Put(ctx context.Context, o cell.Object) error
	// Get reads an object from offset to its end.
	Get(ctx context.Context, uri string, offset int64) (io.ReadCloser, error)
}

// Manager runs calculations. Run owns everything that goes on by itself; the
// other methods may be called before it and at any time.
type Manager struct {
	cfg Config

	wake      chan struct{} // capacity 1: queue has something
	recovered chan struct{} // closed once every calculation that ran before is in jobs

	mu    sync.Mutex // guards what follows; nothing is called out to under it
	jobs  map[string]*job
	queue []*job // begun, not yet served
	over  bool   // Run was told to end: no new calculations
}

// job is one calculation that is not over.
type job struct {
	id      string
	session session.Key
	dpus    int // of the session's driver; metering
	cell    engine.Cell
	place   place
	created time.Time // when this server began to look after it

	cancel  chan struct{} // capacity 1: its end was asked for
	taken   chan struct{} // closed once the driver has it, or never will
	settled chan struct{} // closed once nothing needs the driver for it any more

	mu      sync.Mutex // guards what follows
	state   State
	begun   time.Time     // when the driver took it; zero before
	readers int           // how many follow its output
	left    chan struct{} // capacity 1: a reader left
}

// New returns a manager that does nothing until Run.
func New(cfg Config) (*Manager, error) {
	if cfg.Store == nil || cfg.Sessions == nil || cfg.Access == nil || cfg.Objects == nil || cfg.Log == nil {
		return nil, errors.New("cannot manage calculations: a required part is missing")
	}
	if cfg.FinishTimeout == 0 {
		cfg.FinishTimeout = 2 * time.Minute
	}
	if cfg.TakeTimeout == 0 {
		cfg.TakeTimeout = 30 * time.Second
	}
	return &Manager{
		cfg:       cfg,
		wake:      make(chan struct{}, 1),
		recovered: make(chan struct{}),
		jobs:      map[string]*job{},
	}, nil
}

// Run goes on with every calculation that an earlier server left, then serves
// new ones until ctx ends, and returns once nothing of it goes on any more.
// Calculations run on in their drivers: the next server takes their results.
// It is called once, and runs beside the Run of the session manager.
func (m *Manager) Run(ctx context.Context) error {
	// A result that is being written outlives ctx for a bounded time: work
	// ends windDown after ctx, or with Run.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		m.close()
		time.AfterFunc(windDown, cancel)
	})()

	if err := m.recover(ctx); err != nil {
		return nil // ctx ended first
	}
	var serving sync.WaitGroup
	defer serving.Wait()
	serving.Go(func() { m.discardLeftovers(ctx) })
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.wake:
			for _, j := range m.take() {
				serving.Go(func() { m.serve(ctx, work, j) })
			}
		}
	}
}

// recover queues every calculation that is not over.
func (m *Manager) recover(ctx context.Context) error {
	var rows []Calculation
	err := cell.Retry(ctx, m.cfg.Log, "list calculations", func() (err error) {
		rows, err = m.cfg.Store.Calculations(ctx, Query{States: unfinished()})
		return err
	})
	if err != nil {
		return err
	}
	for _, c := range rows {
		var s session.Session
		gone := false
		err := cell.Retry(ctx, m.cfg.Log, "read calculation", func() (err error) {
			if c, err = m.cfg.Store.Calculation(ctx, c.Account, c.ID); err == nil { // with its code
				s, err = m.cfg.Sessions.Session(ctx, c.Session)
			}
			if errors.Is(err, ErrNotFound) || errors.Is(err, session.ErrNotFound) {
				gone, err = true, nil // removed since it was listed
			}
			return err
		})
		if err != nil {
			return err
		}
		if !gone {
			m.begin(c, s)
		}
	}
	close(m.recovered)
	return nil
}

// discardLeftovers drops what drivers keep of calculations whose end an
// earlier server recorded, but which it did not live to discard. Those are
// among the last that ended before it went.
func (m *Manager) discardLeftovers(ctx context.Context) {
	ended, err := m.cfg.Store.Calculations(ctx, Query{States: []State{Completed, Failed, Canceled}, Limit: leftovers})
	if err != nil {
		m.cfg.Log.WarnContext(ctx, "cannot look for what is left of ended calculations", "err", err)
		return
	}
	for i := range ended {
		s, err := m.cfg.Sessions.Session(ctx, ended[i].Session)
		if err != nil || s.State == session.Ended {
			continue // with its session, all of it goes
		}
		r, err := m.cfg.Sessions.Runner(ctx, s.Key)
		if err == nil {
			err = r.Discard(ctx, engine.CellID(ended[i].ID))
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !errors.Is(err, engine.ErrGone) && !errors.Is(err, engine.ErrNoCell):
			m.cfg.Log.WarnContext(ctx, "cannot discard what is kept of an ended cell", "calculation", ended[i].ID, "err", err)
		}
	}
}

// begin makes the manager look after a calculation, unless it does already.
func (m *Manager) begin(c Calculation, s session.Session) {
	m.mu.Lock()
	if _, ok := m.jobs[c.ID]; ok || c.State.Terminal() {
		m.mu.Unlock()
		return
	}
	j := &job{
		id: c.ID, session: c.Session, dpus: s.DPUs,
		cell: engine.Cell{ID: engine.CellID(c.ID), Code: c.Code},
		place: place{
			dir: c.WorkingDir, encryption: s.Encryption, key: s.KMSKey,
			session: s.Key, role: access.Executor{SessionID: s.ID, Workgroup: s.Workgroup, RoleARN: s.ExecutionRole},
		},
		state:   c.State,
		created: time.Now(),
		cancel:  make(chan struct{}, 1),
		taken:   make(chan struct{}),
		settled: make(chan struct{}),
		left:    make(chan struct{}, 1),
	}
	switch c.State {
	case Canceling:
		cell.Poke(j.cancel)
	case Running: // under an earlier server; since when exactly only the driver knows
		j.begun = j.created.Add(-max(0, j.created.Sub(c.Submitted)))
	case Creating, Created, Queued, Completed, Failed, Canceled:
	}
	m.jobs[c.ID] = j
	m.queue = append(m.queue, j)
	m.mu.Unlock()
	cell.Poke(m.wake)
}

func (m *Manager) take() []*job {
	m.mu.Lock()
	defer m.mu.Unlock()
	q := m.queue
	m.queue = nil
	return q
}

func (m *Manager) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.over = true
}

func (m *Manager) open() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.over {
		return fault.New(fault.Internal, "cannot start: the server is stopping")
	}
	return nil
}

func (m *Manager) job(id string) *job {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.jobs[id]
}

func (m *Manager) drop(j *job) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.jobs, j.id)
}

// Settle implements session.Work: it returns once the results of the session's
// calculations are kept, so that what its driver left behind can be removed.
func (m *Manager) Settle(ctx context.Context, key session.Key) error {
	select {
	case <-m.recovered:
	case <-ctx.Done():
		return ctx.Err()
	}
	m.mu.Lock()
	var of []*job
	for _, j := range m.jobs {
		if j.session == key {
			of = append(of, j)
		}
	}
	m.mu.Unlock()
	for _, j := range of {
		select {
		case <-j.settled:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// move takes the job's live state through one event, where its state has it.
func (j *job) move(e Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if to, err := j.state.Next(e); err == nil {
		j.state = to
	}
	if e == Taken && j.begun.IsZero() {
		j.begun = time.Now()
	}
}

// internal marks a failure of the store, which the caller is not shown.
func internal(what string, err error) error { return fmt.Errorf("cannot %s: %w", what, err) }
