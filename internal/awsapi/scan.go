package awsapi

import (
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds how deep a request may nest.
const maxDepth = 128

// notJSON is what a body that is not JSON is answered with; AWS gives no text.
func notJSON() error { return &serializationError{} }

// space skips white space.
func (d *decoder) space() {
	for d.pos < len(d.text) {
		switch d.text[d.pos] {
		case ' ', '\t', '\n', '\r':
			d.pos++
		default:
			return
		}
	}
}

// peek skips white space and returns the next byte, or 0 at the end.
func (d *decoder) peek() byte {
	d.space()
	if d.pos == len(d.text) {
		return 0
	}
	return d.text[d.pos]
}

// next skips white space and consumes c if it comes next.
func (d *decoder) next(c byte) bool {
	if d.peek() != c {
		return false
	}
	d.pos++
	return true
}

// word consumes a literal.
func (d *decoder) word(w string) error {
	if len(d.text)-d.pos < len(w) || string(d.text[d.pos:d.pos+len(w)]) != w {
		return notJSON()
	}
	d.pos += len(w)
	return nil
}

// null consumes a null if one comes next.
func (d *decoder) null() (bool, error) {
	if d.peek() != 'n' {
		return false, nil
	}
	return true, d.word("null")
}

// number consumes a number and returns its text.
func (d *decoder) number() ([]byte, error) {
	start := d.pos
	if d.pos < len(d.text) && d.text[d.pos] == '-' {
		d.pos++
	}
	whole := d.digits()
	if whole == 0 || (whole > 1 && d.text[d.pos-whole] == '0') {
		return nil, notJSON()
	}
	if d.pos < len(d.text) && d.text[d.pos] == '.' {
		d.pos++
		if d.digits() == 0 {
			return nil, notJSON()
		}
	}
	if d.pos < len(d.text) && (d.text[d.pos] == 'e' || d.text[d.pos] == 'E') {
		d.pos++
		if d.pos < len(d.text) && (d.text[d.pos] == '+' || d.text[d.pos] == '-') {
			d.pos++
		}
		if d.digits() == 0 {
			return nil, notJSON()
		}
	}
	return d.text[start:d.pos], nil
}

// digits consumes digits and returns how many.
func (d *decoder) digits() int {
	start := d.pos
	for d.pos < len(d.text) && d.text[d.pos] >= '0' && d.text[d.pos] <= '9' {
		d.pos++
	}
	return d.pos - start
}

// quoted consumes a string. The result is a slice of the body, or of a buffer
// that the next call reuses when the string has escapes.
func (d *decoder) quoted() ([]byte, error) {
	d.pos++ // the quote, which the caller saw
	start := d.pos
	ascii := true
	for d.pos < len(d.text) {
		switch c := d.text[d.pos]; {
		case c == '"':
			s := d.text[start:d.pos]
			d.pos++
			if !ascii && !utf8.Valid(s) {
				return nil, notJSON()
			}
			return s, nil
		case c == '\\':
			return d.escaped(start)
		case c < ' ':
			return nil, notJSON()
		case c >= utf8.RuneSelf:
			ascii = false
		}
		d.pos++
	}
	return nil, notJSON()
}

// escaped consumes the rest of a string that began at start and has reached
// its first backslash.
func (d *decoder) escaped(start int) ([]byte, error) {
	b := append(d.unquoted[:0], d.text[start:d.pos]...)
	for d.pos < len(d.text) {
		c := d.text[d.pos]
		d.pos++
		switch {
		case c == '"':
			d.unquoted = b
			if !utf8.Valid(b) {
				return nil, notJSON()
			}
			return b, nil
		case c < ' ':
			return nil, notJSON()
		case c != '\\':
			b = append(b, c)
			continue
		}
		if d.pos == len(d.text) {
			break
		}
		c = d.text[d.pos]
		d.pos++
		switch c {
		case '"', '\\', '/':
			b = append(b, c)
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			r, ok := d.hex4()
			if !ok {
				return nil, notJSON()
			}
			if utf16.IsSurrogate(r) {
				r = d.lowSurrogate(r)
			}
			b = utf8.AppendRune(b, r)
		default:
			return nil, notJSON()
		}
	}
	return nil, notJSON()
}

// hex4 consumes four hexadecimal digits.
func (d *decoder) hex4() (rune, bool) {
	if len(d.text)-d.pos < 4 {
		return 0, false
	}
	var r rune
	for _, c := range d.text[d.pos : d.pos+4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	d.pos += 4
	return r, true
}

// lowSurrogate consumes the second half of a pair; half a pair alone becomes U+FFFD.
func (d *decoder) lowSurrogate(high rune) rune {
	back := d.pos
	if len(d.text)-d.pos >= 6 && d.text[d.pos] == '\\' && d.text[d.pos+1] == 'u' {
		d.pos += 2
		if low, ok := d.hex4(); ok {
			if r := utf16.DecodeRune(high, low); r != utf8.RuneError {
				return r
			}
		}
	}
	d.pos = back
	return utf8.RuneError
}

// skip consumes any value.
func (d *decoder) skip() error {
	switch c := d.peek(); c {
	case '"':
		_, err := d.quoted()
		return err
	case '{':
		return d.object(func([]byte) error { return d.skip() })
	case '[':
		return d.array(d.skip)
	case 't':
		return d.word("true")
	case 'f':
		return d.word("false")
	case 'n':
		return d.word("null")
	default:
		_, err := d.number()
		return err
	}
}

// object consumes an object, calling member before each value with its key,
// which the callee must not keep.
func (d *decoder) object(member func(key []byte) error) error {
	if d.depth++; d.depth > maxDepth {
		return notJSON()
	}
	d.pos++ // the brace, which the caller saw
	for more := d.peek() != '}'; more; more = d.next(',') {
		if d.peek() != '"' {
			return notJSON()
		}
		key, err := d.quoted()
		if err != nil {
			return err
		}
		if !d.next(':') {
			return notJSON()
		}
		if err := member(key); err != nil {
			return err
		}
	}
	d.depth--
	if !d.next('}') {
		return notJSON()
	}
	return nil
}

// array consumes an array, calling item before each value.
func (d *decoder) array(item func() error) error {
	if d.depth++; d.depth > maxDepth {
		return notJSON()
	}
	d.pos++ // the bracket, which the caller saw
	for more := d.peek() != ']'; more; more = d.next(',') {
		if err := item(); err != nil {
			return err
		}
	}
	d.depth--
	if !d.next(']') {
		return notJSON()
	}
	return nil
}
