package awsapi

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// smithyText reads the values in a Smithy IDL file: objects, lists, strings,
// text blocks, numbers, and bare words, of which only true, false and null
// mean something here.
type smithyText struct {
	text string
	pos  int
}

// space skips white space, commas and comments.
func (p *smithyText) space() {
	for p.pos < len(p.text) {
		switch c := p.text[p.pos]; {
		case c == ',' || unicode.IsSpace(rune(c)):
			p.pos++
		case strings.HasPrefix(p.text[p.pos:], "//"):
			_, rest, _ := strings.Cut(p.text[p.pos:], "\n")
			p.pos = len(p.text) - len(rest)
		default:
			return
		}
	}
}

// value reads one value.
func (p *smithyText) value() (any, error) {
	p.space()
	if p.pos == len(p.text) {
		return nil, fmt.Errorf("cannot read a value: the text ends")
	}
	switch c := p.text[p.pos]; c {
	case '{':
		return p.object()
	case '[':
		p.pos++
		list := []any{}
		for p.space(); p.text[p.pos] != ']'; p.space() {
			v, err := p.value()
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		p.pos++
		return list, nil
	case '"':
		return p.str()
	}
	return p.word()
}

// object reads an object.
func (p *smithyText) object() (any, error) {
	p.pos++
	m := map[string]any{}
	for p.space(); p.text[p.pos] != '}'; p.space() {
		key, err := p.value()
		if err != nil {
			return nil, err
		}
		p.space()
		if p.text[p.pos] != ':' {
			return nil, fmt.Errorf("cannot read the object: no colon at %.40q", p.text[p.pos:])
		}
		p.pos++
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		m[fmt.Sprint(key)] = v
	}
	p.pos++
	return m, nil
}

// word reads a bare word or a number.
func (p *smithyText) word() (any, error) {
	end := strings.IndexFunc(p.text[p.pos:], func(r rune) bool { return strings.ContainsRune(" \t\r\n,:]})", r) })
	if end <= 0 {
		return nil, fmt.Errorf("cannot read a word at %.40q", p.text[p.pos:])
	}
	w := p.text[p.pos : p.pos+end]
	p.pos += end
	switch w {
	case "true":
		return true, nil
	case "false":
		return false, nil
	case "null":
		return nil, nil
	}
	if i, err := strconv.ParseInt(w, 10, 64); err == nil {
		return i, nil
	}
	if f, err := strconv.ParseFloat(w, 64); err == nil {
		return f, nil
	}
	return w, nil
}

// str reads a string or a text block, whose common indentation goes.
func (p *smithyText) str() (any, error) {
	quote := `"`
	if strings.HasPrefix(p.text[p.pos:], `"""`) {
		quote = `"""`
	}
	p.pos += len(quote)
	var b strings.Builder
	for !strings.HasPrefix(p.text[p.pos:], quote) {
		c := p.text[p.pos]
		p.pos++
		if c != '\\' {
			b.WriteByte(c)
			continue
		}
		switch c = p.text[p.pos]; c {
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case '\n': // a line that goes on
		default:
			b.WriteByte(c)
		}
		p.pos++
	}
	p.pos += len(quote)
	return strings.TrimPrefix(b.String(), "\n"), nil
}

// cases returns the test cases of a file: those of requests and of replies.
func smithyCases(text string) (requests, replies []map[string]any, err error) {
	for _, kind := range []struct {
		trait string
		into  *[]map[string]any
	}{{"@httpRequestTests(", &requests}, {"@httpResponseTests(", &replies}} {
		for rest := text; ; {
			_, after, ok := strings.Cut(rest, kind.trait)
			if !ok {
				break
			}
			p := &smithyText{text: after}
			v, err := p.value()
			if err != nil {
				return nil, nil, err
			}
			list, _ := v.([]any)
			for _, c := range list {
				m, _ := c.(map[string]any)
				*kind.into = append(*kind.into, m)
			}
			rest = after[p.pos:]
		}
	}
	return requests, replies, nil
}
