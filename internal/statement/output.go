package statement

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"glaux/internal/access"
	"glaux/internal/cell"
	"glaux/internal/engine"
	"glaux/internal/session"
)

// textPlain is the MIME type of what Text is made of.
const textPlain = "text/plain"

// preferred are the MIME types of results in the order in which one of several
// is chosen: what the Glue kernels can show from a string comes first.
func preferred() []string {
	return []string{"image/png", "image/jpeg", "image/svg+xml", "text/html", "text/markdown", "application/json"}
}

// output composes what a cell has left: its standard output, the values that
// it showed, each on lines of its own as at Python's prompt, and its standard
// error. It tries again for a bounded time; the error is that of ctx.
func (m *Manager) output(ctx context.Context, r engine.Runner, s session.Session, res engine.CellResult) (Output, error) {
	out := Output{Status: StatusError}
	switch res.Outcome {
	case engine.Succeeded:
		out.Status = StatusOK
	case engine.Failed, engine.Cancelled:
		if e := res.Error; e != nil {
			out.ErrorName, out.ErrorValue = e.Name, e.Value
			for _, line := range e.Traceback { // with their ends, as Livy has them, which Glue runs
				out.Traceback = append(out.Traceback, line+"\n")
			}
		}
	case engine.Lost:
	}
	if r == nil {
		return out, nil
	}
	c := composer{m: m, r: r, s: s, res: res}
	giveUp := time.Now().Add(m.cfg.PutTimeout)
	for n := 0; ; n++ {
		c.head = head{most: m.cfg.MaxResult}
		c.rich = rich{}
		err := c.compose(ctx, &c.head, &c.rich)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return out, ctx.Err()
		case errors.Is(err, engine.ErrGone), errors.Is(err, engine.ErrNoCell):
			return out, nil // nothing of it was kept
		case time.Now().Before(giveUp):
			if n == 0 {
				m.cfg.Log.WarnContext(ctx, "cannot read the output of a statement, trying again", "session", string(s.Key), "cell", string(res.ID), "err", err)
			}
			if err := cell.Pause(ctx, retryEvery); err != nil {
				return out, err
			}
			continue
		default:
			c.marks = append(c.marks, fmt.Sprintf("the output could not be read within %s", m.cfg.PutTimeout))
		}
		break
	}
	if err := c.cut(ctx, giveUp); err != nil {
		return out, err
	}
	c.text(&out)
	out.MimeType, out.Result = c.rich.mime, c.rich.data
	return out, nil
}

// retryEvery is how long a step waits before it is tried again.
const retryEvery = 100 * time.Millisecond

// composer makes the text of one cell.
type composer struct {
	m     *Manager
	r     engine.Runner
	s     session.Session
	res   engine.CellResult
	head  head
	rich  rich
	marks []string // what is missing, for people
}

// compose writes the whole text to out, and what can be shown otherwise to
// show; nil: nowhere.
func (c *composer) compose(ctx context.Context, out *head, show *rich) error {
	open := func(s engine.Stream) (cell.Stretch, error) { return cell.Open(ctx, c.r, c.res.ID, s, c.res.Sizes[s]) }
	stdout, err := open(engine.Stdout)
	if err != nil {
		return err
	}
	defer stdout.Close()
	if _, err := io.Copy(out, stdout); err != nil {
		return fmt.Errorf("cannot read stdout: %w", err)
	}
	displays, err := open(engine.Displays)
	if err != nil {
		return err
	}
	defer displays.Close()
	err = members(bufio.NewReaderSize(displays, 64<<10), func(line int, mime string, body io.Reader) error {
		switch {
		case show == nil && mime == textPlain:
			return out.line(body)
		case mime == textPlain:
			from := out.size
			err := out.line(body)
			show.texts = append(show.texts, span{line, from, out.size})
			return err
		case show != nil:
			return show.take(line, mime, body, out.most)
		}
		return nil
	})
	if err != nil && (c.res.Truncated[engine.Displays] == 0 || !errors.Is(err, io.ErrUnexpectedEOF)) {
		return fmt.Errorf("cannot read displays: %w", err)
	}
	out.errorsFrom = out.size
	stderr, err := open(engine.Stderr)
	if err != nil {
		return err
	}
	defer stderr.Close()
	if _, err := io.Copy(out, stderr); err != nil {
		return fmt.Errorf("cannot read stderr: %w", err)
	}
	return nil
}

