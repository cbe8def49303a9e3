package calc

import (
	"bytes"
	"context"
	"io"
	"sync"
	"time"

	"glaux/internal/access"
	"glaux/internal/cell"
	"glaux/internal/engine"
)

// Output reads what a calculation writes, from offset (bytes) on. While it
// runs the reader follows it and ends with io.EOF after its last byte; a
// calculation that is over is read from its object. Displays are JSON lines
// while it runs and the result object afterwards. The caller closes the
// reader, which ends with ctx too. It is what the server's own page for
// following output stands on: Athena has no operation for it.
func (m *Manager) Output(ctx context.Context, who access.Caller, id string, s engine.Stream, offset int64) (io.ReadCloser, error) {
	for {
		c, err := m.Get(ctx, who, id)
		if err != nil {
			return nil, err
		}
		if c.State.Terminal() {
			return m.kept(ctx, c, s, offset)
		}
		r, err := m.follow(ctx, id, c, s, offset)
		if err == nil {
			return r, nil
		}
		// It ended just now, or its driver is out of reach: the row decides.
		if err := cell.Pause(ctx, retryEvery); err != nil {
			return nil, err
		}
	}
}

// kept reads a stream of a calculation that is over.
func (m *Manager) kept(ctx context.Context, c Calculation, s engine.Stream, offset int64) (io.ReadCloser, error) {
	uri := map[engine.Stream]string{engine.Stdout: c.StdoutURI, engine.Stderr: c.StderrURI, engine.Displays: c.ResultURI}[s]
	if uri == "" {
		return io.NopCloser(bytes.NewReader(nil)), nil
	}
	r, err := m.cfg.Objects.Get(ctx, uri, offset)
	if err != nil {
		return nil, internal("read output", err)
	}
	return r, nil
}

// follow reads a stream of a calculation that runs.
func (m *Manager) follow(ctx context.Context, id string, c Calculation, s engine.Stream, offset int64) (io.ReadCloser, error) {
	j := m.job(id)
	if j == nil {
		return nil, errOver
	}
	select {
	case <-j.taken:
	case <-j.settled:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	r, err := m.cfg.Sessions.Runner(ctx, c.Session)
	if err != nil {
		return nil, err
	}
	j.enter()
	out, err := r.Output(ctx, engine.CellID(id), s, offset)
	if err != nil {
		j.leave()
		return nil, err
	}
	return &follower{ReadCloser: out, leave: sync.OnceFunc(j.leave)}, nil
}

// follower tells the job when nobody reads any more.
type follower struct {
	io.ReadCloser
	leave func()
}

func (f *follower) Close() error {
	defer f.leave()
	return f.ReadCloser.Close()
}

func (j *job) enter() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.readers++
}

func (j *job) leave() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.readers--
	cell.Poke(j.left)
}

func (j *job) following() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.readers > 0
}

// stayForReaders waits until nobody reads the job's output, for a bounded time.
func (j *job) stayForReaders(ctx context.Context) {
	if !j.following() {
		return
	}
	enough := time.NewTimer(readersMay)
	defer enough.Stop()
	for j.following() {
		select {
		case <-j.left:
		case <-enough.C:
			return
		case <-ctx.Done():
			return
		}
	}
}
