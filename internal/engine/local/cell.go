package local

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"glaux/internal/engine"
	"glaux/internal/shim"
)

// Run starts a cell.
func (d *Driver) Run(ctx context.Context, c engine.Cell) error {
	_, err := d.do(ctx, shim.Request{Op: shim.OpRun, Cell: string(c.ID), Code: c.Code})
	if errors.Is(err, engine.ErrGone) {
		if _, rerr := d.kept(c.ID); rerr == nil {
			return nil // taken before
		}
	}
	return err
}

// Result waits for a cell's record, which outlives the driver.
func (d *Driver) Result(ctx context.Context, id engine.CellID) (engine.CellResult, error) {
	r, err := d.do(ctx, shim.Request{Op: shim.OpResult, Cell: string(id)})
	if err == nil && r.Record != nil {
		return fromRecord(*r.Record), nil
	}
	if errors.Is(err, engine.ErrGone) {
		return d.kept(id)
	}
	return engine.CellResult{}, err
}

// kept reads the record of a cell whose driver is gone. A cell without one was
// running when it went.
func (d *Driver) kept(id engine.CellID) (engine.CellResult, error) {
	if !shim.ValidCell(string(id)) {
		return engine.CellResult{}, engine.ErrNoCell
	}
	if _, _, err := d.exit(); err != nil { // first: it ends what might still write
		return engine.CellResult{}, err
	}
	dir := filepath.Join(d.dir, shim.CellsDir, string(id))
	var r shim.Record
	err := readJSON(filepath.Join(dir, shim.RecordFile), &r)
	if err == nil {
		return fromRecord(r), nil
	}
	info, serr := os.Stat(dir)
	if serr != nil {
		return engine.CellResult{}, engine.ErrNoCell
	}
	begun := info.ModTime()
	r = shim.Record{ID: string(id), Outcome: shim.Lost, Sizes: map[string]int64{}, Started: begun.UnixMilli()}
	last := begun
	for _, s := range []string{shim.Stdout, shim.Stderr, shim.Displays} {
		if at, err := os.Stat(filepath.Join(dir, s)); err == nil {
			r.Sizes[s] = at.Size()
			if at.ModTime().After(last) {
				last = at.ModTime()
			}
		}
	}
	r.Ended, r.Run = last.UnixMilli(), last.Sub(begun)
	if err := writeFile(filepath.Join(dir, shim.RecordFile), r, -1); err != nil {
		return engine.CellResult{}, err
	}
	return fromRecord(r), nil
}

// Interrupt asks for the end of a cell.
func (d *Driver) Interrupt(ctx context.Context, id engine.CellID) error {
	_, err := d.do(ctx, shim.Request{Op: shim.OpInterrupt, Cell: string(id)})
	if errors.Is(err, engine.ErrGone) {
		_, err = d.kept(id) // has ended
	}
	return err
}

// Discard drops what is kept of an ended cell.
func (d *Driver) Discard(ctx context.Context, id engine.CellID) error {
	if !shim.ValidCell(string(id)) {
		return nil
	}
	_, err := d.do(ctx, shim.Request{Op: shim.OpDiscard, Cell: string(id)})
	if errors.Is(err, engine.ErrGone) {
		return os.RemoveAll(filepath.Join(d.dir, shim.CellsDir, string(id)))
	}
	return err
}

// Output opens a cell's stream: through the shim, or from its file once the
// driver is gone.
func (d *Driver) Output(ctx context.Context, id engine.CellID, s engine.Stream, offset int64) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	r := &reader{d: d, ctx: ctx, cancel: cancel, id: id, stream: s, at: offset}
	if err := r.open(); err != nil {
		cancel()
		return nil, err
	}
	return r, nil
}

// reader reads one stream. It is used by one goroutine, but for Close.
type reader struct {
	d      *Driver
	ctx    context.Context // of the Output call: reading ends with it
	cancel context.CancelFunc
	id     engine.CellID
	stream engine.Stream
	at     int64
	from   io.ReadCloser
	final  bool // from is a file that nobody writes any more
}

// open connects to the stream at the offset reached so far.
func (r *reader) open() error {
	d := r.d
	for {
		from, err := d.client.Output(r.ctx, string(r.id), string(r.stream), r.at)
		if err == nil {
			r.from = from
			return nil
		}
		err = d.again(r.ctx, err)
		if errors.Is(err, engine.ErrGone) {
			return r.openFile()
		}
		if err != nil {
			return err
		}
	}
}

func (r *reader) openFile() error {
	if _, err := r.d.kept(r.id); err != nil {
		return err
	}
	r.final = true
	f, err := os.Open(filepath.Join(r.d.dir, shim.CellsDir, string(r.id), string(r.stream)))
	if errors.Is(err, fs.ErrNotExist) {
		r.from = io.NopCloser(&io.LimitedReader{}) // nothing was written
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := f.Seek(r.at, io.SeekStart); err != nil {
		f.Close()
		return err
	}
	r.from = f
	return nil
}

// Read follows the stream over the loss of a connection.
func (r *reader) Read(p []byte) (int, error) {
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
		// The stream's end, or the connection's: the record tells.
		r.from.Close()
		if ended, err := r.ended(); ended || err != nil {
			if err == nil {
				err = io.EOF
			}
			r.from = io.NopCloser(&io.LimitedReader{})
			return 0, err
		}
		if err := r.open(); err != nil {
			return 0, err
		}
	}
}

// ended says whether everything the cell's record promises has been read.
func (r *reader) ended() (bool, error) {
	var rec shim.Record
	path := filepath.Join(r.d.dir, shim.CellsDir, string(r.id), shim.RecordFile)
	switch err := readJSON(path, &rec); {
	case err == nil:
		return r.at >= rec.Sizes[string(r.stream)], nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	default:
		return false, err
	}
}

// Close ends a Read that blocks.
func (r *reader) Close() error {
	r.cancel()
	return r.from.Close()
}
