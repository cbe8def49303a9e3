// Package history shows the Spark UIs of sessions that are over, from their
// event logs.
//
// One Java process does that for all sessions. It is started when somebody
// wants to see one and stopped when nobody has looked for a while. As root it
// runs as a user of its own in a sandbox, because it reads what the code of
// sessions wrote, and it sees no more of that than clean copies of the logs that
// it is to show. Each UI has a loopback port and knows one session alone; all
// ask for a secret that is made anew with each process and told to it alone.
package history

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"glaux/internal/engine"
)

// Program is how the Java process is started.
type Program struct {
	Argv  []string // program and arguments
	Env   []string // NAME=value
	Needs []string // directories that it reads
}

// Config is what a Server stands on. Fields without a default are required.
type Config struct {
	// Program returns how to start the process with a heap limit and a
	// directory for its temporary files, from the runtime that is installed now.
	Program func(heapMiB int, temp string) (Program, error)
	// Logs is the directory that holds one directory of event logs per session.
	Logs string
	// Work is a private directory for the process; it is emptied at each start.
	// The copies of the logs it shows are in one beside it, Work-logs.
	Work string
	// Shim is the program that becomes the process in its sandbox.
	Shim string
	// UID is the user it runs as when the server is root. Zero: the server's own.
	UID int
	// HeapMiB bounds its heap. Default 512.
	HeapMiB int
	// Idle is how long nobody looks before a UI is closed, and the process
	// ended with the last one. Default 10 minutes.
	Idle time.Duration
	// Read is how long the process may take to read one log before it is killed.
	// Default 90 seconds.
	Read time.Duration
	// Hold is how long a log is not read again that took too long, or more
	// memory than there is. Default 15 minutes.
	Hold time.Duration
	// Open is how many UIs are kept open at once. Default 8.
	Open int
	// Retention and MaxBytes bound what is kept of ended sessions: Sweep
	// removes what ended longer ago, and the oldest beyond the bytes. One session
	// may have half of them at most, and 512 MiB. Zero: no bound.
	Retention time.Duration
	MaxBytes  int64
	// Ended says when a session ended: zero while it is not over, of one that
	// nobody knows any time long ago.
	Ended func(ctx context.Context, key engine.Key) (time.Time, error)
	Log   *slog.Logger
}

// Server shows the UIs of ended sessions while Run runs. Its methods are safe
// for concurrent use.
type Server struct {
	cfg  Config
	wake chan struct{} // capacity 1: look at wanted

	sweeping sync.Mutex          // guards over; held while Sweep works
	over     map[engine.Key]kept // sessions that are known to be over, as the last Sweep left them

	mu       sync.Mutex               // guards what follows
	wanted   bool                     // a process is to be started
	now      *process                 // nil while none runs
	failures int                      // starts that failed so far
	failed   error                    // why the last of them did
	starts   int                      // processes started so far
	held     map[engine.Key]time.Time // logs that are not read before then
	changed  chan struct{}            // closed and replaced when anything of this changes
}

// What Open returns besides other errors.
var (
	// ErrNone means that nothing is kept of a session that could be shown.
	ErrNone = errors.New("no Spark event log is kept of the session")
	// ErrBusy means that others have to be read first: it may be tried again soon.
	ErrBusy = errors.New("too many event logs of sessions are to be read")
	// ErrHeld means that the log took too long to read, or too much memory, and
	// is not tried again for a while.
	ErrHeld = errors.New("the event log of the session could not be read within the time and memory there is")
	// errStopped means that Run has ended.
	errStopped = errors.New("the history server is being ended")
)

// New returns a server that does nothing until Run.
func New(cfg Config) *Server {
	if cfg.HeapMiB == 0 {
		cfg.HeapMiB = 512
	}
	if cfg.Idle == 0 {
		cfg.Idle = 10 * time.Minute
	}
	if cfg.Read == 0 {
		cfg.Read = 90 * time.Second
	}
	if cfg.Hold == 0 {
		cfg.Hold = 15 * time.Minute
	}
	if cfg.Open == 0 {
		cfg.Open = 8
	}
	return &Server{cfg: cfg, wake: make(chan struct{}, 1), held: map[engine.Key]time.Time{}, changed: make(chan struct{})}
}

// Place is where a Spark UI listens.
type Place struct {
	Address string // host and port
	Secret  string // value of the header X-Glaux-Session-Secret
}

// Run starts the process whenever one is wanted and looks after it, and
// removes event logs that are too old, until ctx ends. It returns once the
// process is gone. It is called once.
func (s *Server) Run(ctx context.Context) error {
	var sweeping sync.WaitGroup
	defer sweeping.Wait()
	sweeping.Go(func() { s.runSweeps(ctx) })
	defer s.fail(errStopped)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
			if s.take() {
				s.runProcess(ctx)
			}
		}
	}
}

// Running reports whether the process runs, and how many were started so far.
func (s *Server) Running() (bool, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now != nil, s.starts
}

// change changes the state and tells everyone who waits.
func (s *Server) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Server) fail(err error) {
	s.change(func() { s.failures, s.failed = s.failures+1, err })
}

// take reports whether a process is wanted, which it then is no more.
func (s *Server) take() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.wanted
	s.wanted = false
	return was
}

// Open makes the UI of an ended session reachable. It starts the process if
// none runs and reads the log if that UI is not open, which takes seconds. The
// UI stays until done is called, and for a while longer. The error is ErrNone
// when there is nothing to show, ErrBusy, ErrHeld, that of ctx, or tells a failure.
func (s *Server) Open(ctx context.Context, key engine.Key) (at Place, done func(), err error) {
	switch _, err := os.Lstat(filepath.Join(s.cfg.Logs, string(key))); {
	case errors.Is(err, os.ErrNotExist):
		return Place{}, nil, ErrNone
	case err != nil:
		return Place{}, nil, fmt.Errorf("cannot find the event log of session %q: %w", key, err)
	}
	for {
		if s.holds(key) {
			return Place{}, nil, ErrHeld
		}
		p, err := s.process(ctx)
		if err != nil {
			return Place{}, nil, err
		}
		at, done, err := p.show(ctx, key)
		if errors.Is(err, errRetired) || errors.Is(err, errLate) {
			continue // it was unused up to this moment, or another log was its end; there will be another one
		}
		return at, done, err
	}
}

// hold has logs not be read for a while.
func (s *Server) hold(keys ...engine.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range keys {
		s.held[k] = time.Now().Add(s.cfg.Hold)
	}
}

// holds reports whether a log is not to be read now.
func (s *Server) holds(key engine.Key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.held, func(_ engine.Key, until time.Time) bool { return !time.Now().Before(until) })
	_, held := s.held[key]
	return held
}

// process returns the process that runs, and has one started when there is none.
func (s *Server) process(ctx context.Context) (*process, error) {
	failures := -1
	for {
		s.mu.Lock()
		p, changed := s.now, s.changed
		if failures < 0 {
			failures = s.failures
		}
		if errors.Is(s.failed, errStopped) || s.failures > failures {
			defer s.mu.Unlock()
			return nil, s.failed
		}
		if p == nil {
			s.wanted = true
		}
		s.mu.Unlock()
		if p != nil && p.serves() {
			return p, nil
		}
		if p == nil {
			select {
			case s.wake <- struct{}{}:
			default: // it will look anyway
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
