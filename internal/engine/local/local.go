// Package local runs drivers on this machine, each under a shim of its own.
//
// The launcher writes down what a session is (spec.json in its directory),
// binds its sockets, and starts the shim with them; from then on it speaks the
// shim's protocol. It keeps nothing in memory that a later server would need:
// what runs is found by the session's directory, its socket and the stamps of
// its processes.
package local

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"glaux/internal/engine"
	"glaux/internal/sandbox"
	"glaux/internal/shim"
	"glaux/internal/supervise"
)

// Runtime is what runs inside a session; package install knows one.
type Runtime struct {
	Version string
	// JVM returns program and arguments of the driver's JVM, for a heap limit,
	// a directory for its temporary files, a file of Spark properties (a JSON
	// object), further JVM options and further jars.
	JVM func(heapMiB int, temp, conf string, extra, jars []string) []string
	// Formats are the jars of table formats, by the format's name.
	Formats map[string][]string
	// Runner is program and arguments of the Python runner.
	Runner []string
	// Modules is program and arguments of what installs Python packages for one
	// session, without its command; nil: the runtime has none.
	Modules []string
	// Env is the environment both need, NAME=value.
	Env []string
	// Needs are the directories both read, besides those of the two programs.
	Needs []string
}

// Config says where and with what drivers are launched. All paths are absolute.
type Config struct {
	Runtime Runtime
	Data    string         // data directory; sessions live in its "sessions", shims in its "bin"
	Sockets string         // directory for sockets; short
	Agent   string         // the server's socket for API and S3
	Shim    string         // the shim's program
	Env     []string       // further environment of every session, NAME=value; a session's own wins
	Pip     Pip            // how pip finds packages for sessions that ask for some
	UIDs    int            // first uid of sessions, as root; zero: 200000
	Memory  int            // the machine's, MiB: no driver may ask for more; zero: not known
	Groups  sandbox.Groups // where control groups of sessions are made; zero: they have none
	// Beyond is the memory that a session's processes may take together beyond
	// its JVM's heap, MiB, where control groups can bound it. Zero: it is not bounded.
	Beyond int
	Log    *slog.Logger
	// Started is told of every driver whose start this launcher has waited for.
	// Nil: nobody is. It must not block.
	Started func(Start)
}

// Start is how a driver has started.
type Start struct {
	Key     engine.Key
	Archive bool   // its JVM uses the start-up archive
	Why     string // why it does not
}

// Pip is the machine's own configuration of pip. It is given to pip alone, not
// to a session's other processes; what a package runs when it is built sees it.
type Pip struct {
	Env   map[string]string // variables, such as PIP_INDEX_URL or HTTPS_PROXY
	Files map[string]string // configuration files by their path below the home directory
}

// UIDSpan is how many uids there are for sessions.
const UIDSpan = 65536

// maxSocket is the longest path of a Unix socket that every system takes, bytes.
const maxSocket = 100

// Launcher launches drivers on this machine. It implements engine.Launcher.
type Launcher struct {
	cfg  Config
	shim string // our copy of the shim's program

	mu   sync.Mutex                   // guards held
	held map[engine.Key]chan struct{} // drivers that are being launched, adopted or killed; closed when that is over

	uids sync.Mutex // held from the choice of a uid until a directory is its own
}

var (
	_ engine.Launcher = (*Launcher)(nil)
	_ engine.Killer   = (*Launcher)(nil)
)

