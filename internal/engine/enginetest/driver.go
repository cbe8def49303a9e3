package enginetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"glaux/internal/engine"
)

// driver is one server's hold on a machine.
type driver struct {
	m     *machine
	epoch uint64
}

var (
	_ engine.Driver = (*driver)(nil)
	_ engine.Runner = (*driver)(nil)
	_ engine.Keeper = (*driver)(nil)

	errNotPrepared = errors.New("cannot run cell: the driver is not prepared")
)

// Handle returns what Adopt needs.
func (d *driver) Handle() engine.Handle { return d.m.handle(d.epoch) }

// until blocks until ok, called with the lock held, is true. It returns with
// the lock held unless it returns an error.
func (d *driver) until(ctx context.Context, ok func() bool) error {
	m := d.m
	for {
		m.mu.Lock()
		if d.epoch < m.epoch {
			m.mu.Unlock()
			return engine.ErrStale
		}
		if ok() {
			return nil
		}
		changed := m.changed
		m.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// now takes the lock for a server that is not stale.
func (d *driver) now(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return d.until(ctx, func() bool { return true })
}

// Ready waits for the scripted start.
func (d *driver) Ready(ctx context.Context) error {
	m := d.m
	if err := d.until(ctx, func() bool { return m.ready || m.exit != nil }); err != nil {
		return err
	}
	defer m.mu.Unlock()
	switch {
	case m.failure != nil:
		return &engine.StartError{Cause: m.failure.Cause, Exit: *m.exit}
	case m.exit != nil:
		return &engine.StartError{Cause: "the driver ended", Exit: *m.exit}
	}
	return nil
}

// Watch reports every change of the machine.
func (d *driver) Watch(ctx context.Context, f func(engine.Status)) error {
	m := d.m
	for {
		if err := d.now(ctx); err != nil {
			return err
		}
		s, gone, changed := m.snapshotLocked(), m.exit != nil, m.changed
		m.mu.Unlock()
		f(s)
		if gone {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Dial connects to what OnDial plays.
func (d *driver) Dial(ctx context.Context, service engine.Service) (net.Conn, error) {
	m := d.m
	if err := d.now(ctx); err != nil {
		return nil, err
	}
	gone := m.exit != nil
	m.mu.Unlock()
	switch {
	case gone:
		return nil, engine.ErrGone
	case m.fake.OnDial == nil:
		return nil, engine.ErrNoReply
	}
	return m.fake.OnDial(m.spec.Key, service)
}

// Secret makes a secret of the key and the service.
func (d *driver) Secret(ctx context.Context, service engine.Service) (string, error) {
	m := d.m
	if err := ctx.Err(); err != nil {
		return "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.removed:
		return "", engine.ErrGone
	case service != engine.Connect && service != engine.UI:
		return "", fmt.Errorf("%w: %q", engine.ErrNoSecret, service)
	}
	return fakeSecret(m.spec.Key, service), nil
}

func fakeSecret(key engine.Key, s engine.Service) string {
	return "secret of " + string(key) + " for " + string(s)
}

// Stop ends the machine after the scripted time, or when ctx ends.
func (d *driver) Stop(ctx context.Context) error {
	m := d.m
	if err := d.until(ctx, func() bool { return true }); err != nil {
		return err
	}
	first := !m.stopped
	m.stopped = true
	m.mu.Unlock()
	if first {
		after(m.begin.StopTakes, func() { m.end(engine.Exit{Asked: true}) })
	}
	err := d.until(ctx, func() bool { return m.exit != nil })
	if err == nil {
		m.mu.Unlock()
		return nil
	}
	if errors.Is(err, engine.ErrStale) {
		return err
	}
	m.end(engine.Exit{Asked: true, Code: -1, Signal: 9, Process: "java"})
	return nil
}

// Wait returns the end of the machine.
func (d *driver) Wait(ctx context.Context) (engine.Exit, error) {
	m := d.m
	if err := d.until(ctx, func() bool { return m.exit != nil }); err != nil {
		return engine.Exit{}, err
	}
	defer m.mu.Unlock()
	return *m.exit, nil
}

// Remove forgets a machine that is gone.
func (d *driver) Remove(ctx context.Context) error {
	m := d.m
	if err := d.now(ctx); err != nil {
		return err
	}
	alive := m.exit == nil
	if !alive {
		m.removed = true
		m.cells = map[engine.CellID]*cell{}
	}
	m.mu.Unlock()
	if alive {
		return errors.New("cannot remove driver: it still runs")
	}
	m.fake.remove(m.spec.Key)
	return nil
}

// Run starts a scripted cell.
func (d *driver) Run(ctx context.Context, code engine.Cell) error {
	script := d.m.fake.script(d.m.spec.Key, code)
	m := d.m
	if err := d.now(ctx); err != nil {
		return err
	}
	var err error
	var c *cell
	switch {
	case m.cells[code.ID] != nil: // taken before
	case m.exit != nil:
		err = engine.ErrGone
	case !m.ready:
		err = errNotPrepared
	case m.status.Cell != "":
		err = engine.ErrBusy
	default:
		c = m.beginLocked(code, script)
	}
	m.mu.Unlock()
	if c != nil {
		m.play(c)
	}
	return err
}

// Result waits for the cell's record.
func (d *driver) Result(ctx context.Context, id engine.CellID) (engine.CellResult, error) {
	m := d.m
	var c *cell
	err := d.until(ctx, func() bool {
		c = m.cells[id]
		return c == nil || c.result != nil
	})
	if err != nil {
		return engine.CellResult{}, err
	}
	defer m.mu.Unlock()
	if c == nil {
		return engine.CellResult{}, engine.ErrNoCell
	}
	return *c.result, nil
}

// Interrupt plays the cell's reaction.
func (d *driver) Interrupt(ctx context.Context, id engine.CellID) error {
	m := d.m
	if err := d.now(ctx); err != nil {
		return err
	}
	c := m.cells[id]
	first := c != nil && c.result == nil && !c.asked
	if c != nil {
		c.asked = true
	}
	m.mu.Unlock()
	if c == nil {
		return engine.ErrNoCell
	}
	if first {
		m.interrupt(c)
	}
	return nil
}

// Output follows a stream of the cell.
func (d *driver) Output(ctx context.Context, id engine.CellID, s engine.Stream, offset int64) (io.ReadCloser, error) {
	m := d.m
	if err := d.now(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	if m.cells[id] == nil {
		return nil, engine.ErrNoCell
	}
	ctx, cancel := context.WithCancel(ctx)
	return &reader{d: d, ctx: ctx, cancel: cancel, id: id, stream: s, at: offset}, nil
}

// Discard forgets an ended cell.
func (d *driver) Discard(ctx context.Context, id engine.CellID) error {
	m := d.m
	if err := d.now(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	if c := m.cells[id]; c != nil && c.result == nil {
		return engine.ErrBusy
	}
	delete(m.cells, id)
	return nil
}

// reader follows one stream.
type reader struct {
	d      *driver
	ctx    context.Context // of the Output call: reading ends with it
	cancel context.CancelFunc
	id     engine.CellID
	stream engine.Stream
	at     int64
}

// Read blocks until the cell wrote something or ended.
func (r *reader) Read(p []byte) (int, error) {
	m := r.d.m
	var c *cell
	err := r.d.until(r.ctx, func() bool {
		c = m.cells[r.id]
		return c == nil || c.result != nil || r.at < int64(len(c.out[r.stream]))
	})
	if err != nil {
		return 0, err
	}
	defer m.mu.Unlock()
	if c == nil {
		return 0, engine.ErrNoCell
	}
	b := c.out[r.stream]
	if r.at >= int64(len(b)) {
		return 0, io.EOF
	}
	n, err := bytes.NewReader(b[r.at:]).Read(p)
	r.at += int64(n)
	return n, err
}

// Close ends a Read that blocks.
func (r *reader) Close() error {
	r.cancel()
	return nil
}
