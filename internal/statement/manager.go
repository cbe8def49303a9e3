package statement

import (
	"context"
	"errors"
	"fmt"
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

// Times within a statement's life, and a number.
const (
	// windDown is how long a step that has begun may go on once Run was told to end.
	windDown = 5 * time.Second
	// leftovers is how many statements before the first that is open a server
	// that takes a queue over has discarded: an earlier one may not have come to it.
	leftovers = 20
)

// Config is what a Manager stands on. Fields without a default are required.
type Config struct {
	Home     ident.Home
	Store    Store
	Sessions Sessions
	Objects  Objects
	Log      *slog.Logger

	// MaxResult is how many bytes of a statement's text, and of its result of
	// another MIME type, are part of an answer. Default 16 MiB.
	MaxResult int
	// MaxQueue is how many statements of a session may wait or run. Default 1000.
	MaxQueue int
	// Patience is for how long Get holds back that a statement is not over yet,
	// unless something changes: who asks again at once shares the machine's
	// processors with the code that is waited for. Zero: not at all.
	Patience time.Duration
	// TakeTimeout is how long the driver may refuse to take a statement before
	// that fails. Default 30 s.
	TakeTimeout time.Duration
	// PutTimeout is how long writing a large result, and reading an output, is
	// tried again before the statement ends without. Default 30 s.
	PutTimeout time.Duration
}

// Sessions is what statements ask of sessions; session.Manager has it.
type Sessions interface {
	// FindGlue returns the caller's Glue session after asking whether the caller may do action.
	FindGlue(ctx context.Context, who access.Caller, action, id string) (session.Session, error)
	// Session returns the session of the key, for its own server's use.
	Session(ctx context.Context, key session.Key) (session.Session, error)
	// Runner returns what runs code in the session, or engine.ErrGone.
	Runner(ctx context.Context, key session.Key) (engine.Runner, error)
	// Tasks returns the Spark tasks of a cell as last seen.
	Tasks(key session.Key, cell engine.CellID) engine.Tasks
	// AwaitEnd returns once the session is recorded as ended.
	AwaitEnd(ctx context.Context, key session.Key) error
}

// Objects is where results that are too large for an answer are kept.
type Objects interface {
	// Put asks whether the session's role may write the object, and writes it.
	// Nothing of it can be read before all of it can. The error wraps a
	// *cell.RefusedError where trying again does not help.
	Put(ctx context.Context, o cell.Object) error
}

// Manager runs statements. Run owns everything that goes on by itself; the
// other methods may be called before it and at any time.
type Manager struct {
	cfg Config

	wake      chan struct{} // capacity 1: begun has something
	recovered chan struct{} // closed once every queue that was there before is in lines

	mu    sync.Mutex // guards what follows; nothing is called out to under it
	lines map[session.Key]*line
	begun []*line              // not yet served
	known map[session.Key]bool // sessions of which this server has served a statement
	over  bool                 // Run was told to end: no new statements
}

// line is the queue of a session with work. The queue itself is in the store:
// what is first there is next. Manager.mu guards what changes.
type line struct {
	key     session.Key
	changed chan struct{} // closed, and replaced by another, when a statement moves
	more    bool          // something was added since the store was last asked
	id      int           // the statement that is being served
	cancel  chan struct{} // capacity 1: asks for its end; nil: none is being served
	done    chan struct{} // closed once nothing waits or runs
}

// New returns a manager that does nothing until Run.
func New(cfg Config) (*Manager, error) {
	if cfg.Store == nil || cfg.Sessions == nil || cfg.Objects == nil || cfg.Log == nil {
		return nil, errors.New("cannot manage statements: a required part is missing")
	}
	if cfg.MaxResult == 0 {
		cfg.MaxResult = 16 << 20
	}
	if cfg.MaxQueue == 0 {
		cfg.MaxQueue = 1000
	}
	if cfg.TakeTimeout == 0 {
		cfg.TakeTimeout = 30 * time.Second
	}
	if cfg.PutTimeout == 0 {
		cfg.PutTimeout = 30 * time.Second
	}
	return &Manager{
		cfg:       cfg,
		wake:      make(chan struct{}, 1),
		recovered: make(chan struct{}),
		lines:     map[session.Key]*line{},
		known:     map[session.Key]bool{},
	}, nil
}

// Run goes on with every statement that an earlier server left, then serves
// new ones until ctx ends, and returns once nothing of it goes on any more.
// Statements run on in their drivers: the next server takes their results. It
// is called once, and runs beside the Run of the session manager.
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
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.wake:
			for _, l := range m.take() {
				serving.Go(func() { m.serve(ctx, work, l) })
			}
		}
	}
}

// recover begins every queue that has something in it.
func (m *Manager) recover(ctx context.Context) error {
	var keys []session.Key
	err := m.retry(ctx, "list sessions with statements", func() (err error) {
		keys, err = m.cfg.Store.OpenSessions(ctx)
		return err
	})
	if err != nil {
		return err
	}
	for _, key := range keys {
		m.begin(key)
	}
	close(m.recovered)
	return nil
}

// begin makes the manager look at the queue of a session.
func (m *Manager) begin(key session.Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l, ok := m.lines[key]; ok {
		l.more = true
		return
	}
	l := &line{key: key, changed: make(chan struct{}), done: make(chan struct{})}
	m.lines[key] = l
	m.begun = append(m.begun, l)
	cell.Poke(m.wake)
}

func (m *Manager) take() []*line {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.begun
	m.begun = nil
	return all
}

// look notes that the store is about to be asked for the line's next statement.
func (m *Manager) look(l *line) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l.more = false
}

// leave ends a line in which the store has nothing; false: something was added
// meanwhile.
func (m *Manager) leave(l *line) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l.more {
		return false
	}
	delete(m.lines, l.key)
	close(l.changed)
	close(l.done)
	return true
}

// serves notes which statement of the line is being served, and returns the
// channel that asks for its end.
func (m *Manager) serves(l *line, id int) chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	l.id, l.cancel = id, make(chan struct{}, 1)
	return l.cancel
}

// moved wakes those who wait for a statement of the line to move.
func (m *Manager) moved(l *line) {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(l.changed)
	l.changed = make(chan struct{})
}

// watch returns what is closed when a statement of the session moves; nil: none
// waits or runs.
func (m *Manager) watch(key session.Key) <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := m.lines[key]; l != nil {
		return l.changed
	}
	return nil
}

// inherits reports, once for every session, that this server has only begun to
// serve it: an earlier one may have left something of its last statements.
func (m *Manager) inherits(key session.Key) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.known[key]
	m.known[key] = true
	return !was
}

// interrupt asks for the end of a statement that is being served here.
func (m *Manager) interrupt(key session.Key, id int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := m.lines[key]; l != nil && l.cancel != nil && l.id == id {
		cell.Poke(l.cancel)
	}
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

// Settle implements session.Work: it returns once the results of the session's
// statements are kept, so that what its driver left behind can be removed.
func (m *Manager) Settle(ctx context.Context, key session.Key) error {
	select {
	case <-m.recovered:
	case <-ctx.Done():
		return ctx.Err()
	}
	m.mu.Lock()
	l := m.lines[key]
	m.mu.Unlock()
	if l == nil {
		return nil
	}
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// retry runs f until it succeeds or ctx ends, and logs the first failure.
func (m *Manager) retry(ctx context.Context, what string, f func() error) error {
	return cell.Retry(ctx, m.cfg.Log, what, f)
}

// internal marks a failure of the store, which the caller is not shown.
func internal(what string, err error) error { return fmt.Errorf("cannot %s: %w", what, err) }