// New makes a launcher. It copies the shim's program into the data directory,
// under a name made of its content, so that a new build never replaces it
// under a session that runs.
func New(cfg Config) (*Launcher, error) {
	if cfg.UIDs == 0 {
		cfg.UIDs = 200000
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	l := &Launcher{cfg: cfg, held: map[engine.Key]chan struct{}{}}
	if n := len(l.connectSocket("00000000-0000-0000-0000-000000000000")); n > maxSocket {
		return nil, fmt.Errorf("cannot use socket directory %q: paths below it would have %d bytes, more than %d", cfg.Sockets, n, maxSocket)
	}
	for dir, mode := range map[string]fs.FileMode{l.sessions(): 0o711, cfg.Sockets: 0o711} {
		if err := os.MkdirAll(dir, mode); err != nil {
			return nil, fmt.Errorf("cannot make directory: %w", err)
		}
	}
	var err error
	if l.shim, err = keep(cfg.Shim, filepath.Join(cfg.Data, "bin")); err != nil {
		return nil, fmt.Errorf("cannot copy the shim: %w", err)
	}
	return l, nil
}

// keep copies a program to dir/<hash>/<name> unless it is there.
func keep(program, dir string) (string, error) {
	in, err := os.Open(program)
	if err != nil {
		return "", err
	}
	defer in.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, in); err != nil {
		return "", err
	}
	to := filepath.Join(dir, hex.EncodeToString(sum.Sum(nil)[:8]), filepath.Base(program))
	if _, err := os.Stat(to); err == nil {
		return to, nil
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return "", err
	}
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	// A process forked while the file is open for writing would hold it open,
	// and nobody could execute it for that moment.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	tmp, err := os.CreateTemp(filepath.Dir(to), ".new-*")
	if err != nil {
		return "", err
	}
	defer os.Remove(tmp.Name()) // nothing is there after the rename
	_, err = io.Copy(tmp, in)
	if err == nil {
		err = tmp.Chmod(0o755)
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return "", err
	}
	return to, os.Rename(tmp.Name(), to)
}

func (l *Launcher) sessions() string        { return filepath.Join(l.cfg.Data, "sessions") }
func (l *Launcher) dir(k engine.Key) string { return filepath.Join(l.sessions(), string(k)) }
func (l *Launcher) socketDir(k engine.Key) string {
	return filepath.Join(l.cfg.Sockets, string(k[:min(12, len(k))]))
}
func (l *Launcher) socket(k engine.Key) string { return filepath.Join(l.socketDir(k), "shim.sock") }

// connectSocket lies in a directory that belongs to the session's user, which
// the shim's socket must not.
func (l *Launcher) connectSocket(k engine.Key) string {
	return filepath.Join(l.socketDir(k), "jvm", "connect.sock")
}

// handle is the Data of a Handle, as newHandle writes it.
type handle struct {
	Version int    `json:"v"`
	Epoch   uint64 `json:"epoch"`
}

func newHandle(k engine.Key, epoch uint64) engine.Handle {
	return engine.Handle{Key: k, Data: fmt.Appendf(nil, `{"v":1,"epoch":%d}`, epoch), Epoch: epoch}
}

// validKey says whether a key can name a directory and a socket of its own.
func validKey(k engine.Key) bool { return len(k) >= 12 && shim.ValidCell(string(k)) }

// Launch starts a shim for the spec, or returns the driver that has its key.
// A *engine.StartError says that the spec asks for what cannot be honoured;
// nothing is left behind then.
func (l *Launcher) Launch(ctx context.Context, spec engine.Spec) (engine.Driver, error) {
	if !validKey(spec.Key) {
		return nil, fmt.Errorf("cannot launch driver: bad key %q", spec.Key)
	}
	unlock, err := l.lock(ctx, spec.Key)
	if err != nil {
		return nil, err
	}
	defer unlock()
	dir := l.dir(spec.Key)
	if _, err := os.Stat(filepath.Join(dir, shim.SpecFile)); err == nil {
		d, err := l.adopt(ctx, spec.Key, spec.Epoch)
		if !errors.Is(err, errNeverRan) {
			return d, err
		}
	}
	// What is there was left by a server that ended before the shim ran.
	if err := errors.Join(os.RemoveAll(dir), os.RemoveAll(l.socketDir(spec.Key))); err != nil {
		return nil, fmt.Errorf("cannot launch driver: %w", err)
	}
	if err := l.start(ctx, spec); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir), os.RemoveAll(l.socketDir(spec.Key)))
	}
	return l.driver(spec.Key, spec.Epoch), nil
}

func (l *Launcher) driver(k engine.Key, epoch uint64) *Driver {
	return &Driver{l: l, key: k, dir: l.dir(k), client: shim.Client{Socket: l.socket(k), Epoch: epoch}}
}

// Adopt finds a driver by its handle.
func (l *Launcher) Adopt(ctx context.Context, h engine.Handle) (engine.Driver, error) {
	if !validKey(h.Key) {
		return nil, engine.ErrGone
	}
	epoch := h.Epoch
	if epoch == 0 && len(h.Data) > 0 {
		var data handle
		if err := json.Unmarshal(h.Data, &data); err != nil {
			return nil, fmt.Errorf("cannot adopt driver %q: %w", h.Key, err)
		}
		epoch = data.Epoch
	}
	unlock, err := l.lock(ctx, h.Key) // not while it is being launched
	if err != nil {
		return nil, err
	}
	defer unlock()
	d, err := l.adopt(ctx, h.Key, epoch)
	if errors.Is(err, errNeverRan) {
		return l.driver(h.Key, epoch), nil // there will be no record of its end: lost
	}
	return d, err
}

