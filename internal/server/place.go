package server

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// place is where one server keeps things: the data directory, and a short
// directory of its own for sockets.
type place struct {
	data    string // data directory, 0700
	sockets string // socket directory of this data directory
}

// maxSocket is the longest path a Unix socket may have everywhere we run.
const maxSocket = 100

func newPlace(c *Config) place {
	sum := sha256.Sum256([]byte(c.DataDir))
	return place{data: c.DataDir, sockets: filepath.Join(c.SocketDir, hex.EncodeToString(sum[:4]))}
}

func (p place) lockFile() string { return filepath.Join(p.data, "lock") }
func (p place) runFile() string  { return filepath.Join(p.data, "server.json") }
func (p place) database() string { return filepath.Join(p.data, "glaux.db") }
func (p place) keys() string     { return filepath.Join(p.data, "keys") }
func (p place) logs() string     { return filepath.Join(p.data, "logs") }
func (p place) history() string  { return filepath.Join(p.data, "history") }
func (p place) objects() string  { return filepath.Join(p.data, "objects") }
func (p place) agent() string    { return filepath.Join(p.sockets, "agent.sock") }
func (p place) connect() string  { return filepath.Join(p.data, "connect") }
func (p place) control() string  { return filepath.Join(p.sockets, "control.sock") }

// make creates the directories. Others may pass through the socket directory,
// because sessions with a user of their own bind sockets below it; what they
// may open there is decided by each socket's own mode.
func (p place) make() error {
	if err := os.MkdirAll(p.data, 0o700); err != nil {
		return fmt.Errorf("cannot make the data directory: %w", err)
	}
	if err := os.MkdirAll(p.sockets, 0o711); err != nil {
		return fmt.Errorf("cannot make the socket directory: %w", err)
	}
	if err := p.ours(os.Geteuid()); err != nil {
		return err
	}
	// The longest socket below it is <12 characters>/connect.sock.
	if n := len(filepath.Join(p.sockets, "0123456789ab", "connect.sock")); n > maxSocket {
		return fmt.Errorf("cannot use socket directory %q: socket paths below it would have %d bytes, more than %d; give a shorter --socket-dir", p.sockets, n, maxSocket)
	}
	return nil
}

// ours refuses socket directories in which somebody but the user uid and root
// could put sockets of their own in the place of ours: the default one may lie
// in a directory where everybody can make things.
func (p place) ours(uid int) error {
	base := filepath.Dir(p.sockets)
	if err := owned(filepath.Dir(base), uid, os.Stat); err != nil { // a link to it is its owner's affair
		return err
	}
	for _, dir := range []string{base, p.sockets} {
		if err := owned(dir, uid, os.Lstat); err != nil {
			return err
		}
	}
	return nil
}

// owned refuses a path that is no directory, another user's, or one in which
// others can replace what is ours.
func owned(dir string, uid int, stat func(string) (os.FileInfo, error)) error {
	info, err := stat(dir)
	if err != nil {
		return fmt.Errorf("cannot check the socket directory: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("cannot use the socket directory: %q is no directory (%s); remove it, or give another --socket-dir", dir, info.Mode().Type())
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("cannot use the socket directory: it cannot be told whose %q is", dir)
	}
	if int(owner.Uid) != uid && owner.Uid != 0 {
		return fmt.Errorf("cannot use the socket directory: %q belongs to the user with uid %d, who could replace the sockets in it; give another --socket-dir", dir, owner.Uid)
	}
	if info.Mode().Perm()&0o022 != 0 && info.Mode()&os.ModeSticky == 0 {
		return fmt.Errorf("cannot use the socket directory: others may write to %q (%s) and could replace the sockets in it; take that away (chmod go-w), or give another --socket-dir",
			dir, info.Mode())
	}
	return nil
}

// errRunning is returned by lock while another server holds the place.
var errRunning = errors.New("another server uses this data directory")

// lock takes the data directory for this process, until the file is closed or
// the process ends however it ends.
func (p place) lock() (*os.File, error) {
	f, err := os.OpenFile(p.lockFile(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open the data directory's lock: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errRunning
	}
	return nil, fmt.Errorf("cannot lock the data directory: %w", err)
}

// running is what a server leaves in the data directory for other commands.
type running struct {
	PID     int
	URL     string // base URL of the API
	Control string // path of the control socket
}

func (p place) writeRunning(r running) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return writeFile(p.runFile(), text)
}

// readRunning returns what the server of the place has written. It says
// nothing of whether that server still runs; the lock does.
func (p place) readRunning() (running, error) {
	var r running
	text, err := os.ReadFile(p.runFile())
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(text, &r)
}

// writeFile replaces a file atomically; only its owner can read it.
func writeFile(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // nothing is there after the rename
	if _, err := f.Write(text); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// listenUnix binds a Unix socket that only this user can open. It is bound
// where nobody else can reach it and then moved to its place, so that there is
// no moment at which others could connect; an old socket is replaced.
func (p place) listenUnix(path string) (net.Listener, error) {
	closed, err := os.MkdirTemp(p.sockets, "")
	if err != nil {
		return nil, fmt.Errorf("cannot make a socket: %w", err)
	}
	defer os.RemoveAll(closed)
	first := filepath.Join(closed, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: first, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("cannot make a socket: %w", err)
	}
	l.SetUnlinkOnClose(false) // its name changes below; removal is by remove
	if err := os.Chmod(first, 0o600); err != nil {
		_ = l.Close() // the first failure is the one to tell
		return nil, fmt.Errorf("cannot protect a socket: %w", err)
	}
	if err := os.Rename(first, path); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("cannot put a socket into place: %w", err)
	}
	return l, nil
}
