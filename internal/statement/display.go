package statement

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// members reads the lines of a cell's displays, each a JSON object from MIME
// type to data, and calls f with every member in order. body is the data: the
// text of a string, unescaped as it is read and never held as a whole, or the
// JSON of any other value. What f leaves of it is skipped. Objects may be any
// number of gigabytes; the names of members are short.
//
// What ends early or is no JSON ends the list with an error that says so.
func members(r *bufio.Reader, f func(line int, mime string, body io.Reader) error) error {
	for line := 0; ; line++ {
		c, err := token(r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if c != '{' {
			return malformed(c)
		}
		if err := object(r, func(mime string, body io.Reader) error { return f(line, mime, body) }); err != nil {
			return whole(err)
		}
	}
}

// object reads the rest of one object.
func object(r *bufio.Reader, f func(string, io.Reader) error) error {
	c, err := token(r)
	if err != nil || c == '}' {
		return err
	}
	for {
		if c != '"' {
			return malformed(c)
		}
		name, err := io.ReadAll(io.LimitReader(&jsonText{r: r}, maxName))
		if err != nil {
			return err
		}
		if len(name) == maxName {
			return errors.New("a MIME type in the displays is too long")
		}
		if c, err = token(r); err != nil || c != ':' {
			return errors.Join(err, malformed(c))
		}
		if err := value(r, string(name), f); err != nil {
			return err
		}
		switch c, err = token(r); {
		case err != nil || c == '}':
			return err
		case c != ',':
			return malformed(c)
		}
		if c, err = token(r); err != nil {
			return err
		}
	}
}

// maxName is how long the name of a member may be, bytes.
const maxName = 1 << 10

// value hands on one value.
func value(r *bufio.Reader, name string, f func(string, io.Reader) error) error {
	c, err := token(r)
	if err != nil {
		return err
	}
	var body io.Reader = &jsonText{r: r}
	if c != '"' {
		if err := r.UnreadByte(); err != nil {
			return err
		}
		body = &jsonRaw{r: r}
	}
	if err := f(name, body); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, body)
	return err
}

// token returns the next byte that is no white space.
func token(r *bufio.Reader) (byte, error) {
	for {
		c, err := r.ReadByte()
		if err != nil || c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return c, err
		}
	}
}

func malformed(c byte) error { return fmt.Errorf("the displays are no JSON at %q", c) }

// whole says that an end within something is no proper end.
func whole(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// jsonText reads the rest of a JSON string, whose opening quote is read.
type jsonText struct {
	r    *bufio.Reader
	left []byte // unescaped and not yet read
	over bool
}

// Read implements io.Reader.
func (t *jsonText) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(t.left) > 0 {
			k := copy(p[n:], t.left)
			t.left = t.left[k:]
			n += k
			continue
		}
		if t.over {
			break
		}
		c, err := t.r.ReadByte()
		switch {
		case err != nil:
			return n, whole(err)
		case c == '"':
			t.over = true
		case c == '\\':
			if t.left, err = t.escape(); err != nil {
				return n, whole(err)
			}
		default:
			p[n] = c
			n++
		}
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// escape returns what stands for the characters behind a backslash.
func (t *jsonText) escape() ([]byte, error) {
	c, err := t.r.ReadByte()
	if err != nil {
		return nil, err
	}
	switch c {
	case 'n':
		return []byte{'\n'}, nil
	case 'r':
		return []byte{'\r'}, nil
	case 't':
		return []byte{'\t'}, nil
	case 'b':
		return []byte{'\b'}, nil
	case 'f':
		return []byte{'\f'}, nil
	case 'u':
		r, err := t.unit()
		if err != nil || !utf16.IsSurrogate(r) {
			return utf8.AppendRune(nil, r), err
		}
		if next, err := t.r.Peek(2); err != nil || next[0] != '\\' || next[1] != 'u' {
			return utf8.AppendRune(nil, utf8.RuneError), nil // half of a pair
		}
		if _, err := t.r.Discard(2); err != nil {
			return nil, err
		}
		second, err := t.unit()
		return utf8.AppendRune(nil, utf16.DecodeRune(r, second)), err
	}
	return []byte{c}, nil
}

// unit reads the four digits of \u.
func (t *jsonText) unit() (rune, error) {
	var digits [4]byte
	if _, err := io.ReadFull(t.r, digits[:]); err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(string(digits[:]), 16, 16)
	return rune(n), err
}

// jsonRaw reads one JSON value that is no string, as it stands.
type jsonRaw struct {
	r        *bufio.Reader
	depth    int
	text     bool // within a string
	escaped  bool // behind a backslash within it
	finished bool
}

// Read implements io.Reader.
func (j *jsonRaw) Read(p []byte) (n int, err error) {
	for n < len(p) && !j.finished {
		c, err := j.r.ReadByte()
		if err != nil {
			return n, whole(err)
		}
		if !j.text && j.depth == 0 && (c == ',' || c == '}' || c == '\n') { // a number or a word has ended
			j.finished = true
			if err := j.r.UnreadByte(); err != nil {
				return n, err
			}
			break
		}
		p[n] = c
		n++
		j.step(c)
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (j *jsonRaw) step(c byte) {
	switch {
	case j.escaped:
		j.escaped = false
	case j.text:
		j.escaped = c == '\\'
		j.text = c != '"'
	case c == '"':
		j.text = true
	case c == '{' || c == '[':
		j.depth++
	case c == '}' || c == ']':
		j.depth--
		j.finished = j.depth == 0
	}
}
