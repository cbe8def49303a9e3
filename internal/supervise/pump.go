package supervise

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// tailLines and tailBytes bound what is remembered of a stream's end.
const (
	tailLines = 20
	tailBytes = 16 << 10
)

// pump moves what a process writes into a pipe to whoever takes it now, and
// remembers the last of it. It reads all the time, so the process never blocks
// on us.
type pump struct {
	from *os.File  // our end, non-blocking
	log  io.Writer // takes what no cell does

	one   sync.Mutex // held over sync: one drain at a time
	mu    sync.Mutex // guards what follows
	to    io.Writer  // the running cell's spool; nil: log
	tail  []byte
	drain chan struct{} // closed once a drain that was asked for is done
	ended bool
}

// run reads until the pipe's other end is closed everywhere or stop is called.
func (p *pump) run() {
	buf := make([]byte, 64<<10)
	for {
		n, err := p.from.Read(buf)
		p.take(buf[:n])
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			p.from.SetReadDeadline(time.Time{})
			more := p.empty(buf)
			p.drained(!more)
			if !more {
				return
			}
		default:
			p.drained(true)
			return
		}
	}
}

// empty reads until the pipe has nothing right now; false: it has ended.
func (p *pump) empty(buf []byte) bool {
	raw, err := p.from.SyscallConn()
	if err != nil {
		return false
	}
	for {
		var n int
		var rerr error
		if raw.Read(func(fd uintptr) bool { n, rerr = unix.Read(int(fd), buf); return true }) != nil {
			return false
		}
		switch {
		case n > 0:
			p.take(buf[:n])
		case rerr == unix.EINTR:
		case rerr == unix.EAGAIN:
			return true
		default:
			return false
		}
	}
}

func (p *pump) take(b []byte) {
	if len(b) == 0 {
		return
	}
	p.mu.Lock()
	to := p.to
	p.tail = append(p.tail, b...)
	if over := len(p.tail) - tailBytes; over > 0 {
		p.tail = append(p.tail[:0], p.tail[over:]...)
	}
	p.mu.Unlock()
	if to == nil {
		to = p.log
	}
	_, _ = to.Write(b) // spools and logs never fail
}

func (p *pump) drained(ended bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = p.ended || ended
	if p.drain != nil {
		close(p.drain)
		p.drain = nil
	}
}

// sync returns once everything that was written into the pipe before it was
// called has been taken.
func (p *pump) sync() {
	p.one.Lock()
	defer p.one.Unlock()
	p.mu.Lock()
	if p.ended {
		p.mu.Unlock()
		return
	}
	if p.drain == nil {
		p.drain = make(chan struct{})
	}
	done := p.drain
	p.mu.Unlock()
	p.from.SetReadDeadline(time.Unix(1, 0)) // wakes run
	<-done
}

// route sends what comes from now on to w; nil: to the log.
func (p *pump) route(w io.Writer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.to = w
}

// stop makes run return although somebody still holds the pipe.
func (p *pump) stop() { p.from.Close() }

// forget drops what is remembered of the stream's end.
func (p *pump) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tail = nil
}

// last returns the last lines that were written.
func (p *pump) last() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for line := range bytes.SplitSeq(bytes.TrimRight(p.tail, "\n"), []byte{'\n'}) {
		if len(bytes.TrimSpace(line)) > 0 {
			out = append(out, string(bytes.ToValidUTF8(line, []byte("?"))))
		}
	}
	return out[max(0, len(out)-tailLines):]
}

// pipe returns a pipe of which the reading end is ours and non-blocking and
// the writing end is for a child, blocking, and owned by uid if that is not
// negative (so that the child may open it again by its /dev/fd name).
func pipe(uid int) (ours, theirs *os.File, err error) {
	var p [2]int
	syscall.ForkLock.RLock()
	if err = unix.Pipe(p[:]); err == nil {
		unix.CloseOnExec(p[0])
		unix.CloseOnExec(p[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make pipe: %w", err)
	}
	if uid >= 0 {
		_ = unix.Fchown(p[1], uid, uid) // matters only for opening it by name
	}
	if err := unix.SetNonblock(p[0], true); err != nil {
		return nil, nil, fmt.Errorf("cannot make pipe: %w", err)
	}
	return os.NewFile(uintptr(p[0]), "pipe"), os.NewFile(uintptr(p[1]), "pipe"), nil
}

// inputPipe returns a pipe whose writing end is ours.
func inputPipe() (ours, theirs *os.File, err error) {
	var p [2]int
	syscall.ForkLock.RLock()
	if err = unix.Pipe(p[:]); err == nil {
		unix.CloseOnExec(p[0])
		unix.CloseOnExec(p[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make pipe: %w", err)
	}
	if err := unix.SetNonblock(p[1], true); err != nil {
		return nil, nil, fmt.Errorf("cannot make pipe: %w", err)
	}
	return os.NewFile(uintptr(p[1]), "pipe"), os.NewFile(uintptr(p[0]), "pipe"), nil
}

// socketPair returns two ends of a Unix stream: ours non-blocking.
func socketPair() (ours, theirs *os.File, err error) {
	syscall.ForkLock.RLock()
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(p[0])
		unix.CloseOnExec(p[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make socket pair: %w", err)
	}
	if err := unix.SetNonblock(p[0], true); err != nil {
		return nil, nil, fmt.Errorf("cannot make socket pair: %w", err)
	}
	return os.NewFile(uintptr(p[0]), "control"), os.NewFile(uintptr(p[1]), "control"), nil
}
