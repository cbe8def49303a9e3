package object

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	// childSocket and childSocketEnd frame the random part of the socket's
	// name. Every start has a name of its own, so that a child that is on its
	// way out cannot unlink the socket of the next one.
	childSocket    = "s3-"
	childSocketEnd = ".sock"

	childBackoff    = 50 * time.Millisecond // after the first death
	childBackoffMax = 5 * time.Second       // after many in a row
	childSettled    = 30 * time.Second      // a child that lived this long starts the row anew
	childGrace      = 3 * time.Second       // between closing the control pipe and killing
)

// ChildConfig says how the embedded server's process is run.
type ChildConfig struct {
	Command   []string     // program and arguments whose process calls RunServer, such as {"/…/glaux", "object-server"}
	Dir       string       // where objects are kept; made if missing (0700)
	SocketDir string       // existing private directory for the socket; its path is at most 80 bytes
	Account   string       // twelve digits; the owner of all buckets
	Region    string       // us-east-1 if empty
	Log       *slog.Logger // required
}

// Child supervises the process of the embedded S3 server. Its methods are safe
// for concurrent use. The server's secret key is made anew for every Child and
// known to it, its gateway and its client alone.
type Child struct {
	cfg    ChildConfig
	server ServerConfig // what every process is given, except for the socket

	// mu guards what follows.
	mu      sync.Mutex
	socket  string        // of the process that is ready; empty while there is none
	process *os.Process   // the running process; nil between two
	ready   chan struct{} // closed while socket is set
}

// NewChild makes a Child; Run starts the process.
func NewChild(cfg ChildConfig) (*Child, error) {
	if len(cfg.Command) == 0 || cfg.Dir == "" || cfg.SocketDir == "" || cfg.Log == nil {
		return nil, errors.New("cannot prepare the object server: its command, directories and log are required")
	}
	if cfg.Region == "" {
		cfg.Region = defaultRegion
	}
	dir, err := filepath.Abs(cfg.Dir) // the child changes its directory
	if err != nil {
		return nil, fmt.Errorf("cannot locate the object directory: %w", err)
	}
	sockets, err := filepath.Abs(cfg.SocketDir)
	if err != nil {
		return nil, fmt.Errorf("cannot locate the runtime directory: %w", err)
	}
	cfg.Dir, cfg.SocketDir = dir, sockets
	account := cfg.Account
	if account == "" {
		account = defaultAccount
	}
	return &Child{
		cfg: cfg,
		server: ServerConfig{
			Dir: dir,
			// The library refuses a name that the object directory's is a prefix of.
			Sidecar:   filepath.Join(filepath.Dir(dir), "metadata-of-"+filepath.Base(dir)),
			AccessKey: account, // shown as the owner of buckets, as AWS shows the account
			Secret:    rand.Text() + rand.Text(),
			Region:    cfg.Region,
		},
		ready: make(chan struct{}),
	}, nil
}

// Upstream describes the running server to the gateway and the client.
func (c *Child) Upstream() Upstream {
	return Upstream{
		Endpoint:  "http://objects.internal", // only a name: Dial goes to the socket
		AccessKey: c.server.AccessKey,
		Secret:    c.server.Secret,
		Region:    c.server.Region,
		Dial:      c.dial,
		Embedded:  true,
	}
}

// Run starts the process, starts it again whenever it dies, and ends it when
// ctx ends. It returns once the process is gone: nil after ctx, or an error
// when the very first process could not serve (a second attempt would fail in
// the same way).
func (c *Child) Run(ctx context.Context) error {
	if err := os.MkdirAll(c.cfg.Dir, 0o700); err != nil {
		return fmt.Errorf("cannot make the object directory: %w", err)
	}
	c.sweep()
	wait, served := childBackoff, false
	for {
		began := time.Now()
		wasReady, err := c.serveOnce(ctx)
		if ctx.Err() != nil {
			return nil
		}
		served = served || wasReady
		if !served {
			return fmt.Errorf("cannot start the object server: %w", err)
		}
		if time.Since(began) > childSettled {
			wait = childBackoff
		}
		c.cfg.Log.Error("object server ended, starting it again", "error", err, "wait", wait)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = min(2*wait, childBackoffMax)
	}
}

// Ready blocks until the server accepts connections or ctx ends.
func (c *Child) Ready(ctx context.Context) error {
	_, err := c.where(ctx)
	return err
}

// PID returns the process id of the server, 0 while none runs.
func (c *Child) PID() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process == nil {
		return 0
	}
	return c.process.Pid
}

