package session

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"glaux/internal/engine"
	"glaux/internal/fault"
)

// sweepEvery is how often ended sessions are looked through for those whose
// retention is over.
const sweepEvery = time.Hour

// retryEvery is how long a step waits before it is tried again because the
// store or the launcher could not be used.
const retryEvery = 250 * time.Millisecond

// windDown is how long a step that has begun may go on once Run was told to end.
const windDown = 5 * time.Second

// Manager starts, watches and ends sessions. Run owns everything that goes on
// by itself; the other methods may be called before it and at any time.
type Manager struct {
	cfg  Config
	work []Work

	wake   chan struct{} // capacity 1: queue has something
	ledger *ledger
	look   chan struct{} // capacity 1: a session that waits may have its place now

	recovered chan struct{} // closed once every driver that ran before is in live

	drained chan struct{} // closed once no session is made any more

	mu     sync.Mutex // guards what follows; nothing is called out to under it
	live   map[Key]*entry
	queue  []*entry // begun, not yet served
	making int      // calls of Start that may still make a session
	closed bool     // Run was told to end: no new sessions
}

// entry is a session, or what is left of one, that this server looks after.
type entry struct {
	key   Key
	found *engine.Handle // as the launcher listed it; nil: it did not
	kick  chan struct{}  // capacity 1: look at the row again
	known chan struct{}  // closed once driver or err is set
	ended chan struct{}  // closed once the session is recorded as ended
	gone  chan struct{}  // closed once nothing is left to look after

	driver engine.Driver // set before known is closed
	err    error         // why there is no driver; set before known is closed

	mu     sync.Mutex    // guards what follows
	status engine.Status // last seen
	cell   engine.CellID // the last cell seen to run
	tasks  engine.Tasks  // its tasks as last seen
	life   span
}

// span measures how long a driver has lived, on the monotonic clock from when
// it was first seen here: a clock that is set bills nobody.
type span struct {
	seen   time.Time     // zero: not yet
	before time.Duration // how long it had lived then
}

// alive notes that the session's driver runs, once.
func (e *entry) alive(s *Session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !s.Spawned.IsZero() && e.life.seen.IsZero() {
		e.life.seen = time.Now()
		e.life.before = max(0, e.life.seen.Sub(s.Spawned))
	}
}

// lived is how long the session's driver has lived; zero when that is not known.
func (e *entry) lived() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.life.seen.IsZero() {
		return 0
	}
	return e.life.before + time.Since(e.life.seen)
}

// New returns a manager that does nothing until Run.
func New(cfg Config) (*Manager, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg.fill()
	return &Manager{
		cfg:       cfg,
		wake:      make(chan struct{}, 1),
		ledger:    newLedger(cfg.Budgets, memoryRule{cfg.ReserveMiB, cfg.HeadroomMiB}),
		look:      make(chan struct{}, 1),
		recovered: make(chan struct{}),
		drained:   make(chan struct{}),
		live:      map[Key]*entry{},
	}, nil
}

// Attach says what runs inside the sessions or beside their drivers. It is
// called once, before Run.
func (m *Manager) Attach(works ...Work) { m.work = works }

// attend tells who wants to know of a driver.
func (m *Manager) attend(s Session, d engine.Driver) {
	for _, w := range m.work {
		if a, ok := w.(Attendant); ok {
			a.Attend(s, d)
		}
	}
}

// crashFlush is how long the end of a session that nobody asked for waits for
// its logs: who uses it should hear of the end.
const crashFlush = 2 * time.Second

