package history

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"glaux/internal/engine"
	"glaux/internal/sandbox"
)

const (
	startWithin = time.Minute     // from the start of the process to its first event
	endWithin   = 3 * time.Second // from the end of its input to killing it
	outOfMemory = 3               // Java's status after -XX:+ExitOnOutOfMemoryError
	readers     = 2               // logs that are read at once; the process has as many threads for them
	asked       = 64              // logs that wait to be read
)

// errRetired is returned by show of a process that ends because nobody looks.
var errRetired = errors.New("the history server ends because nobody looks")

// errLate ends a process that reads a log for too long.
var errLate = errors.New("the event log of a session takes too long to read")

// process is one Java process.
type process struct {
	secret string
	most   int           // UIs that are kept open
	in     *os.File      // its commands
	asked  chan *shown   // what is to be read
	late   chan error    // a log was not read in time; capacity readers
	budget int64         // bytes that the logs of open UIs may have together
	gone   chan struct{} // closed once it is over

	mu      sync.Mutex            // guards what follows
	up      bool                  // it has begun to serve
	over    error                 // why it serves no more
	number  int64                 // of the last command
	waiting map[int64]*shown      // what is being read
	uis     map[engine.Key]*shown // open, or being opened
	touched time.Time             // when anything was looked at last
	old     []string              // copies of logs that are not shown any more
}

// shown is one UI, open or being opened.
type shown struct {
	key    engine.Key
	number int64         // of the command that opens it
	ready  chan struct{} // closed once port or err is set
	port   int
	err    error
	dir    string    // guarded by process.mu; of the copy of its log, empty while it waits to be read
	size   int64     // guarded by process.mu; of the copy, bytes
	users  int       // guarded by process.mu
	last   time.Time // guarded by process.mu; when it was looked at last
}

// opened reports whether the UI is there.
func (u *shown) opened() bool {
	select {
	case <-u.ready:
		return true
	default:
		return false
	}
}

// command is a line to the process.
type command struct {
	Op     string     `json:"op"`
	N      int64      `json:"n,omitempty"`
	Key    engine.Key `json:"key,omitempty"`
	Dir    string     `json:"dir,omitempty"`
	Secret string     `json:"secret,omitempty"`
}

// event is a line from it.
type event struct {
	Ev    string `json:"ev"`
	N     int64  `json:"n"`
	Port  int    `json:"port"`
	Error string `json:"error"`
}

// runProcess runs one process from its start to its end, which comes with ctx,
// when nobody looks at anything any more, or by its own doing.
func (s *Server) runProcess(ctx context.Context) {
	// In its sandbox it is killed when the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	began := time.Now()
	p := &process{
		late:   make(chan error, readers),
		budget: int64(s.cfg.HeapMiB) << 20 / 2,
		secret: newSecret(), most: s.cfg.Open, touched: began, asked: make(chan *shown, asked), gone: make(chan struct{}),
		waiting: map[int64]*shown{}, uis: map[engine.Key]*shown{},
	}
	defer os.RemoveAll(s.copies())
	says := &lines{log: func(line string) { s.cfg.Log.DebugContext(ctx, "history server says", "line", line) }}
	cmd, events, err := s.start(p, says)
	if err != nil {
		s.cfg.Log.ErrorContext(ctx, "cannot start the history server", "cause", err)
		s.fail(fmt.Errorf("cannot start the history server: %w", err))
		return
	}
	defer events.Close()
	s.change(func() { s.now, s.starts = p, s.starts+1 })

	var hearing sync.WaitGroup
	silent := make(chan struct{})
	hearing.Go(func() {
		defer close(silent)
		p.hear(events, func() {
			s.cfg.Log.InfoContext(ctx, "history server started", "pid", cmd.Process.Pid, "after", time.Since(began).Round(time.Millisecond))
			s.change(func() {})
		})
	})
	var reading sync.WaitGroup
	defer reading.Wait()
	for range readers {
		reading.Go(func() { s.serveReads(p) })
	}
	why := s.await(ctx, p, silent)
	within := endWithin
	if errors.Is(why, errLate) {
		within = 0 // it has had its time
	}
	p.in.Close()
	kill := time.AfterFunc(within, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }) // not reaped yet, so it is its group
	err = cmd.Wait()
	kill.Stop()
	hearing.Wait()

	if why == nil {
		why = s.ended(ctx, err, says.last())
	} else {
		s.cfg.Log.InfoContext(ctx, "history server ended", "why", why.Error())
	}
	if exitedFull(err) {
		s.hold(p.reading()...)
	}
	served := p.finish(why)
	reading.Wait() // so that nothing is copied for it any more when the next one starts
	s.change(func() {
		s.now = nil
		if !served {
			s.failures, s.failed = s.failures+1, why
		}
	})
}

