package history

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"glaux/internal/engine"
)

const (
	logMax   = 320 << 20 // of one log, bytes: a driver ends its own soon after 256 MiB
	eventMax = 16 << 20  // of one event, bytes: longer ones are left out
	entryMax = 10000     // entries of a directory that are looked at
	eventLog = "eventlog_v2_"
)

// application is what the ids of Spark's applications look like. Without a dot:
// what follows one would be taken for the name of a compression, and logs are
// written as they are.
var application = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// copyLog makes a clean copy of the event log of a session's last SparkContext
// in the directory to, which does not exist yet, and returns its size. It is
// for uid alone, if that is not zero. The error is ErrNone when there is none.
//
// The session's code may have put anything into its directory, to be read on
// its behalf by somebody who sees more: links, pipes, files without end. So the
// copy has nothing but Spark's own files, by the names that Spark gives them,
// each from a plain file with one name; no more than logMax of them, and no
// event that is longer than eventMax. What comes behind is left out.
func copyLog(logs string, key engine.Key, to string, uid int) (int64, error) {
	name := string(key)
	if !filepath.IsLocal(name) || strings.ContainsRune(name, filepath.Separator) {
		return 0, fmt.Errorf("session key %q names no directory", key)
	}
	all, err := os.OpenRoot(logs)
	if err != nil {
		return 0, none(err)
	}
	defer all.Close() //nolint:errcheck // only read
	dir, err := enter(all, name)
	if err != nil {
		return 0, none(err)
	}
	defer dir.Close() //nolint:errcheck // only read
	last, err := lastLog(dir)
	if err != nil {
		return 0, err
	}
	defer last.dir.Close() //nolint:errcheck // only read
	clean := filepath.Join(to, eventLog+last.app)
	if err := os.MkdirAll(clean, 0o700); err != nil {
		return 0, err
	}
	c := copier{from: last.dir, to: clean, left: logMax}
	if err := c.copy(last); err != nil {
		return 0, err
	}
	return logMax - c.left, give(uid, to)
}

// none makes what is missing ErrNone.
func none(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNone
	}
	return err
}