// flush waits for what a driver that is gone wrote to be where it belongs.
func (m *Manager) flush(ctx context.Context, s *Session) {
	most := m.cfg.FlushTimeout
	if s.Desired != Ended {
		most = min(most, crashFlush)
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for _, w := range m.work {
		a, ok := w.(Attendant)
		if !ok {
			continue
		}
		if err := a.Flush(ctx, s.Key); err != nil {
			m.cfg.Log.WarnContext(ctx, "a session ends before all its logs have arrived", "session", string(s.Key), "waited", most)
		}
	}
}

// Run takes over every session and driver that an earlier server left, then
// looks after sessions until ctx ends, and returns once nothing of it goes on
// any more. Sessions live on: the next server adopts them. It is called once.
func (m *Manager) Run(ctx context.Context) error {
	// Steps that have begun, such as the write that records an end, outlive
	// ctx for a bounded time: work ends windDown after ctx, or with Run.
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
	serving.Go(func() { m.serveQueue(ctx) })
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	m.sweep(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.wake:
			for _, e := range m.take() {
				serving.Go(func() { m.serve(ctx, work, e) })
			}
		case <-sweep.C:
			m.sweep(ctx)
		}
	}
}

// recover queues every live session and every driver there is.
func (m *Manager) recover(ctx context.Context) error {
	defer close(m.recovered)
	// Drivers first: a driver that is listed has had its row for longer.
	var handles []engine.Handle
	err := m.retry(ctx, "list drivers", func() (err error) {
		handles, err = m.cfg.Launcher.List(ctx)
		return err
	})
	if err != nil {
		return err
	}
	var rows []Session
	err = m.retry(ctx, "list sessions", func() (err error) {
		rows, err = m.cfg.Store.Sessions(ctx, Query{States: live()})
		return err
	})
	if err != nil {
		return err
	}
	m.ledger.load(slices.Clone(rows), time.Now())
	for i := range handles {
		m.begin(handles[i].Key, &handles[i])
	}
	for i := range rows {
		m.begin(rows[i].Key, nil)
	}
	if n := len(rows); n > 0 || len(handles) > 0 {
		m.cfg.Log.InfoContext(ctx, "taking over sessions", "sessions", n, "drivers", len(handles))
	}
	return nil
}

// begin makes the manager look after a session, unless it does already.
func (m *Manager) begin(key Key, found *engine.Handle) {
	m.mu.Lock()
	if e, ok := m.live[key]; ok {
		if found != nil && e.found == nil { // only recover has any, before anybody is served
			e.found = found
		}
		m.mu.Unlock()
		return
	}
	e := &entry{
		key: key, found: found,
		kick:  make(chan struct{}, 1),
		known: make(chan struct{}),
		ended: make(chan struct{}),
		gone:  make(chan struct{}),
	}
	m.live[key] = e
	m.queue = append(m.queue, e)
	m.mu.Unlock()
	poke(m.wake)
}

func (m *Manager) take() []*entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	q := m.queue
	m.queue = nil
	return q
}

// close lets no new call of Start in; drained tells when the last one is out.
func (m *Manager) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed && m.making == 0 {
		close(m.drained)
	}
	m.closed = true
}

// enter is called before a session is made, and leave once it is looked after
// or will not be made.
func (m *Manager) enter() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return fault.New(fault.Internal, "cannot start: the server is stopping")
	}
	m.making++
	return nil
}

func (m *Manager) leave() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.making--
	if m.closed && m.making == 0 {
		close(m.drained)
	}
}

func (m *Manager) entry(key Key) *entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.live[key]
}

func (m *Manager) entries() []*entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Values(m.live))
}

// forget is called once for an entry, when nothing of it is left. A session
// that was deleted meanwhile goes with it.
func (m *Manager) forget(ctx context.Context, e *entry) {
	m.mu.Lock()
	delete(m.live, e.key)
	m.mu.Unlock()
	if s, err := m.cfg.Store.Session(ctx, e.key); err == nil {
		m.removeDeleted(ctx, s)
	}
	close(e.gone)
}

// Runner returns what runs code in a session. It blocks and fails as Driver does.
func (m *Manager) Runner(ctx context.Context, key Key) (engine.Runner, error) {
	d, err := m.Driver(ctx, key)
	if err != nil {
		return nil, err
	}
	r, ok := d.(engine.Runner)
	if !ok {
		return nil, errors.New("cannot run code: the driver has no runner")
	}
	return r, nil
}

