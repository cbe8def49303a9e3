package pattern

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"glaux/internal/fault"
)

// fields reads [ … ]: a name or a condition for every field of an event, and
// at most one ellipsis for any number of fields.
func (p *parser) fields() (func([]byte) bool, error) {
	p.at++
	var all []func(string) bool
	ellipsis := -1
	for {
		p.space()
		switch {
		case p.take("..."):
			if ellipsis >= 0 {
				return nil, fault.Invalidf("Invalid filter pattern: it has more than one ellipsis")
			}
			ellipsis = len(all)
		case p.peek() == ',' || p.peek() == ']': // a field without a name
			// Nothing at all, and what follows the last comma, is no field.
			if p.peek() == ',' {
				all = append(all, anything)
			}
		default:
			one, err := expression(p, p.field)
			if err != nil {
				return nil, err
			}
			all = append(all, one)
		}
		p.space()
		if p.take(",") {
			continue
		}
		if !p.take("]") {
			return nil, p.invalid("',' or ']'")
		}
		break
	}
	if err := p.end(); err != nil {
		return nil, err
	}
	if ellipsis < 0 && len(all) == 0 {
		return nil, fault.Invalidf("Invalid filter pattern: it names no fields")
	}
	return func(message []byte) bool {
		have := split(string(message))
		if ellipsis < 0 {
			return len(have) == len(all) && matchFields(all, have)
		}
		if len(have) < len(all) {
			return false
		}
		rest := len(all) - ellipsis
		return matchFields(all[:ellipsis], have[:ellipsis]) && matchFields(all[ellipsis:], have[len(have)-rest:])
	}, nil
}

func anything(string) bool { return true }

func matchFields(want []func(string) bool, have []string) bool {
	for i := range want {
		if !want[i](have[i]) {
			return false
		}
	}
	return true
}

// field reads a name with or without a condition.
func (p *parser) field() (func(string) bool, error) {
	p.space()
	start := p.at
	for p.at < len(p.text) {
		r, n := utf8.DecodeRuneInString(p.text[p.at:])
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' && r != '-' {
			break
		}
		p.at += n
	}
	if start == p.at {
		return nil, p.invalid("a field's name")
	}
	p.space()
	if c := p.peek(); c == ',' || c == ']' || c == ')' || c == '&' || c == '|' {
		return anything, nil
	}
	op, v, err := p.comparison(",])&|(")
	if err != nil {
		return nil, err
	}
	return func(text string) bool {
		n, err := strconv.ParseFloat(text, 64)
		return v.compare(op, text, n, err == nil)
	}, nil
}

// split takes an event apart at its blanks. What stands in brackets or double
// quotes is one field, without them.
func split(message string) []string {
	var all []string
	for i := 0; i < len(message); {
		c := message[i]
		if isSpace(c) {
			i++
			continue
		}
		closing := byte(0)
		switch c {
		case '[':
			closing = ']'
		case '"':
			closing = '"'
		}
		if closing != 0 {
			if end := strings.IndexByte(message[i+1:], closing); end >= 0 {
				all = append(all, message[i+1:i+1+end])
				i += end + 2
				continue
			}
		}
		start := i
		for i < len(message) && !isSpace(message[i]) {
			i++
		}
		all = append(all, message[start:i])
	}
	return all
}
