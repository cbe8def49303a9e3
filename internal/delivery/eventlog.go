package delivery

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
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

// Bounds of what is copied for a session. Spark's event logs are written in
// files of 16 MiB and end at 256 MiB for each SparkContext, but the directory
// belongs to the session's user, who may have put anything there.
const (
	mostEvents     = 512 << 20 // bytes of all files
	mostEventFiles = 1000      // names that are looked at in each directory
	mostEventLine  = 4 << 20   // bytes; a longer line is left out
)

// eventDir and eventFile are how Spark calls what it writes.
var (
	eventDir  = regexp.MustCompile(`^eventlog_v2_[\w.-]+$`)
	eventFile = regexp.MustCompile(`^(?:events_[0-9]+|appstatus)_[\w.-]+$`)
)

// copy copies every file that is not there yet. What is not called as Spark's
// files are, leads out of the directory, or is no plain file of its own is
// left out.
func (l *eventLane) copy(ctx context.Context) error {
	if p, err := l.f.at.get(); err != nil || p.Events {
		return err
	}
	root, err := os.OpenRoot(l.from)
	if err == nil {
		defer func() { _ = root.Close() }() // only read
		err = l.copyAll(ctx, root)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a session that ended before Spark had started has none
		return err
	}
	return l.f.at.update(func(p *positionFile) { p.Events = true })
}

func (l *eventLane) copyAll(ctx context.Context, root *os.Root) error {
	dirs, err := someEntries(root, ".")
	if err != nil {
		return err
	}
	left := int64(mostEvents)
	for _, d := range dirs {
		if !d.IsDir() || !eventDir.MatchString(d.Name()) {
			continue
		}
		files, err := someEntries(root, d.Name())
		if err != nil {
			return err
		}
		for _, f := range files {
			if !f.Type().IsRegular() || !eventFile.MatchString(f.Name()) {
				continue
			}
			n, err := l.put(ctx, root, d.Name()+"/"+f.Name(), left)
			if err != nil {
				return err
			}
			left -= n
		}
	}
	return nil
}

// someEntries are the first names of a directory, in order.
func someEntries(root *os.Root, name string) ([]fs.DirEntry, error) {
	dir, err := root.Open(name)
	if err != nil {
		return nil, fmt.Errorf("cannot read event logs: %w", err)
	}
	defer dir.Close()
	entries, err := dir.ReadDir(mostEventFiles)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("cannot read event logs: %w", err)
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, nil
}

// put copies one file, line by line through the redactor, and returns its size.
// A file that is larger than what is left is not copied.
func (l *eventLane) put(ctx context.Context, root *os.Root, name string, left int64) (int64, error) {
	in, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe would wait for who writes
	if err != nil {
		return 0, fmt.Errorf("cannot read an event log: %w", err)
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return 0, fmt.Errorf("cannot read an event log: %w", err)
	}
	if links, ok := info.Sys().(*syscall.Stat_t); !info.Mode().IsRegular() || info.Size() > left || ok && links.Nlink > 1 {
		l.log.WarnContext(ctx, "a file among the event logs is not delivered", "file", name, "bytes", info.Size())
		return 0, nil
	}
	out, err := os.CreateTemp(l.f.m.cfg.Dir, ".eventlog-*")
	if err != nil {
		return 0, fmt.Errorf("cannot copy an event log: %w", err)
	}
	defer os.Remove(out.Name())
	defer out.Close()
	size, long, err := l.redact(ctx, out, io.LimitReader(in, info.Size()))
	if err == nil {
		_, err = out.Seek(0, io.SeekStart)
	}
	if err != nil {
		return 0, fmt.Errorf("cannot copy an event log: %w", err)
	}
	if long > 0 {
		l.log.WarnContext(ctx, "lines of an event log are too long to be delivered", "file", name, "lines", long)
	}
	return info.Size(), l.f.m.cfg.Objects.Put(ctx, Object{URI: l.to.dir + name, ContentType: "application/json", Size: size, Body: out, KMSKey: l.to.kmsKey})
}

// redact returns how many bytes it wrote, and how many lines it left out.
func (l *eventLane) redact(ctx context.Context, to io.Writer, from io.Reader) (size int64, long int, err error) {
	in, out := bufio.NewReaderSize(from, 64<<10), bufio.NewWriterSize(to, 64<<10)
	var line []byte
	for ctx.Err() == nil {
		var rerr error
		if line, rerr = readLine(in, line[:0]); errors.Is(rerr, errLongLine) {
			long++
			continue
		}
		n, werr := out.WriteString(l.f.hidden(string(line)))
		size += int64(n)
		if errors.Is(rerr, io.EOF) {
			return size, long, errors.Join(werr, out.Flush())
		}
		if err := errors.Join(rerr, werr); err != nil {
			return size, long, err
		}
	}
	return size, long, ctx.Err()
}

// errLongLine is returned by readLine for a line that is too long, which it
// has read to its end.
var errLongLine = errors.New("the line is too long")

// readLine appends the next line, with its newline, to a buffer.
func readLine(in *bufio.Reader, line []byte) ([]byte, error) {
	for long := false; ; {
		part, err := in.ReadSlice('\n')
		if long = long || len(line)+len(part) > mostEventLine; !long {
			line = append(line, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case long:
			return line, errLongLine // an end of the file is met once more
		default:
			return line, err
		}
	}
}
