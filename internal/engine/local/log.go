package local

import (
	"context"
	"errors"
	"fmt"
	"io"

	"glaux/internal/engine"
	"glaux/internal/shim"
	"glaux/internal/supervise"
)

var _ engine.Logger = (*Driver)(nil)

// Log opens one of the driver's streams: through the shim, or from its files
// once the driver is gone.
func (d *Driver) Log(ctx context.Context, s engine.LogSource, offset int64) (io.ReadCloser, error) {
	if s != engine.LogStdout && s != engine.LogStderr || offset < 0 {
		return nil, fmt.Errorf("cannot read log %q from %d: there is none", s, offset)
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &logReader{d: d, ctx: ctx, cancel: cancel, source: s, at: offset}
	if err := r.open(); err != nil {
		cancel()
		return nil, err
	}
	return r, nil
}

// logReader reads one stream. It is used by one goroutine, but for Close.
type logReader struct {
	d      *Driver
	ctx    context.Context // of the Log call: reading ends with it
	cancel context.CancelFunc
	source engine.LogSource
	at     int64
	from   io.ReadCloser
	final  bool // from are files that nobody writes any more
}

// open connects to the stream at the offset reached so far.
func (r *logReader) open() error {
	for {
		from, err := r.d.client.Log(r.ctx, string(r.source), r.at)
		if err == nil {
			r.from = from
			return nil
		}
		if refused, ok := errors.AsType[*shim.Error](err); ok && refused.Code == shim.Bad {
			return engine.ErrNoLog // a shim from before there were any
		}
		err = r.d.again(r.ctx, err)
		if errors.Is(err, engine.ErrGone) {
			return r.openFiles()
		}
		if err != nil {
			return err
		}
	}
}

func (r *logReader) openFiles() error {
	if _, _, err := r.d.exit(); err != nil { // first: it ends what might still write
		return err
	}
	from, err := supervise.OpenJournal(r.d.file(shim.LogsDir), string(r.source), r.at)
	if trimmed, ok := errors.AsType[*supervise.TrimmedError](err); ok {
		return &engine.TrimmedError{First: trimmed.First}
	}
	if err != nil {
		return err
	}
	r.from, r.final = from, true
	return nil
}

// Read follows the stream over the loss of a connection.
func (r *logReader) Read(p []byte) (int, error) {
	for {
		n, err := r.from.Read(p)
		r.at += int64(n)
		switch {
		case n > 0:
			return n, nil
		case r.ctx.Err() != nil:
			return 0, r.ctx.Err()
		case err == nil:
			continue
		case r.final:
			return 0, err
		}
		// The stream's end, the connection's, or a reader that was too slow: the
		// shim or the files tell.
		_ = r.from.Close() // it has ended
		if err := r.open(); err != nil {
			r.from = io.NopCloser(&io.LimitedReader{})
			return 0, err
		}
	}
}

// Close ends a Read that blocks.
func (r *logReader) Close() error {
	r.cancel()
	return r.from.Close()
}