// await returns why the process is to end; nil when it has closed its events,
// and so ends by itself.
func (s *Server) await(ctx context.Context, p *process, silent <-chan struct{}) error {
	start := time.NewTimer(startWithin)
	defer start.Stop()
	tick := time.NewTicker(max(s.cfg.Idle/8, 10*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return errStopped
		case <-silent:
			return nil
		case err := <-p.late:
			return err
		case <-start.C:
			if !p.serves() {
				return fmt.Errorf("the history server did not start within %v", startWithin)
			}
		case <-tick.C:
			if p.tidy(time.Now(), s.cfg.Idle) {
				return errRetired
			}
			p.tidyCopies()
		}
	}
}

// ended says why a process ended that was not asked to.
func (s *Server) ended(ctx context.Context, err error, last string) error {
	switch {
	case exitedFull(err):
		err = fmt.Errorf("the history server ran out of its %d MiB of memory", s.cfg.HeapMiB)
	case err == nil:
		err = errors.New("the history server has ended")
	default:
		err = fmt.Errorf("the history server ended: %w: %s", err, last)
	}
	s.cfg.Log.ErrorContext(ctx, "the history server ended by itself", "cause", err)
	return err
}

// exitedFull reports whether a process ended because its memory was full.
func exitedFull(err error) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit) && exit.ExitCode() == outOfMemory
}

