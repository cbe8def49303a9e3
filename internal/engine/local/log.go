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
	r, err := d.follow(ctx, journal{d, s}, offset)
	if refused, ok := errors.AsType[*shim.Error](err); ok && refused.Code == shim.Bad {
		return nil, engine.ErrNoLog // a shim from before there were any
	}
	return r, err
}

// journal is one of the driver's streams.
type journal struct {
	d      *Driver
	source engine.LogSource
}

func (j journal) live(ctx context.Context, offset int64) (io.ReadCloser, error) {
	return j.d.client.Log(ctx, string(j.source), offset)
}

func (j journal) left(offset int64) (io.ReadCloser, error) {
	if _, _, err := j.d.exit(); err != nil { // first: it ends what might still write
		return nil, err
	}
	from, err := supervise.OpenJournal(j.d.file(shim.LogsDir), string(j.source), offset)
	if trimmed, ok := errors.AsType[*supervise.TrimmedError](err); ok {
		return nil, &engine.TrimmedError{First: trimmed.First}
	}
	return from, err
}

// ended leaves it to the shim or the files, which tell when they are opened:
// a reader that was too slow is cut off before the end.
func (journal) ended(int64) (bool, error) { return false, nil }