// where returns the socket to dial, waiting for a server that is starting.
func (c *Child) where(ctx context.Context) (string, error) {
	for {
		c.mu.Lock()
		socket, ready := c.socket, c.ready
		c.mu.Unlock()
		if socket != "" {
			return socket, nil
		}
		select {
		case <-ready:
		case <-ctx.Done():
			return "", fmt.Errorf("cannot reach the object server: %w", ctx.Err())
		}
	}
}

// dial connects to the server. While it is being started again connections
// wait, so that a restart delays requests and fails none that comes later.
func (c *Child) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	socket, err := c.where(ctx)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	return d.DialContext(ctx, "unix", socket)
}

// serveOnce runs one process from start to end and says whether it was ever
// ready.
func (c *Child) serveOnce(ctx context.Context) (wasReady bool, err error) {
	controlR, controlW, err := os.Pipe()
	if err != nil {
		return false, err
	}
	defer controlW.Close()
	defer controlR.Close()
	eventR, eventW, err := os.Pipe()
	if err != nil {
		return false, err
	}
	defer eventR.Close()
	defer eventW.Close()

	name := make([]byte, 4)
	if _, err := rand.Read(name); err != nil {
		return false, err
	}
	cfg := c.server
	cfg.Socket = filepath.Join(c.cfg.SocketDir, childSocket+hex.EncodeToString(name)+childSocketEnd)
	defer os.Remove(cfg.Socket)

	log := &lineLog{log: c.cfg.Log}
	cmd := exec.Command(c.cfg.Command[0], c.cfg.Command[1:]...)
	cmd.ExtraFiles = []*os.File{controlR, eventW} // descriptors 3 and 4
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the server, which ends us in its own order
	if err := cmd.Start(); err != nil {
		return false, err
	}
	_, _ = controlR.Close(), eventW.Close() // so that their ends are seen
	c.started(cmd.Process)

	gone := make(chan error, 1)
	go func() { gone <- cmd.Wait() }()
	up := make(chan error, 1)
	go func() {
		if err := json.NewEncoder(controlW).Encode(cfg); err != nil {
			up <- err
			return
		}
		line, err := bufio.NewReader(eventR).ReadString('\n')
		if err == nil && line != readyLine {
			err = fmt.Errorf("unexpected event %q", line)
		}
		up <- err
	}()

	stop := ctx.Done()
	var kill <-chan time.Time
	for {
		select {
		case err := <-up:
			up = nil // its only message
			if err == nil {
				wasReady = true
				c.serving(cfg.Socket)
			} // otherwise the process is ending, and gone says why
		case <-stop:
			stop = nil
			c.stopped()
			if up == nil {
				controlW.Close()
			} else { // not configured yet: nothing to end politely
				_ = cmd.Process.Kill()
			}
			timer := time.NewTimer(childGrace)
			defer timer.Stop()
			kill = timer.C
		case <-kill:
			_ = cmd.Process.Kill()
		case err := <-gone:
			c.stopped()
			if up != nil {
				<-up //nolint:errcheck // the pipes have no other end any more
			}
			c.started(nil)
			if err == nil {
				err = errors.New("it ended without an error")
			}
			if text := log.last(); text != "" {
				err = fmt.Errorf("%w: %s", err, text)
			}
			return wasReady, err
		}
	}
}

// started notes the process that runs now; nil if none does.
func (c *Child) started(p *os.Process) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.process = p
}

// serving notes the socket and releases those who wait for it.
func (c *Child) serving(socket string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.socket = socket
	close(c.ready)
}

// stopped notes that no server can be dialled.
func (c *Child) stopped() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.socket != "" {
		c.socket, c.ready = "", make(chan struct{})
	}
}

// sweep removes the sockets that killed servers left.
func (c *Child) sweep() {
	left, _ := filepath.Glob(filepath.Join(c.cfg.SocketDir, childSocket+"*"+childSocketEnd))
	for _, path := range left {
		_ = os.Remove(path)
	}
}

// lineLog passes what the process prints to the log, line by line.
type lineLog struct {
	log *slog.Logger

	mu   sync.Mutex // guards what follows
	rest []byte     // an unfinished line
	tail string     // the last line
}

// lineMax bounds an unfinished line.
const lineMax = 4 << 10

func (l *lineLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		i := bytes.IndexByte(l.rest, '\n')
		if i < 0 && len(l.rest) < lineMax {
			return len(p), nil
		}
		line := l.rest
		if i >= 0 {
			line, l.rest = l.rest[:i], l.rest[i+1:]
		} else {
			l.rest = nil
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			l.tail = string(line)
			l.log.Warn("object server says", "line", l.tail)
		}
	}
}

// last returns the last line printed.
func (l *lineLog) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if rest := bytes.TrimSpace(l.rest); len(rest) > 0 {
		return string(rest)
	}
	return l.tail
}

var _ io.Writer = (*lineLog)(nil)