// start starts the process and returns it with its stream of events.
func (s *Server) start(p *process, says io.Writer) (*exec.Cmd, *os.File, error) {
	temp := filepath.Join(s.cfg.Work, "tmp")
	if err := errors.Join(os.RemoveAll(s.cfg.Work), os.RemoveAll(s.copies()), os.MkdirAll(temp, 0o700), os.MkdirAll(s.copies(), 0o700)); err != nil {
		return nil, nil, err
	}
	program, err := s.cfg.Program(s.cfg.HeapMiB, temp)
	if err != nil {
		return nil, nil, err
	}
	argv, attr := program.Argv, &syscall.SysProcAttr{Setpgid: true}
	if s.cfg.UID != 0 {
		for _, dir := range []string{s.cfg.Work, temp, s.copies()} {
			if err := os.Chown(dir, s.cfg.UID, s.cfg.UID); err != nil {
				return nil, nil, err
			}
		}
		names, err := s.names()
		if err != nil {
			return nil, nil, err
		}
		args, err := sandbox.InitArgs(sandbox.Config{
			UID: s.cfg.UID, ReadOnly: append([]string{s.copies()}, program.Needs...), Writable: []string{s.cfg.Work},
			Dir: s.cfg.Work, Names: names, Parent: os.Getpid(),
		}, argv[0], argv[1:])
		if err != nil {
			return nil, nil, err
		}
		argv, attr = append([]string{s.cfg.Shim}, args...), sandbox.Attr()
	}
	commands, in, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer commands.Close()
	events, out, err := os.Pipe()
	if err != nil {
		in.Close()
		return nil, nil, err
	}
	defer out.Close()
	if s.cfg.UID != 0 { // the process opens it anew, by its descriptor's name
		if err := out.Chown(s.cfg.UID, s.cfg.UID); err != nil {
			in.Close()
			events.Close()
			return nil, nil, err
		}
	}
	cmd := exec.Command(argv[0], argv[1:]...) // it ends in its own order: see runProcess
	cmd.Env = append([]string{"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "HOME=" + s.cfg.Work}, program.Env...)
	cmd.Dir = s.cfg.Work
	cmd.Stdin, cmd.Stdout, cmd.Stderr = commands, says, says
	cmd.ExtraFiles = []*os.File{out} // descriptor 3
	cmd.SysProcAttr = attr
	if err := cmd.Start(); err != nil {
		in.Close()
		events.Close()
		return nil, nil, err
	}
	p.in = in
	p.mu.Lock()
	p.sendLocked(command{Op: "secret", Secret: p.secret}) // not in its environment, which it could be led to show
	p.mu.Unlock()
	return cmd, events, nil
}

// copies is the directory of the logs that the process reads.
func (s *Server) copies() string { return s.cfg.Work + "-logs" }

// serveReads has logs read, one after the other, until the process is over.
func (s *Server) serveReads(p *process) {
	for {
		select {
		case <-p.gone:
			return
		case u := <-p.asked:
			s.read(p, u)
		}
	}
}

// read gives the process a copy of a log to read and waits until it has.
func (s *Server) read(p *process, u *shown) {
	p.tidyCopies()
	dir := filepath.Join(s.copies(), strconv.FormatInt(u.number, 10))
	p.mu.Lock()
	u.dir = dir
	p.mu.Unlock()
	size, err := copyLog(s.cfg.Logs, u.key, dir, s.cfg.UID)
	if err != nil && !errors.Is(err, ErrNone) {
		err = fmt.Errorf("cannot copy the event log of session %q: %w", u.key, err)
	}
	p.begin(u, size, err)
	limit := time.NewTimer(s.cfg.Read)
	defer limit.Stop()
	select {
	case <-u.ready:
	case <-limit.C:
		s.hold(u.key)
		p.late <- fmt.Errorf("%w: session %q, %v", errLate, u.key, s.cfg.Read)
		<-u.ready // with the end of the process
	}
}

// names makes the files that give the process's user a name, which Hadoop
// insists on. They lie beside what the process can write.
func (s *Server) names() (string, error) {
	dir := s.cfg.Work + "-names"
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return "", err
	}
	return dir, sandbox.WriteNames(dir, s.cfg.UID, "glaux", s.cfg.Work)
}

// newSecret returns a random secret.
func newSecret() string {
	b := make([]byte, 24)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// hear takes the process's events until it has no more.
func (p *process) hear(events io.Reader, up func()) {
	lines := bufio.NewScanner(events)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue // it is not to be trusted with our log
		}
		switch e.Ev {
		case "ready":
			p.mu.Lock()
			p.up, p.touched = true, time.Now() // those who had it started come now
			p.mu.Unlock()
			up()
		case "ui":
			p.answer(e.N, e.Port, nil)
		case "none":
			p.answer(e.N, 0, ErrNone)
		case "uiFailed":
			p.answer(e.N, 0, fmt.Errorf("cannot show the event log: %s", e.Error))
		}
	}
}

// answer settles what a command asked for.
func (p *process) answer(n int64, port int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	u := p.waiting[n]
	if u == nil {
		return
	}
	delete(p.waiting, n)
	p.settleLocked(u, port, err)
}

// begin sends what is to be read, unless it could not be copied or would leave
// too little memory for those that are being looked at.
func (p *process) begin(u *shown, size int64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case u.opened(): // the process is over
	case err != nil:
		p.settleLocked(u, 0, err)
	case !p.fitsLocked(size):
		p.settleLocked(u, 0, ErrBusy)
	default:
		u.size = size
		p.waiting[u.number] = u
		p.sendLocked(command{Op: "open", N: u.number, Key: u.key, Dir: u.dir})
	}
}

func (p *process) settleLocked(u *shown, port int, err error) {
	u.port, u.err, u.last = port, err, time.Now()
	if err != nil {
		delete(p.uis, u.key) // the next one tries again
		p.old = append(p.old, u.dir)
	}
	close(u.ready)
}

// serves reports whether UIs can be asked for.
func (p *process) serves() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.up && p.over == nil
}