// cut keeps in an object what is too large for an answer. The error is that of ctx.
func (c *composer) cut(ctx context.Context, giveUp time.Time) error {
	if n := c.res.Truncated[engine.Displays]; n > 0 {
		c.marks = append(c.marks, fmt.Sprintf("%d bytes of the values were not kept", n))
	}
	if c.rich.large > 0 {
		where, err := c.put(ctx, giveUp, c.object("displays.json", "application/json", c.res.Sizes[engine.Displays]), func(w io.Writer) error {
			all, err := cell.Open(ctx, c.r, c.res.ID, engine.Displays, c.res.Sizes[engine.Displays])
			if err != nil {
				return err
			}
			defer all.Close()
			_, err = io.Copy(w, all)
			return err
		})
		if err != nil {
			return err
		}
		c.marks = append(c.marks, fmt.Sprintf("the result of type %s has %d bytes, more than the %d of an answer; %s", c.rich.largeMime, c.rich.large, c.head.most, where))
	}
	if c.head.solid <= int64(c.head.most) {
		return nil
	}
	where, err := c.put(ctx, giveUp, c.object("output.txt", "text/plain; charset=utf-8", c.head.size), func(w io.Writer) error {
		return c.compose(ctx, &head{to: w}, nil)
	})
	if err != nil {
		return err
	}
	c.marks = append(c.marks, fmt.Sprintf("the output was cut after %d of its %d bytes; %s", c.head.most, c.head.size, where))
	return nil
}

// object is one object below the statement's place.
func (c *composer) object(name, contentType string, size int64) cell.Object {
	o := cell.Object{
		ContentType: contentType, Size: size, Encryption: c.s.Encryption, KMSKey: c.s.KMSKey,
		Session: c.s.Key, Role: access.Executor{SessionID: c.s.ID, Glue: true, RoleARN: c.s.ExecutionRole},
	}
	if dir := place(&c.s); dir != "" {
		o.URI = dir + "/" + string(c.res.ID) + "/" + name
	}
	return o
}

// place is where a session's large results go; empty: nowhere.
func place(s *session.Session) string {
	dir := s.WorkingDir
	if s.Glue != nil && s.Glue.Arguments["--TempDir"] != "" {
		dir = strings.TrimRight(s.Glue.Arguments["--TempDir"], "/") + "/" + string(s.Key)
	}
	return dir
}

// put writes an object from what write yields, trying again until giveUp, and
// returns for people where the whole is or why it is nowhere. The error is
// that of ctx.
func (c *composer) put(ctx context.Context, giveUp time.Time, o cell.Object, write func(io.Writer) error) (string, error) {
	if o.URI == "" {
		return "the rest was not kept: the session has no place for it", nil
	}
	for {
		err := c.serveObject(ctx, o, write)
		if err == nil {
			return "the whole is " + o.URI, nil
		}
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		refused, final := errors.AsType[*cell.RefusedError](err)
		if !final && time.Now().Before(giveUp) {
			if err := cell.Pause(ctx, retryEvery); err != nil {
				return "", err
			}
			continue
		}
		c.m.cfg.Log.WarnContext(ctx, "cannot write a large result", "session", string(c.s.Key), "cell", string(c.res.ID), "err", err)
		why := "the object store did not take it"
		if final {
			why = refused.Why
		}
		return fmt.Sprintf("the whole could not be written to %s: %s", o.URI, why), nil
	}
}

// serveObject writes one object while its body is made.
func (c *composer) serveObject(ctx context.Context, o cell.Object, write func(io.Writer) error) error {
	from, to := io.Pipe()
	var making sync.WaitGroup
	making.Go(func() { to.CloseWithError(write(to)) })
	defer making.Wait()
	defer from.Close() //nolint:errcheck // it never fails
	o.Body = from
	return c.m.cfg.Objects.Put(ctx, o)
}

