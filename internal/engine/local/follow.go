package local

import (
	"context"
	"errors"
	"io"
	"sync"

	"glaux/internal/engine"
)

// source is where a stream is read from. Its errors are those of the contract,
// and live's also those of the client.
type source interface {
	// live connects to the stream at the offset, through the shim.
	live(ctx context.Context, offset int64) (io.ReadCloser, error)
	// left opens at the offset what a driver that is gone left of the stream.
	left(offset int64) (io.ReadCloser, error)
	// ended reports whether the stream is known to end at the offset.
	ended(offset int64) (bool, error)
}

// follow reads a stream to its end.
func (d *Driver) follow(ctx context.Context, s source, offset int64) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	f := &follower{d: d, ctx: ctx, cancel: cancel, source: s, at: offset}
	if err := f.open(); err != nil {
		cancel()
		return nil, err
	}
	return f, nil
}

// follower reads one stream over the loss of connections. It is used by one
// goroutine, but for Close.
type follower struct {
	d      *Driver
	ctx    context.Context // of the call that opened the stream: reading ends with it
	cancel context.CancelFunc
	source source
	at     int64
	final  bool // nobody writes any more to what from reads

	mu     sync.Mutex    // guards what Close touches too
	from   io.ReadCloser // changed by Read alone
	closed bool
}

// take makes from the stream that is read, unless that was closed.
func (f *follower) take(from io.ReadCloser) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.from = from; f.closed {
		_ = from.Close() // its reader learns of it at once
	}
}

// open connects to the stream at the offset reached so far.
func (f *follower) open() error {
	for {
		from, err := f.source.live(f.ctx, f.at)
		if err == nil {
			f.take(from)
			return nil
		}
		err = f.d.again(f.ctx, err)
		if errors.Is(err, engine.ErrGone) {
			if from, err = f.source.left(f.at); err == nil {
				f.final = true
				f.take(from)
			}
			return err
		}
		if err != nil {
			return err
		}
	}
}

// Read follows the stream over the loss of a connection.
func (f *follower) Read(p []byte) (int, error) {
	for {
		n, err := f.from.Read(p)
		f.at += int64(n)
		switch {
		case n > 0:
			return n, nil
		case f.ctx.Err() != nil:
			return 0, f.ctx.Err()
		case err == nil:
			continue
		case f.final:
			return 0, err
		}
		// The stream's end, or the connection's.
		_ = f.from.Close() // it has ended
		ended, err := f.source.ended(f.at)
		switch {
		case err != nil:
		case ended:
			err = io.EOF
		default:
			err = f.open()
		}
		if err != nil {
			f.take(nothing())
			return 0, err
		}
	}
}

// Close ends a Read that blocks.
func (f *follower) Close() error {
	f.cancel()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	return f.from.Close()
}

// nothing is a stream that has ended.
func nothing() io.ReadCloser { return io.NopCloser(&io.LimitedReader{}) }
