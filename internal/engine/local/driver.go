package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
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

// Driver is one server's hold on a session's shim. It implements
// engine.Driver, engine.Runner and engine.Keeper.
type Driver struct {
	l      *Launcher
	key    engine.Key
	dir    string
	client shim.Client
	told   sync.Once // of its start
}

var (
	_ engine.Driver = (*Driver)(nil)
	_ engine.Runner = (*Driver)(nil)
	_ engine.Keeper = (*Driver)(nil)

	_ engine.Claimer = (*Driver)(nil)
)

// ErrNotPrepared is returned by Run for a driver that is not ready yet.
var ErrNotPrepared = errors.New("cannot run cell: the driver is not prepared")

func (d *Driver) file(name string) string { return filepath.Join(d.dir, name) }

// Handle returns what Adopt needs.
func (d *Driver) Handle() engine.Handle {
	h := newHandle(d.key, d.client.Epoch)
	h.Waits = d.waits()
	return h
}

// retryEvery is the pause before a shim that is alive but did not take a
// connection is asked again.
const retryEvery = 20 * time.Millisecond

// again says what an error of the client means: nil to ask again, else the
// error of the contract. ErrGone means that exit() has an answer.
func (d *Driver) again(ctx context.Context, err error) error {
	var refused *shim.Error
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &refused):
		return contractError(refused)
	case errors.Is(err, shim.ErrFrame):
		return err
	case d.gone(err):
		return engine.ErrGone
	}
	select {
	case <-time.After(retryEvery):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func contractError(e *shim.Error) error {
	switch e.Code {
	case shim.Stale:
		return engine.ErrStale
	case shim.Busy:
		return engine.ErrBusy
	case shim.NoCell:
		return engine.ErrNoCell
	case shim.Gone:
		return engine.ErrGone
	case shim.NotPrepared:
		return ErrNotPrepared
	case shim.Trimmed:
		return &engine.TrimmedError{First: e.First}
	case shim.Unserved:
		return fmt.Errorf("%w: %s", engine.ErrUnserved, e.Text)
	case shim.Mismatch, shim.Bad, shim.Failed:
		return e
	}
	return e
}

// gone decides, after a connection failed with err, whether the driver is:
// there is a record of its end, or its shim is no more.
func (d *Driver) gone(err error) bool {
	if _, serr := os.Stat(d.file(shim.ExitFile)); serr == nil {
		return true
	}
	var st supervise.State
	switch rerr := readJSON(d.file(shim.StateFile), &st); {
	case rerr == nil:
		return !st.Shim.Alive()
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return true // nobody holds the socket: it never ran, or its directory was removed
	}
	return false
}

// do sends a request until the shim has answered it.
func (d *Driver) do(ctx context.Context, q shim.Request) (shim.Reply, error) {
	for {
		r, err := d.client.Do(ctx, q)
		if err == nil {
			return r, nil
		}
		if err := d.again(ctx, err); err != nil {
			return r, err
		}
	}
}

// started tells once how the driver has started.
func (d *Driver) started(a *shim.Archive) {
	if d.l.cfg.Started == nil || a == nil { // a shim of an earlier release tells later
		return
	}
	d.told.Do(func() { d.l.cfg.Started(Start{Key: d.key, Archive: a.Used, Why: a.Why}) })
}

// Watch reports the shim's statuses.
func (d *Driver) Watch(ctx context.Context, f func(engine.Status)) error {
	return d.watch(ctx, func(s shim.Status) { f(fromStatus(s)) })
}

func (d *Driver) watch(ctx context.Context, f func(shim.Status)) error {
	var last shim.Status
	for {
		err := d.client.Watch(ctx, func(s shim.Status) {
			last = s
			f(s)
		})
		if err == nil {
			return nil
		}
		err = d.again(ctx, err)
		if errors.Is(err, engine.ErrGone) {
			last.Phase = shim.PhaseGone
			last.Cell, last.TasksDone, last.TasksTotal, last.Operations = "", 0, 0, 0
			f(last)
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Ready waits until the status says so.
func (d *Driver) Ready(ctx context.Context) error {
	watch, cancel := context.WithCancel(ctx)
	defer cancel()
	ready := false
	err := d.watch(watch, func(s shim.Status) {
		if s.Phase == shim.PhasePrepared {
			ready = true
			d.started(s.Archive)
			cancel()
		}
	})
	switch {
	case ready:
		return nil
	case err != nil:
		return err
	}
	e, cause, err := d.exit()
	if err != nil {
		return err
	}
	return &engine.StartError{Cause: cause, Exit: e}
}

// Dial connects through the shim.
func (d *Driver) Dial(ctx context.Context, service engine.Service) (net.Conn, error) {
	for {
		c, err := d.client.Dial(ctx, string(service))
		if err == nil {
			return c, nil
		}
		if refused := (*shim.Error)(nil); errors.As(err, &refused) && refused.Code == shim.Failed {
			return nil, fmt.Errorf("%w: %s", engine.ErrNoReply, refused.Text)
		}
		if err := d.again(ctx, err); err != nil {
			return nil, err
		}
	}
}

// Wait waits for the record of the end.
func (d *Driver) Wait(ctx context.Context) (engine.Exit, error) {
	if err := d.Watch(ctx, func(engine.Status) {}); err != nil {
		return engine.Exit{}, err
	}
	e, _, err := d.exit()
	return e, err
}

// killWithin bounds what a forced Stop takes.
const killWithin = 5 * time.Second

// Stop asks the shim to end the driver, and forces it when ctx ends.
func (d *Driver) Stop(ctx context.Context) error {
	_, err := d.do(ctx, shim.Request{Op: shim.OpStop})
	if err == nil {
		_, err = d.Wait(ctx)
	}
	if ctx.Err() == nil {
		if errors.Is(err, engine.ErrGone) {
			_, _, err = d.exit()
		}
		return err
	}
	// The caller's patience has ended, not its wish that the driver does.
	force, cancel := context.WithTimeout(context.WithoutCancel(ctx), killWithin)
	defer cancel()
	_, err = d.do(force, shim.Request{Op: shim.OpStop, Force: true})
	if err == nil {
		_, err = d.Wait(force)
	}
	if errors.Is(err, engine.ErrStale) {
		return err
	}
	if err == nil || errors.Is(err, engine.ErrGone) {
		_, _, err = d.exit()
		return err
	}
	return d.kill()
}

// kill ends a shim that does not answer, and its session.
func (d *Driver) kill() error {
	var st supervise.State
	if readJSON(d.file(shim.StateFile), &st) != nil {
		_, _, err := d.exit() // it never came so far; what there is of it bears the session's mark
		return err
	}
	if err := st.Shim.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("cannot kill shim: %w", err)
	}
	for deadline := time.Now().Add(killWithin); st.Shim.Alive() && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	_, _, err := d.exit()
	return err
}

// Remove deletes the session's directories.
func (d *Driver) Remove(ctx context.Context) error {
	if _, err := os.Stat(d.dir); errors.Is(err, fs.ErrNotExist) {
		return os.RemoveAll(d.l.socketDir(d.key))
	}
	_, err := d.do(ctx, shim.Request{Op: shim.OpStatus})
	if err == nil {
		// The record is written a moment before the shim stops answering.
		if _, serr := os.Stat(d.file(shim.ExitFile)); serr != nil {
			return errors.New("cannot remove driver: it still runs")
		}
	} else if !errors.Is(err, engine.ErrGone) {
		return err
	}
	if _, _, err := d.exit(); err != nil {
		return err
	}
	if spec, err := supervise.ReadSpec(d.file(shim.SpecFile)); err == nil {
		// A shim that ended by itself has done so. It holds nothing up: an empty group costs nothing.
		_ = (*sandbox.Group)(spec.Group).Remove(0)
	}
	if err := errors.Join(os.RemoveAll(d.l.socketDir(d.key)), os.RemoveAll(d.dir)); err != nil {
		return fmt.Errorf("cannot remove what driver %q left: %w", d.key, err)
	}
	return nil
}

// exit returns how a driver that is gone has ended, and why in a sentence.
// Where the shim left no record it ends what may still run, and writes one.
func (d *Driver) exit() (engine.Exit, string, error) {
	var e shim.Exit
	err := readJSON(d.file(shim.ExitFile), &e)
	if err != nil {
		if e, err = d.lost(); err != nil {
			return engine.Exit{}, "", err
		}
	}
	return fromExit(e), causeOf(e), nil
}

// lost records the end of a driver whose shim left no record: it was killed,
// the machine was restarted, or its pid is somebody else's now.
func (d *Driver) lost() (shim.Exit, error) {
	info, err := os.Stat(d.dir)
	if err != nil {
		return shim.Exit{}, engine.ErrGone
	}
	spec, _ := supervise.ReadSpec(d.file(shim.SpecFile)) // without one there is no uid to look for
	uid := 0
	if spec.Sandboxed {
		uid = spec.UID
	}
	var st supervise.State
	if readJSON(d.file(shim.StateFile), &st) == nil {
		for _, p := range []supervise.Stamp{st.JVM, st.Python} {
			_ = p.Signal(syscall.SIGKILL) // mostly gone with the shim
		}
	}
	if n := supervise.Sweep(string(d.key), uid); n > 0 {
		d.l.cfg.Log.Warn("processes of a lost session were ended", "session", d.key, "processes", n)
	}
	// It lived at least as long as it wrote.
	begun, last := info.ModTime(), info.ModTime()
	if at, err := os.Stat(d.file(shim.SpecFile)); err == nil {
		begun = at.ModTime()
	}
	wrote := []string{shim.StateFile, shim.LogFile, shim.CellsDir}
	if files, err := os.ReadDir(d.file(shim.LogsDir)); err == nil {
		for _, f := range files {
			wrote = append(wrote, filepath.Join(shim.LogsDir, f.Name()))
		}
	}
	for _, name := range wrote {
		if at, err := os.Stat(d.file(name)); err == nil && at.ModTime().After(last) {
			last = at.ModTime()
		}
	}
	e := shim.Exit{
		Lost: true, Code: -1, Process: "shim", Cause: "the session's supervisor ended without a record: it was killed, or the machine was restarted",
		Started: begun.UnixMilli(), Ended: last.UnixMilli(), Lived: max(0, last.Sub(begun)),
	}
	if err := writeFile(d.file(shim.ExitFile), e, -1); err != nil {
		return e, fmt.Errorf("cannot record a driver's end: %w", err)
	}
	return e, nil
}

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}