// Driver returns the driver of a session, without asking who wants it: for
// callers inside the server. It blocks while a server that has just started
// takes over drivers and while a driver is being launched. The error is
// engine.ErrGone when nothing is left of the driver.
func (m *Manager) Driver(ctx context.Context, key Key) (engine.Driver, error) {
	select {
	case <-m.recovered:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	e := m.entry(key)
	if e == nil {
		return nil, engine.ErrGone
	}
	select {
	case <-e.known:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if e.err != nil {
		return nil, e.err
	}
	return e.driver, nil
}

// Session returns the session of the key, or ErrNotFound, without asking who
// wants it: for callers inside the server.
func (m *Manager) Session(ctx context.Context, key Key) (Session, error) {
	return m.cfg.Store.Session(ctx, key)
}

// Status returns what was last seen of a session's driver; ok is false when
// this server looks after none.
func (m *Manager) Status(key Key) (st engine.Status, ok bool) {
	e := m.entry(key)
	if e == nil {
		return st, false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.status, true
}

// Tasks returns the Spark tasks of a cell as they were last seen, also after
// its end until another one begins.
func (m *Manager) Tasks(key Key, cell engine.CellID) engine.Tasks {
	e := m.entry(key)
	if e == nil {
		return engine.Tasks{}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.cell != cell {
		return engine.Tasks{}
	}
	return e.tasks
}

// AwaitEnd returns once the session is recorded as ended, or with the error of ctx.
func (m *Manager) AwaitEnd(ctx context.Context, key Key) error {
	e := m.entry(key)
	if e == nil {
		return nil
	}
	select {
	case <-e.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// update is the only way in which the manager writes a session. It refuses
// with engine.ErrStale when a newer server owns the row.
func (m *Manager) update(ctx context.Context, key Key, change func(*Session) error) (Session, error) {
	return m.cfg.Store.UpdateSession(ctx, key, func(s *Session) error {
		if s.Epoch > m.cfg.Epoch {
			return engine.ErrStale
		}
		return change(s)
	})
}

// retry runs f until it succeeds or ctx ends, and logs the first failure.
func (m *Manager) retry(ctx context.Context, what string, f func() error) error {
	for n := 0; ; n++ {
		err := f()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if n == 0 {
			m.cfg.Log.WarnContext(ctx, "cannot "+what+", trying again", "err", err)
		}
		if err := pause(ctx, retryEvery); err != nil {
			return err
		}
	}
}

// sweep removes ended sessions that were deleted or whose retention is over.
func (m *Manager) sweep(ctx context.Context) {
	m.sweepEnded(ctx, Query{States: []State{Ended}, Deleted: OnlyDeleted})
	m.sweepEnded(ctx, Query{States: []State{Ended}, EndedBy: time.Now().Add(-m.cfg.Retention)})
}

func (m *Manager) sweepEnded(ctx context.Context, q Query) {
	old, err := m.cfg.Store.Sessions(ctx, q)
	if err != nil {
		m.cfg.Log.WarnContext(ctx, "cannot look for old sessions", "err", err)
		return
	}
	for i := range old {
		if m.entry(old[i].Key) != nil {
			continue // its driver is still being cleaned up
		}
		if err := m.cfg.Store.DeleteSession(ctx, old[i].Key); err != nil {
			m.cfg.Log.WarnContext(ctx, "cannot remove old session", "session", old[i].ID, "err", err)
		}
	}
}

// internal hides a failure of a store or launcher from the caller.
func internal(what string, err error) error {
	return fmt.Errorf("cannot %s: %w", what, err)
}

// poke puts a token into a channel of capacity 1 that may hold one already.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// pause waits, or returns the error of ctx if that ends first.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
