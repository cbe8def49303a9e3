package delivery

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"glaux/internal/workgroup"
)

// eventLane copies a session's Spark event logs to S3 once the driver is gone
// and they are complete.
type eventLane struct {
	lane
	from string // directory
	to   *objectTarget
}

// copyAttempt is how long one copy of all event logs may take.
const copyAttempt = 15 * time.Minute

func newEventLane(f *following, c *workgroup.S3Logging, dir string) *eventLane {
	to := &objectTarget{f: f, dir: below(*c.LogLocation, f.s.ID+"/eventlog/")}
	if c.KMSKey != nil {
		to.kmsKey = *c.KMSKey
	}
	return &eventLane{from: dir, to: to, lane: lane{f: f, to: to, log: f.m.cfg.Log.With("session", string(f.s.Key), "stream", "eventlog", "target", kindS3)}}
}

// serve waits for the driver's end and copies.
func (l *eventLane) serve(ctx context.Context) {
	select {
	case <-l.f.gone:
	case <-ctx.Done():
		return
	}
	l.since.Store(time.Now().UnixNano())
	defer l.since.Store(0)
	if err := l.f.allowed(ctx, l.to); err != nil {
		l.give(ctx, denial(err), err)
		return
	}
	l.try(ctx, copyAttempt, l.copy)
}

// copy copies every file that is not there yet.
func (l *eventLane) copy(ctx context.Context) error {
	if p, err := l.f.at.get(); err != nil || p.Events {
		return err
	}
	err := filepath.WalkDir(l.from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || strings.HasPrefix(d.Name(), ".") { // checksums of Hadoop's file system
			return err
		}
		name, err := filepath.Rel(l.from, path)
		if err != nil {
			return err
		}
		return l.put(ctx, path, l.to.dir+filepath.ToSlash(name))
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a session that ended before Spark had started has none
		return err
	}
	return l.f.at.update(func(p *positionFile) { p.Events = true })
}

// put copies one file. Text goes through the redactor, line by line.
func (l *eventLane) put(ctx context.Context, path, uri string) error {
	in, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("cannot read an event log: %w", err)
	}
	defer in.Close()
	if packed(path) {
		info, err := in.Stat()
		if err != nil {
			return fmt.Errorf("cannot read an event log: %w", err)
		}
		return l.object(ctx, uri, in, info.Size())
	}
	out, err := os.CreateTemp(l.f.m.cfg.Dir, ".eventlog-*")
	if err != nil {
		return fmt.Errorf("cannot copy an event log: %w", err)
	}
	defer os.Remove(out.Name())
	defer out.Close()
	size, err := l.redact(out, in)
	if err != nil {
		return fmt.Errorf("cannot copy an event log: %w", err)
	}
	return l.object(ctx, uri, out, size)
}

func (l *eventLane) redact(to io.Writer, from io.Reader) (int64, error) {
	in, out := bufio.NewReaderSize(from, 64<<10), bufio.NewWriterSize(to, 64<<10)
	var size int64
	for {
		text, err := in.ReadString('\n')
		n, werr := out.WriteString(l.f.hidden(text))
		size += int64(n)
		if errors.Is(err, io.EOF) {
			return size, errors.Join(werr, out.Flush())
		}
		if err := errors.Join(err, werr); err != nil {
			return size, err
		}
	}
}

// packed reports whether an event log is compressed, by the name Spark gives it.
func packed(path string) bool {
	switch strings.TrimPrefix(filepath.Ext(strings.TrimSuffix(path, ".inprogress")), ".") {
	case "lz4", "lzf", "snappy", "zstd":
		return true
	}
	return false
}

func (l *eventLane) object(ctx context.Context, uri string, body io.ReadSeeker, size int64) error {
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("cannot copy an event log: %w", err)
	}
	return l.f.m.cfg.Objects.Put(ctx, Object{URI: uri, ContentType: "application/json", Size: size, Body: body, KMSKey: l.to.kmsKey})
}
