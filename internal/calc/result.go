package calc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"glaux/internal/access"
	"glaux/internal/cell"
	"glaux/internal/engine"
	"glaux/internal/session"
)

// resultType is the only ResultType that was seen.
const resultType = "application/vnd.aws.athena.v1+json"

// The names of the three objects below a calculation's place.
const (
	stdoutKey = "stdout"
	stderrKey = "stderr"
	resultKey = "results"
)

// small is up to how many bytes a stream is read into memory before it is put:
// a body that can be read twice saves the object store a detour.
const small = 256 << 10

// place is where a calculation's objects go.
type place struct {
	dir             string // s3://bucket/prefix, without the slash that follows
	encryption, key string
	session         session.Key
	role            access.Executor // who writes there
}

// uri is the location of one object: joined without normalising.
func (p place) uri(name string) string { return p.dir + "/" + name }

// put writes the three objects, all at the same time.
func (m *Manager) put(ctx context.Context, r engine.Runner, j *job, res engine.CellResult) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return m.putText(ctx, r, j, res, engine.Stdout, stdoutKey) })
	g.Go(func() error { return m.putText(ctx, r, j, res, engine.Stderr, stderrKey) })
	g.Go(func() error { return m.putResult(ctx, r, j, res) })
	return g.Wait()
}

// putText writes stdout or stderr: the bytes as they were written. Where some
// are missing, the stream itself ends with a line that says so.
func (m *Manager) putText(ctx context.Context, r engine.Runner, j *job, res engine.CellResult, s engine.Stream, name string) error {
	text, err := cell.Open(ctx, r, j.cell.ID, s, res.Sizes[s])
	if err != nil {
		return err
	}
	defer text.Close()
	return m.cfg.Objects.Put(ctx, j.place.object(name, "text/plain; charset=utf-8", text))
}

// document is the result object around its outputs.
type document struct {
	Version     int              `json:"version"`
	Calculation string           `json:"calculationExecutionId"`
	Outcome     engine.Outcome   `json:"outcome"`
	Error       *failure         `json:"error,omitempty"`
	Truncated   map[string]int64 `json:"truncated,omitempty"` // bytes that were not kept, by stream
}

type failure struct {
	Name      string   `json:"name"`
	Value     string   `json:"value"`
	Traceback []string `json:"traceback"`
}

// putResult writes the result object: one JSON document on one line,
//
//	{"version":1,"calculationExecutionId":…,"outcome":"succeeded","outputs":[{MIME type: data},…]}
//
// with what the code displayed in order, the value of its last expression
// last; "error" {name, value, traceback} where it raised; "truncated" {stream:
// bytes} where output is missing. The outputs are streamed, not held.
func (m *Manager) putResult(ctx context.Context, r engine.Runner, j *job, res engine.CellResult) error {
	doc := document{Version: 1, Calculation: j.id, Outcome: res.Outcome}
	if e := res.Error; e != nil {
		doc.Error = &failure{Name: e.Name, Value: e.Value, Traceback: e.Traceback}
	}
	for s, n := range res.Truncated {
		if n > 0 {
			if doc.Truncated == nil {
				doc.Truncated = map[string]int64{}
			}
			doc.Truncated[string(s)] = n
		}
	}
	frame, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("cannot write result document: %w", err)
	}
	size := res.Sizes[engine.Displays]
	if res.Truncated[engine.Displays] > 0 {
		if size, err = wholeLines(ctx, r, j.cell.ID, size); err != nil {
			return err
		}
	}
	lines, err := cell.Open(ctx, r, j.cell.ID, engine.Displays, max(0, size-1)) // without the last newline
	if err != nil {
		return err
	}
	defer lines.Close()
	lines.Reader = &joiner{lines.Reader}
	head := append(frame[:len(frame)-1:len(frame)-1], `,"outputs":[`...)
	body := lines.After(head).Then([]byte("]}\n"))
	return m.cfg.Objects.Put(ctx, j.place.object(resultKey, "application/json", body))
}

// wholeLines is how many of the first size bytes of the displays are whole
// lines: what was cut off in the middle is no JSON.
func wholeLines(ctx context.Context, r engine.Runner, id engine.CellID, size int64) (int64, error) {
	s, err := cell.Open(ctx, r, id, engine.Displays, size)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	var read, whole int64
	buf := make([]byte, 64<<10)
	for {
		n, err := s.Read(buf)
		if at := bytes.LastIndexByte(buf[:n], '\n'); at >= 0 {
			whole = read + int64(at) + 1
		}
		read += int64(n)
		if errors.Is(err, io.EOF) {
			return whole, nil
		}
		if err != nil {
			return 0, fmt.Errorf("cannot read displays: %w", err)
		}
	}
}

// joiner makes the items of a JSON array out of lines.
type joiner struct{ io.Reader }

func (j *joiner) Read(p []byte) (int, error) {
	n, err := j.Reader.Read(p)
	for i, b := range p[:n] {
		if b == '\n' {
			p[i] = ','
		}
	}
	return n, err
}

// object is what is put: a small body in memory, a large one as it streams.
func (p place) object(name, contentType string, body cell.Stretch) cell.Object {
	o := cell.Object{
		URI: p.uri(name), ContentType: contentType, Size: body.Size, Body: body,
		Encryption: p.encryption, KMSKey: p.key, Session: p.session, Role: p.role,
	}
	if body.Size > small {
		return o
	}
	all, err := io.ReadAll(body)
	if err != nil {
		o.Body = io.MultiReader(bytes.NewReader(all), failing{err})
		return o
	}
	o.Body = bytes.NewReader(all)
	return o
}

// failing is a body that could not be read.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