// give hands what was just made over to uid, if there is one.
func give(uid int, dir string) error {
	if uid == 0 {
		return nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // only read
	return fs.WalkDir(root.FS(), ".", func(name string, _ fs.DirEntry, err error) error {
		return errors.Join(err, root.Lchown(name, uid, uid))
	})
}

// enter opens a directory that is none by way of a link.
func enter(in *os.Root, name string) (*os.Root, error) {
	seen, err := in.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !seen.IsDir() {
		return nil, fmt.Errorf("%q is no directory", name)
	}
	dir, err := in.OpenRoot(name + "/.") // behind the slash it can be nothing but a directory: opening a pipe would wait
	if err != nil {
		return nil, err
	}
	if info, err := dir.Stat("."); err != nil || !os.SameFile(seen, info) {
		return nil, errors.Join(fmt.Errorf("%q has become another directory", name), err, dir.Close())
	}
	return dir, nil
}

// plain opens a file that is a plain one with no second name. It waits for
// nobody, as opening a pipe would.
func plain(in *os.Root, name string) (*os.File, error) {
	seen, err := in.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !isPlain(seen) {
		return nil, fmt.Errorf("%q is no plain file", name)
	}
	f, err := in.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !isPlain(info) || !os.SameFile(seen, info) {
		return nil, errors.Join(fmt.Errorf("%q has become another file", name), err, f.Close())
	}
	return f, nil
}

func isPlain(info fs.FileInfo) bool {
	return info.Mode().IsRegular() && info.Sys().(*syscall.Stat_t).Nlink == 1
}

// list returns the names in a directory, of very many the first ones.
func list(dir *os.Root) ([]string, error) {
	f, err := dir.OpenFile(".", os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(entryMax)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return names, err
}

// contextLog is the event log of one SparkContext.
type contextLog struct {
	app   string
	dir   *os.Root
	done  bool    // the context has ended in order
	parts []int64 // numbers of its files, in order
	last  time.Time
}

// lastLog finds the log that was written to last.
func lastLog(in *os.Root) (*contextLog, error) {
	names, err := list(in)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var last *contextLog
	for _, name := range names {
		app, ok := strings.CutPrefix(name, eventLog)
		if !ok || !application.MatchString(app) {
			continue
		}
		l, err := look(in, name, app)
		if err != nil || len(l.parts) == 0 || last != nil && !l.last.After(last.last) {
			if l != nil {
				_ = l.dir.Close() // only read
			}
			continue
		}
		if last != nil {
			_ = last.dir.Close() // only read
		}
		last = l
	}
	if last == nil {
		return nil, ErrNone
	}
	return last, nil
}

// look finds out what there is of one log: the files whose numbers follow each
// other, from the first one on.
func look(in *os.Root, name, app string) (*contextLog, error) {
	dir, err := enter(in, name)
	if err != nil {
		return nil, err
	}
	l := &contextLog{app: app, dir: dir}
	names, err := list(dir)
	if err != nil {
		return l, err
	}
	for _, name := range names {
		if info, err := dir.Lstat(name); err != nil || !isPlain(info) {
			continue
		}
		if name == "appstatus_"+app {
			l.done = true
		}
		number, ok := strings.CutSuffix(strings.TrimPrefix(name, "events_"), "_"+app)
		if n, err := strconv.ParseInt(number, 10, 32); ok && err == nil && n > 0 && name == part(n, app) {
			l.parts = append(l.parts, n)
		}
	}
	slices.Sort(l.parts)
	for i, n := range l.parts {
		if n != l.parts[0]+int64(i) {
			l.parts = l.parts[:i]
			break
		}
	}
	if len(l.parts) > 0 {
		info, err := dir.Lstat(part(l.parts[len(l.parts)-1], app))
		if err != nil {
			return l, err
		}
		l.last = info.ModTime()
	}
	return l, nil
}

// part is the name of a file of a log.
func part(n int64, app string) string { return "events_" + strconv.FormatInt(n, 10) + "_" + app }

// copier copies one log.
type copier struct {
	from *os.Root
	to   string
	left int64 // bytes that may be read yet
}

func (c *copier) copy(l *contextLog) error {
	status := "appstatus_" + l.app
	if !l.done {
		status += ".inprogress"
	}
	if err := os.WriteFile(filepath.Join(c.to, status), nil, 0o600); err != nil {
		return err
	}
	for _, n := range l.parts {
		if c.left <= 0 {
			return nil
		}
		if err := c.file(part(n, l.app)); err != nil {
			return err
		}
	}
	return nil
}

// file copies one file, with its time: Spark takes it for the application's.
func (c *copier) file(name string) error {
	in, err := plain(c.from, name)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	to := filepath.Join(c.to, name)
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	read, err := copyEvents(out, io.LimitReader(in, c.left))
	c.left -= read
	return cmp.Or(err, out.Close(), os.Chtimes(to, info.ModTime(), info.ModTime()))
}

// copyEvents copies lines but those that are too long, and returns how much was
// read.
func copyEvents(to io.Writer, from io.Reader) (int64, error) {
	in, out := bufio.NewReaderSize(from, 64<<10), bufio.NewWriterSize(to, 64<<10)
	var read int64
	var line []byte
	long := false
	for {
		piece, err := in.ReadSlice('\n')
		read += int64(len(piece))
		if long = long || len(line)+len(piece) > eventMax; long {
			line = line[:0]
		} else {
			line = append(line, piece...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if _, werr := out.Write(line); werr != nil {
			return read, werr
		}
		line, long = line[:0], false
		if errors.Is(err, io.EOF) {
			return read, out.Flush()
		}
		if err != nil {
			return read, err
		}
	}
}