// finish ends everything that was asked for, and reports whether the process
// has ever served.
func (p *process) finish(why error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over == nil {
		p.over = why
	}
	for _, u := range p.uis {
		if !u.opened() {
			p.settleLocked(u, 0, p.over)
		}
	}
	clear(p.waiting)
	close(p.gone)
	return p.up
}

// show returns where the UI of a session is, once it is open.
func (p *process) show(ctx context.Context, key engine.Key) (Place, func(), error) {
	p.mu.Lock()
	if p.over != nil {
		defer p.mu.Unlock()
		return Place{}, nil, p.over
	}
	u := p.uis[key]
	if u == nil {
		p.makeRoomLocked()
		u = &shown{key: key, number: p.number + 1, ready: make(chan struct{})}
		select {
		case p.asked <- u:
		default:
			p.mu.Unlock()
			return Place{}, nil, ErrBusy
		}
		p.number++
		p.uis[key] = u
	}
	u.users++
	p.touched = time.Now()
	p.mu.Unlock()
	done := sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		u.users--
		u.last, p.touched = time.Now(), time.Now()
	})
	select {
	case <-u.ready:
	case <-ctx.Done():
		done()
		return Place{}, nil, ctx.Err()
	}
	if u.err != nil {
		done()
		return Place{}, nil, u.err
	}
	return Place{Address: net.JoinHostPort("127.0.0.1", strconv.Itoa(u.port)), Secret: p.secret}, done, nil
}

// sendLocked sends a command. A process that does not take it is ending, which
// settles what was asked.
func (p *process) sendLocked(c command) {
	b, err := json.Marshal(c)
	if err != nil {
		return
	}
	_ = p.in.SetWriteDeadline(time.Now().Add(time.Second)) // it is a pipe, which has deadlines
	_, _ = p.in.Write(append(b, '\n'))
}

// fitsLocked closes UIs, those that were looked at longest ago, until a log of
// the size can be read beside the others, and reports whether it then can. One
// log can always be.
func (p *process) fitsLocked(size int64) bool {
	for {
		var all int64
		for _, u := range p.uis {
			all += u.size
		}
		if all == 0 || all+size <= p.budget {
			return true
		}
		old := p.oldestLocked()
		if old == nil {
			return false
		}
		p.closeLocked(old)
	}
}

// reading returns the sessions whose logs are being read.
func (p *process) reading() []engine.Key {
	p.mu.Lock()
	defer p.mu.Unlock()
	var keys []engine.Key
	for _, u := range p.waiting {
		keys = append(keys, u.key)
	}
	return keys
}

// makeRoomLocked closes the UI that was looked at longest ago, if there are as
// many as may be.
func (p *process) makeRoomLocked() {
	if len(p.uis) < p.most {
		return
	}
	if old := p.oldestLocked(); old != nil {
		p.closeLocked(old)
	}
}

// oldestLocked returns the UI that was looked at longest ago and is not in use.
func (p *process) oldestLocked() *shown {
	var old *shown
	for _, u := range p.uis {
		if u.users == 0 && u.opened() && (old == nil || u.last.Before(old.last)) {
			old = u
		}
	}
	return old
}

func (p *process) closeLocked(u *shown) {
	delete(p.uis, u.key)
	p.sendLocked(command{Op: "close", Key: u.key})
	p.old = append(p.old, u.dir)
}

// tidyCopies removes copies of logs that are not shown any more.
func (p *process) tidyCopies() {
	p.mu.Lock()
	old := p.old
	p.old = nil
	p.mu.Unlock()
	for _, dir := range old {
		if dir != "" {
			_ = os.RemoveAll(dir) // all of them go with the process
		}
	}
}

// tidy closes the UIs that nobody has looked at for idle, and reports whether
// the process is of no use any more; then it takes nothing.
func (p *process) tidy(now time.Time, idle time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, u := range p.uis {
		if u.users == 0 && u.opened() && now.Sub(u.last) >= idle {
			p.closeLocked(u)
		}
	}
	if p.up && len(p.uis) == 0 && now.Sub(p.touched) >= idle {
		p.over = errRetired
		return true
	}
	return false
}
