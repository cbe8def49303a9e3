package supervise

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// Mark is the environment variable that every process of a session carries.
const Mark = "GLAUX_SESSION"

// MarkOf returns the environment entry of a session.
func MarkOf(key string) string { return Mark + "=" + key }

// children starts processes and reaps them, and whatever else ends up as a
// child of this process. Nothing else in it may wait for children.
type children struct {
	mu    sync.Mutex // held over start and reaping, so that no end is missed and no pid is signalled after it is free
	byPID map[int]*child
}

// child is one started process, the leader of a group of its own.
type child struct {
	name  string
	pid   int
	stamp Stamp
	all   *children
	done  chan struct{} // closed once it has been reaped
	ended syscall.WaitStatus
	shot  bool // we sent SIGKILL; children.mu guards it
}

func newChildren() *children { return &children{byPID: map[int]*child{}} }

// Run reaps until ctx ends.
func (c *children) Run(ctx context.Context) {
	sig := make(chan os.Signal, 1)
	signal.Notify(sig, syscall.SIGCHLD)
	defer signal.Stop(sig)
	for {
		c.reap()
		select {
		case <-sig:
		case <-ctx.Done():
			c.reap()
			return
		}
	}
}

func (c *children) reap() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if ch := c.byPID[pid]; ch != nil {
			delete(c.byPID, pid)
			ch.ended = ws
			close(ch.done)
		}
	}
}

// start starts a process; files are its descriptors from 0 on.
func (c *children) start(name, path string, args, env []string, dir string, files []*os.File, attr *syscall.SysProcAttr) (*child, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, err := os.StartProcess(path, append([]string{path}, args...), &os.ProcAttr{Dir: dir, Env: env, Files: files, Sys: attr})
	if err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", name, err)
	}
	ch := &child{name: name, pid: p.Pid, all: c, done: make(chan struct{})}
	p.Release() // waited for by pid
	ch.stamp, _ = StampOf(ch.pid)
	c.byPID[ch.pid] = ch
	expendable(ch.pid)
	return ch, nil
}

// signal sends sig to the child's group, unless the child has been reaped.
func (ch *child) signal(sig syscall.Signal) {
	if ch == nil {
		return
	}
	ch.all.mu.Lock()
	defer ch.all.mu.Unlock()
	select {
	case <-ch.done:
		return
	default:
	}
	if sig == syscall.SIGKILL {
		ch.shot = true
	}
	if syscall.Kill(-ch.pid, sig) != nil {
		syscall.Kill(ch.pid, sig) // its group is not there yet
	}
}

// result returns exit status and signal of a child that is gone: -1 and the
// signal's number, or the status and 0.
func (ch *child) result() (code, sig int) {
	if ch.ended.Signaled() {
		return -1, int(ch.ended.Signal())
	}
	return ch.ended.ExitStatus(), 0
}