// text writes the text of an answer: what fits, without white space at its end,
// and then what is missing; and where in it there is what.
func (c *composer) text(out *Output) {
	b := c.head.kept[:min(c.head.solid, int64(len(c.head.kept)))]
	for i := 0; i < utf8.UTFMax && len(b) > 0 && c.head.solid > int64(len(b)); i++ { // no half of a character at a cut
		if r, n := utf8.DecodeLastRune(b); r != utf8.RuneError || n != 1 {
			break
		}
		b = b[:len(b)-1]
	}
	shown := c.rich.text()
	var text strings.Builder
	from := 0
	upTo := func(at int64) int {
		to := max(from, int(min(at, int64(len(b)))))
		text.WriteString(strings.ToValidUTF8(string(b[from:to]), "\uFFFD"))
		from = to
		return text.Len()
	}
	out.ShownFrom, out.ShownTo, out.ErrorsFrom = upTo(shown.from), upTo(shown.to), upTo(c.head.errorsFrom)
	upTo(int64(len(b)))
	for _, mark := range c.marks {
		if text.Len() > 0 {
			text.WriteByte('\n')
		}
		text.WriteString("[glaux: " + mark + "]")
	}
	out.Text = text.String()
}

// head keeps the beginning of what is written to it, or passes all on.
type head struct {
	to         io.Writer // nil: keep
	most       int       // bytes to keep
	kept       []byte
	size       int64 // bytes written
	solid      int64 // up to the last that is no white space
	errorsFrom int64
	last       byte
}

// Write implements io.Writer.
func (h *head) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if h.to != nil {
		if _, err := h.to.Write(p); err != nil {
			return 0, err
		}
	} else if room := h.most - len(h.kept); room > 0 {
		h.kept = append(h.kept, p[:min(room, len(p))]...)
	}
	if n := len(bytes.TrimRight(p, " \t\n\v\f\r")); n > 0 {
		h.solid = h.size + int64(n)
	}
	h.size += int64(len(p))
	h.last = p[len(p)-1]
	return len(p), nil
}

// line writes a value on lines of its own; an empty one is none.
func (h *head) line(body io.Reader) error {
	first := bufio.NewReader(body)
	if _, err := first.Peek(1); errors.Is(err, io.EOF) {
		return nil
	}
	if h.size > 0 && h.last != '\n' {
		if _, err := h.Write([]byte{'\n'}); err != nil {
			return err
		}
	}
	if _, err := io.Copy(h, first); err != nil {
		return err
	}
	_, err := h.Write([]byte{'\n'})
	return err
}

// rich is what a cell has shown beside text: of several the most preferred, and
// of equals the last.
type rich struct {
	mime, data string
	line       int    // of the displays, which it is from
	texts      []span // of all lines
	large      int64  // bytes of one that does not fit into an answer; zero: none
	largeMime  string
}

// span is where in the whole text that of a line of displays is.
type span struct {
	line     int
	from, to int64
}

// text is where the text of what was chosen is.
func (v *rich) text() span {
	at := slices.IndexFunc(v.texts, func(s span) bool { return s.line == v.line })
	if v.mime == "" || at < 0 {
		return span{}
	}
	return v.texts[at]
}

func (v *rich) take(line int, mime string, body io.Reader, most int) error {
	data, err := io.ReadAll(io.LimitReader(body, int64(most)+1))
	if err != nil {
		return err
	}
	if len(data) > most {
		rest, err := io.Copy(io.Discard, body)
		if err != nil {
			return err
		}
		v.large, v.largeMime = int64(len(data))+rest, mime
		return nil
	}
	if len(data) > 0 && (v.mime == "" || rank(mime) <= rank(v.mime)) {
		v.line, v.mime, v.data = line, mime, strings.ToValidUTF8(string(data), "\uFFFD")
	}
	return nil
}

// rank orders MIME types: the lower, the sooner chosen.
func rank(mime string) int {
	if at := slices.Index(preferred(), mime); at >= 0 {
		return at
	}
	return len(preferred())
}
