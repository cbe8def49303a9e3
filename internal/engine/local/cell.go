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
	return d.follow(ctx, output{d, id, s}, offset)
}

// output is one stream of a cell.
type output struct {
	d      *Driver
	id     engine.CellID
	stream engine.Stream
}

func (o output) live(ctx context.Context, offset int64) (io.ReadCloser, error) {
	return o.d.client.Output(ctx, string(o.id), string(o.stream), offset)
}

func (o output) left(offset int64) (io.ReadCloser, error) {
	if _, err := o.d.kept(o.id); err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Join(o.d.dir, shim.CellsDir, string(o.id), string(o.stream)))
	if errors.Is(err, fs.ErrNotExist) {
		return nothing(), nil // nothing was written
	}
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// ended asks the cell's record, which promises how much there is to read.
func (o output) ended(offset int64) (bool, error) {
	var rec shim.Record
	path := filepath.Join(o.d.dir, shim.CellsDir, string(o.id), shim.RecordFile)
	switch err := readJSON(path, &rec); {
	case err == nil:
		return offset >= rec.Sizes[string(o.stream)], nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	default:
		return false, err
	}
}
