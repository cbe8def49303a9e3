package delivery

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
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

// mostEvents is how large an event log may be to be copied: Spark's are written
// in files of 16 MiB.
const mostEvents = 256 << 20

// copy copies every file that is not there yet. The directory belongs to the
// session's user, who may have put anything there: what leads out of it, or is
// no plain file of its own, is left out.
func (l *eventLane) copy(ctx context.Context) error {
	if p, err := l.f.at.get(); err != nil || p.Events {
		return err
	}
	root, err := os.OpenRoot(l.from)
	if err == nil {
		defer func() { _ = root.Close() }() // only read
		err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || strings.HasPrefix(d.Name(), ".") { // checksums of Hadoop's file system
				return err
			}
			return l.put(ctx, root, name)
		})
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a session that ended before Spark had started has none
		return err
	}
	return l.f.at.update(func(p *positionFile) { p.Events = true })
}

// put copies one file, line by line through the redactor.
func (l *eventLane) put(ctx context.Context, root *os.Root, name string) error {
	in, err := root.Open(name)
	if err != nil {
		return fmt.Errorf("cannot read an event log: %w", err)
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return fmt.Errorf("cannot read an event log: %w", err)
	}
	if links, ok := info.Sys().(*syscall.Stat_t); !info.Mode().IsRegular() || info.Size() > mostEvents || ok && links.Nlink > 1 {
		l.log.WarnContext(ctx, "a file among the event logs is not delivered", "file", name, "bytes", info.Size())
		return nil
	}
	out, err := os.CreateTemp(l.f.m.cfg.Dir, ".eventlog-*")
	if err != nil {
		return fmt.Errorf("cannot copy an event log: %w", err)
	}
	defer os.Remove(out.Name())
	defer out.Close()
	size, err := l.redact(out, io.LimitReader(in, mostEvents))
	if err == nil {
		_, err = out.Seek(0, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("cannot copy an event log: %w", err)
	}
	return l.f.m.cfg.Objects.Put(ctx, Object{URI: l.to.dir + name, ContentType: "application/json", Size: size, Body: out, KMSKey: l.to.kmsKey})
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