// Kill ends a driver that does not answer.
func (l *Launcher) Kill(ctx context.Context, k engine.Key) error {
	if !validKey(k) {
		return nil
	}
	unlock, err := l.lock(ctx, k)
	if err != nil {
		return err
	}
	defer unlock()
	d := l.driver(k, 0)
	if _, err := os.Stat(d.dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return d.kill()
}

// lock waits until nobody else launches, adopts or kills the driver of a key,
// or returns the error of ctx. One that does not answer holds up no other.
func (l *Launcher) lock(ctx context.Context, k engine.Key) (unlock func(), err error) {
	for ctx.Err() == nil {
		l.mu.Lock()
		held, ok := l.held[k]
		if !ok {
			free := make(chan struct{})
			l.held[k] = free
			l.mu.Unlock()
			return func() {
				l.mu.Lock()
				defer l.mu.Unlock()
				delete(l.held, k)
				close(free)
			}, nil
		}
		l.mu.Unlock()
		select {
		case <-held:
		case <-ctx.Done():
		}
	}
	return nil, ctx.Err()
}

// answerWithin bounds the wait for a shim that is alive to say so.
const answerWithin = 5 * time.Second

// errNeverRan is returned by adopt for a session whose shim was never started.
var errNeverRan = errors.New("the shim never ran")

func (l *Launcher) adopt(ctx context.Context, k engine.Key, epoch uint64) (engine.Driver, error) {
	d := l.driver(k, epoch)
	if _, err := os.Stat(d.dir); err != nil {
		return nil, engine.ErrGone
	}
	if epoch == 0 {
		if spec, err := supervise.ReadSpec(d.file(shim.SpecFile)); err == nil {
			d.client.Epoch = spec.Epoch
		}
	}
	ask, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	_, err := d.do(ask, shim.Request{Op: shim.OpStatus})
	switch {
	case err == nil:
		return d, nil
	case ask.Err() != nil && ctx.Err() == nil:
		return nil, fmt.Errorf("cannot adopt driver %q: %w", k, engine.ErrNoReply)
	case !errors.Is(err, engine.ErrGone):
		return nil, err
	}
	_, stateErr := os.Stat(d.file(shim.StateFile))
	_, exitErr := os.Stat(d.file(shim.ExitFile))
	if stateErr != nil && exitErr != nil {
		return nil, errNeverRan
	}
	return d, nil
}

// List returns every session that has a directory.
func (l *Launcher) List(context.Context) ([]engine.Handle, error) {
	entries, err := os.ReadDir(l.sessions())
	if err != nil {
		return nil, fmt.Errorf("cannot list drivers: %w", err)
	}
	var out []engine.Handle
	for _, e := range entries {
		k := engine.Key(e.Name())
		if !e.IsDir() || !validKey(k) {
			continue
		}
		h := newHandle(k, 0) // Adopt looks for the epoch it was launched with
		h.Waits = l.driver(k, 0).waits()
		out = append(out, h)
	}
	return out, nil
}

// chooseUID returns a uid that no session has and no process runs as. Where
// the search begins depends on the key, so that two servers on one machine
// rarely meet. Called with uids held, until the uid owns the work directory.
func (l *Launcher) chooseUID(k engine.Key) (int, error) {
	used := map[int]bool{}
	entries, err := os.ReadDir(l.sessions())
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		if st, err := os.Stat(filepath.Join(l.sessions(), e.Name(), "work")); err == nil {
			used[int(st.Sys().(*syscall.Stat_t).Uid)] = true
		}
	}
	sum := sha256.Sum256([]byte(k))
	first := (int(sum[0])<<8 | int(sum[1])) % UIDSpan
	for i := range UIDSpan {
		uid := l.cfg.UIDs + (first+i)%UIDSpan
		if !used[uid] && !supervise.InUse(uid) {
			return uid, nil
		}
	}
	return 0, errors.New("every uid for sessions is in use")
}

// secret returns a random secret.
func secret() string {
	b := make([]byte, 24)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// isolated says whether sessions get users of their own.
func isolated() bool { return sandbox.Supported() }
