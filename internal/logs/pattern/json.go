package pattern

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// json reads { … }.
func (p *parser) json() (func([]byte) bool, error) {
	p.at++
	match, err := expression(p, p.condition)
	if err != nil {
		return nil, err
	}
	p.space()
	if !p.take("}") {
		return nil, p.invalid("'}'")
	}
	if err := p.end(); err != nil {
		return nil, err
	}
	return func(message []byte) bool {
		message = bytes.TrimSpace(message)
		if len(message) == 0 || message[0] != '{' && message[0] != '[' {
			return false // by far the most frequent line
		}
		d := json.NewDecoder(bytes.NewReader(message))
		d.UseNumber()
		var doc any
		if d.Decode(&doc) != nil || d.More() {
			return false
		}
		return match(doc)
	}, nil
}

// condition reads one condition on a member.
func (p *parser) condition() (func(any) bool, error) {
	path, err := p.selector()
	if err != nil {
		return nil, err
	}
	p.space()
	switch {
	case p.word("EXISTS"):
		return func(doc any) bool { return reaches(path, doc, func(any) bool { return true }) }, nil
	case p.word("NOT"):
		p.space()
		if !p.word("EXISTS") {
			return nil, p.invalid("EXISTS")
		}
		return func(doc any) bool { return !reaches(path, doc, func(any) bool { return true }) }, nil
	case p.word("IS"):
		p.space()
		var want any
		switch {
		case p.word("NULL"):
		case p.word("TRUE"):
			want = true
		case p.word("FALSE"):
			want = false
		default:
			return nil, p.invalid("NULL, TRUE or FALSE")
		}
		return func(doc any) bool {
			return reaches(path, doc, func(x any) bool {
				switch x := x.(type) {
				case nil:
					return want == nil
				case bool:
					return want == x
				}
				return false
			})
		}, nil
	}
	op, v, err := p.comparison(")}&|(")
	if err != nil {
		return nil, err
	}
	return func(doc any) bool {
		return reaches(path, doc, func(x any) bool { return compareJSON(op, &v, x) })
	}, nil
}

// compareJSON compares a member's value. Objects, arrays and null compare with
// nothing, whatever the operator is.
func compareJSON(op string, v *value, x any) bool {
	switch x := x.(type) {
	case string:
		return v.compare(op, x, 0, false)
	case json.Number:
		n, err := x.Float64()
		return v.compare(op, x.String(), n, err == nil)
	case bool:
		return v.compare(op, strconv.FormatBool(x), 0, false)
	}
	return false
}

// step is one step down into a document: a member, an element, or every
// element.
type step struct {
	member string
	index  int // -1: a member; allElements: every element
}

const allElements = -2

// selector reads $.a['b'][0].c[*].
func (p *parser) selector() ([]step, error) {
	if !p.take("$") {
		return nil, p.invalid("a selector that begins with '$'")
	}
	var path []step
	for {
		switch {
		case p.take(".["), p.take("["):
			s, err := p.bracket()
			if err != nil {
				return nil, err
			}
			path = append(path, s)
		case p.take("."):
			start := p.at
			for p.at < len(p.text) {
				r, n := utf8.DecodeRuneInString(p.text[p.at:])
				if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_-:@#/", r) {
					break
				}
				p.at += n
			}
			if start == p.at {
				return nil, p.invalid("a member's name")
			}
			path = append(path, step{member: p.text[start:p.at], index: -1})
		default:
			if len(path) == 0 {
				return nil, p.invalid("'.'")
			}
			return path, nil
		}
	}
}

// bracket reads what follows an opening bracket.
func (p *parser) bracket() (step, error) {
	p.space()
	s := step{index: -1}
	switch c := p.peek(); {
	case c == '*':
		p.at++
		s.index = allElements
	case c == '\'' || c == '"':
		end := strings.IndexByte(p.text[p.at+1:], c)
		if end < 0 {
			p.at = len(p.text)
			return s, p.invalid("the end of a member's name")
		}
		s.member = p.text[p.at+1 : p.at+1+end]
		p.at += end + 2
	default:
		start := p.at
		for p.at < len(p.text) && '0' <= p.text[p.at] && p.text[p.at] <= '9' {
			p.at++
		}
		n, err := strconv.Atoi(p.text[start:p.at])
		if err != nil {
			p.at = start
			return s, p.invalid("an index")
		}
		s.index = n
	}
	p.space()
	if !p.take("]") {
		return s, p.invalid("']'")
	}
	return s, nil
}

// reaches reports whether test holds for any value that the path leads to.
func reaches(path []step, doc any, test func(any) bool) bool {
	if len(path) == 0 {
		return test(doc)
	}
	switch s := path[0]; {
	case s.index == -1:
		m, ok := doc.(map[string]any)
		if !ok {
			return false
		}
		x, ok := m[s.member]
		return ok && reaches(path[1:], x, test)
	default:
		list, ok := doc.([]any)
		if !ok {
			return false
		}
		if s.index != allElements {
			return s.index < len(list) && reaches(path[1:], list[s.index], test)
		}
		for _, x := range list {
			if reaches(path[1:], x, test) {
				return true
			}
		}
		return false
	}
}
