package enginetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"glaux/internal/engine"
)

var _ engine.Logger = (*driver)(nil)

// journal is one stream of a fake driver; machine.mu guards it.
type journal struct {
	first int64 // offset of what is kept
	kept  []byte
}

// WriteLog plays a driver's process that writes lines to one of its streams.
func (f *Fake) WriteLog(key engine.Key, s engine.LogSource, lines ...string) {
	if m := f.machine(key); m != nil {
		m.change(func() { m.logLocked(s, 'j', strings.Join(lines, "\n")) })
	}
}

// logLocked writes lines to a stream, and drops the oldest beyond MaxLog.
func (m *machine) logLocked(s engine.LogSource, writer byte, text string) {
	j := m.logs[s]
	if j == nil {
		j = &journal{}
		m.logs[s] = j
	}
	if text == "" {
		return
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		j.kept = fmt.Appendf(j.kept, "%d %cL %s\n", time.Now().UnixMilli(), writer, line)
	}
	for limit := m.spec.MaxLog; limit > 0 && int64(len(j.kept)) > limit; {
		n := bytes.IndexByte(j.kept, '\n') + 1
		j.kept, j.first = j.kept[n:], j.first+int64(n)
	}
}

// Log follows a stream of the machine.
func (d *driver) Log(ctx context.Context, s engine.LogSource, offset int64) (io.ReadCloser, error) {
	m := d.m
	if s != engine.LogStdout && s != engine.LogStderr || offset < 0 {
		return nil, fmt.Errorf("cannot read log %q from %d: there is none", s, offset)
	}
	if err := d.now(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	if m.removed {
		return nil, engine.ErrGone
	}
	if j := m.logs[s]; j != nil && offset < j.first {
		return nil, &engine.TrimmedError{First: j.first}
	}
	ctx, cancel := context.WithCancel(ctx)
	return &logReader{d: d, ctx: ctx, cancel: cancel, source: s, at: offset}, nil
}

// logReader follows one stream.
type logReader struct {
	d      *driver
	ctx    context.Context // of the Log call: reading ends with it
	cancel context.CancelFunc
	source engine.LogSource
	at     int64
}

// Read blocks until there is something to read or the driver is gone.
func (r *logReader) Read(p []byte) (int, error) {
	m := r.d.m
	var j *journal
	err := r.d.until(r.ctx, func() bool {
		j = m.logs[r.source]
		return m.exit != nil || j != nil && r.at < j.first+int64(len(j.kept))
	})
	if err != nil {
		return 0, err
	}
	defer m.mu.Unlock()
	switch {
	case j == nil || r.at >= j.first+int64(len(j.kept)):
		return 0, io.EOF
	case r.at < j.first:
		return 0, &engine.TrimmedError{First: j.first}
	}
	n := copy(p, j.kept[r.at-j.first:])
	r.at += int64(n)
	return n, nil
}

// Close ends a Read that blocks.
func (r *logReader) Close() error {
	r.cancel()
	return nil
}

// logger returns a driver's ability to show logs.
func (b *bench) logger(d engine.Driver) engine.Logger {
	b.Helper()
	l, ok := d.(engine.Logger)
	if !ok {
		b.Fatalf("driver %T shows no logs", d)
	}
	return l
}

// awaitLine reads records until one has the text, and returns it and where it ends.
func (b *bench) awaitLine(r io.Reader, from int64, text string) (engine.LogLine, int64) {
	b.Helper()
	var have []byte
	buf := make([]byte, 1000) // so that records are cut
	for {
		n, err := r.Read(buf)
		have = append(have, buf[:n]...)
		for {
			i := bytes.IndexByte(have, '\n')
			if i < 0 {
				break
			}
			line := engine.ParseLogLine(bytes.Clone(have[:i+1]))
			from += int64(i + 1)
			have = have[i+1:]
			if string(line.Text) == text {
				return line, from
			}
		}
		if err != nil {
			b.Fatalf("no line %q: %v", text, err)
		}
	}
}

func logIsFollowed(b *bench) {
	r := b.prepared()
	log := b.logger(r)
	began := time.Now().Add(-time.Minute)
	in, err := log.Log(b.ctx, engine.LogStderr, 0)
	b.check(err, "Log")
	defer in.Close()
	b.result(r, b.run(r, b.d.PrintErr("one")), engine.Succeeded)
	one, at := b.awaitLine(in, 0, "one")
	if one.Part || one.Time.Before(began) || one.Time.After(time.Now().Add(time.Minute)) {
		b.Errorf("line is %+v", one)
	}
	b.result(r, b.run(r, b.d.PrintErr("two")), engine.Succeeded)
	two, _ := b.awaitLine(in, at, "two")
	if two.Time.Before(one.Time) {
		b.Errorf("times are %v and %v", one.Time, two.Time)
	}
	again, err := log.Log(b.ctx, engine.LogStderr, at)
	b.check(err, "Log from the end of a line")
	defer again.Close()
	if line, _ := b.awaitLine(again, at, "two"); !line.Time.Equal(two.Time) {
		b.Errorf("the line has another time when it is read again: %v, %v", line.Time, two.Time)
	}
	_, err = log.Log(b.ctx, "nothing", 0)
	if err == nil {
		b.Error("a stream that is none can be read")
	}
}

func logOutlivesTheDriver(b *bench) {
	r := b.prepared()
	log := b.logger(r)
	live, err := log.Log(b.ctx, engine.LogStdout, 0)
	b.check(err, "Log")
	defer live.Close()
	b.result(r, b.run(r, b.d.Print("last words")), engine.Succeeded)
	b.check(r.Stop(b.ctx), "Stop")
	rest, err := io.ReadAll(live)
	b.check(err, "read to the end")
	if !bytes.Contains(rest, []byte("last words\n")) {
		b.Errorf("the log that was followed is %q", rest)
	}
	d, err := b.s.New(b.T).Adopt(b.ctx, r.Handle())
	b.check(err, "Adopt after the end")
	later, err := b.logger(d).Log(b.ctx, engine.LogStdout, 0)
	b.check(err, "Log after the end")
	defer later.Close()
	all, err := io.ReadAll(later)
	b.check(err, "read after the end")
	if !bytes.Equal(all, rest) {
		b.Errorf("the log after the end is %q, was %q", all, rest)
	}
	beyond, err := b.logger(d).Log(b.ctx, engine.LogStdout, int64(len(all)))
	b.check(err, "Log from the end")
	defer beyond.Close()
	if more, err := io.ReadAll(beyond); err != nil || len(more) > 0 {
		b.Errorf("behind the end is %q, %v", more, err)
	}
}

func logIsBounded(b *bench) {
	spec := b.spec()
	spec.MaxLog = 64 << 10
	r := b.launch(spec)
	b.check(r.Ready(b.ctx), "Ready")
	log := b.logger(r)
	var code []string
	for i := range 2000 {
		code = append(code, b.d.Print(fmt.Sprintf("line %d %s", i, strings.Repeat("x", 100))))
	}
	b.result(r, b.run(r, code...), engine.Succeeded)
	b.result(r, b.run(r, b.d.Print("end")), engine.Succeeded)
	_, err := log.Log(b.ctx, engine.LogStdout, 0)
	trimmed, ok := errors.AsType[*engine.TrimmedError](err)
	if !ok || trimmed.First < 64<<10 {
		b.Fatalf("Log of what was dropped: %v, want a *TrimmedError", err)
	}
	in, err := log.Log(b.ctx, engine.LogStdout, trimmed.First)
	b.check(err, "Log of what is kept")
	defer in.Close()
	if _, at := b.awaitLine(in, trimmed.First, "end"); at-trimmed.First > 128<<10 {
		b.Errorf("%d bytes are kept", at-trimmed.First)
	}
}

// slowLogReader reads nothing until more was written than is kept and than lies
// on the way to it.
func slowLogReader(b *bench) {
	spec := b.spec()
	spec.MaxLog = 64 << 10
	r := b.launch(spec)
	b.check(r.Ready(b.ctx), "Ready")
	in, err := b.logger(r).Log(b.ctx, engine.LogStdout, 0)
	b.check(err, "Log")
	defer in.Close()
	var code []string
	for i := range 3000 {
		code = append(code, b.d.Print(fmt.Sprintf("line %d %s", i, strings.Repeat("x", 200))))
	}
	for range 3 {
		b.result(r, b.run(r, code...), engine.Succeeded)
	}
	read, err := io.Copy(io.Discard, in)
	trimmed, ok := errors.AsType[*engine.TrimmedError](err)
	if !ok || trimmed.First <= read {
		b.Fatalf("a reader that was too slow read %d bytes, then: %v, want a *TrimmedError beyond them", read, err)
	}
	rest, err := b.logger(r).Log(b.ctx, engine.LogStdout, trimmed.First)
	b.check(err, "Log of what is kept")
	defer rest.Close()
	b.result(r, b.run(r, b.d.Print("end")), engine.Succeeded)
	b.awaitLine(rest, trimmed.First, "end")
}
