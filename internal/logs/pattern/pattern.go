// Package pattern reads the filter patterns of CloudWatch Logs and matches
// events with them: terms (ERROR -Timeout, ?a ?b, "a phrase", %regex%),
// conditions on JSON ({ $.a = "x" && $.b > 1 }) and on space-delimited fields
// ([ip, user, status = 4*]).
package pattern

import (
	"bytes"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"glaux/internal/fault"
)

// MaxLength is the longest pattern in characters.
const MaxLength = 1024

// maxRegexes is how many regular expressions a pattern may have.
const maxRegexes = 2

// Pattern is a filter pattern. It is safe for concurrent use.
type Pattern struct{ match func(message []byte) bool }

// Match reports whether the event's message satisfies the pattern.
func (p *Pattern) Match(message []byte) bool { return p.match == nil || p.match(message) }

// All reports whether the pattern matches every event.
func (p *Pattern) All() bool { return p.match == nil }

// Parse reads a pattern. It fails with a fault of kind Invalid.
func Parse(text string) (*Pattern, error) {
	if utf8.RuneCountInString(text) > MaxLength {
		return nil, fault.Invalidf("Filter pattern is longer than %d characters", MaxLength)
	}
	p := &parser{text: text}
	p.space()
	var err error
	out := new(Pattern)
	switch p.peek() {
	case 0:
		return out, nil
	case '{':
		out.match, err = p.json()
	case '[':
		out.match, err = p.fields()
	default:
		out.match, err = p.terms()
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// parser reads a pattern from left to right.
type parser struct {
	text    string
	at      int
	regexes int
}

func (p *parser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *parser) space() {
	for p.at < len(p.text) && isSpace(p.text[p.at]) {
		p.at++
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// take consumes s if it comes next.
func (p *parser) take(s string) bool {
	if strings.HasPrefix(p.text[p.at:], s) {
		p.at += len(s)
		return true
	}
	return false
}

// word consumes a word of letters if it comes next, in any case.
func (p *parser) word(s string) bool {
	rest := p.text[p.at:]
	if len(rest) < len(s) || !strings.EqualFold(rest[:len(s)], s) {
		return false
	}
	if r, _ := utf8.DecodeRuneInString(rest[len(s):]); len(rest) > len(s) && (unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_') {
		return false
	}
	p.at += len(s)
	return true
}

// invalid is the refusal of the pattern at the present place.
func (p *parser) invalid(expected string) error {
	found := "the end"
	if p.at < len(p.text) {
		r, _ := utf8.DecodeRuneInString(p.text[p.at:])
		found = "'" + string(r) + "'"
	}
	return fault.Invalidf("Invalid filter pattern: %s expected at position %d, found %s", expected, utf8.RuneCountInString(p.text[:p.at])+1, found)
}

// invalidTerm has the words AWS uses.
func invalidTerm(term string) error { return fault.Invalidf("Invalid character(s) in term '%s'", term) }

// quoted consumes a quoted text, in which a backslash takes the special
// meaning of a quote and of itself.
func (p *parser) quoted() (string, error) {
	p.at++
	var b strings.Builder
	for p.at < len(p.text) {
		c := p.text[p.at]
		p.at++
		switch {
		case c == '"':
			return b.String(), nil
		case c == '\\' && (p.peek() == '"' || p.peek() == '\\'):
			c = p.peek()
			p.at++
		}
		b.WriteByte(c)
	}
	return "", p.invalid(`'"'`)
}

// regex consumes %…%.
func (p *parser) regex() (*regexp.Regexp, error) {
	start := p.at
	p.at++
	for p.at < len(p.text) && p.text[p.at] != '%' {
		c := p.text[p.at]
		if c == '\\' {
			p.at++
		}
		if c >= utf8.RuneSelf || c == '(' || c == ')' || strings.IndexByte("!&~`'\"<>", c) >= 0 {
			return nil, p.invalid("a character that a regular expression can have")
		}
		p.at++
	}
	if p.at >= len(p.text) {
		p.at = len(p.text)
		return nil, p.invalid("'%'")
	}
	p.at++
	text := p.text[start+1 : p.at-1]
	if p.regexes++; p.regexes > maxRegexes {
		return nil, fault.Invalidf("Invalid filter pattern: it has more than %d regular expressions", maxRegexes)
	}
	re, err := regexp.Compile(text)
	if err != nil || text == "" {
		return nil, fault.Invalidf("Invalid filter pattern: '%s' is not a regular expression", text)
	}
	return re, nil
}

// term is one word of a pattern of terms.
type term struct {
	text  []byte
	regex *regexp.Regexp
}

func (t *term) in(message []byte) bool {
	if t.regex != nil {
		return t.regex.Match(message)
	}
	return bytes.Contains(message, t.text)
}

// terms reads a pattern of words: all that stand alone must be there, none
// that has a minus, and, if there are no others, one of those with a question
// mark.
func (p *parser) terms() (func([]byte) bool, error) {
	var all, none, some []term
	for p.space(); p.peek() != 0; p.space() {
		into := &all
		switch p.peek() {
		case '-':
			into = &none
			p.at++
		case '?':
			into = &some
			p.at++
		}
		t, err := p.term()
		if err != nil {
			return nil, err
		}
		*into = append(*into, t)
	}
	if len(all)+len(none) > 0 {
		some = nil // as documented: beside other terms they have no effect
	}
	return func(message []byte) bool {
		for i := range all {
			if !all[i].in(message) {
				return false
			}
		}
		for i := range none {
			if none[i].in(message) {
				return false
			}
		}
		for i := range some {
			if some[i].in(message) {
				return true
			}
		}
		return len(some) == 0
	}, nil
}

func (p *parser) term() (term, error) {
	switch p.peek() {
	case '"':
		text, err := p.quoted()
		if strings.TrimSpace(text) == "" {
			text = "" // blanks in quotes match everything
		}
		return term{text: []byte(text)}, err
	case '%':
		re, err := p.regex()
		return term{regex: re}, err
	}
	start := p.at
	for p.at < len(p.text) && !isSpace(p.text[p.at]) {
		p.at++
	}
	word := p.text[start:p.at]
	if word == "" {
		return term{}, p.invalid("a term")
	}
	for _, r := range word {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' {
			return term{}, invalidTerm(word)
		}
	}
	return term{text: []byte(word)}, nil
}

// value is what a condition compares with.
type value struct {
	text        string
	regex       *regexp.Regexp
	number      float64
	isNumber    bool // an unquoted number
	open, close bool // an asterisk stood in front of, or behind, the text
}

// operators of conditions, longest first.
var operators = []string{"!=", "<=", ">=", "=", "<", ">"}

// comparison consumes an operator and what follows it.
func (p *parser) comparison(ends string) (op string, v value, err error) {
	for _, o := range operators {
		if p.take(o) {
			op = o
			break
		}
	}
	if op == "" {
		return "", v, p.invalid("an operator")
	}
	p.space()
	start := p.at
	if v, err = p.value(ends); err != nil {
		return "", v, err
	}
	if op != "=" && op != "!=" && !v.isNumber {
		return "", v, invalidTerm(strings.TrimSpace(p.text[start:p.at]))
	}
	return op, v, nil
}

// value consumes a value; without quotes it ends at a blank or one of ends.
func (p *parser) value(ends string) (v value, err error) {
	switch p.peek() {
	case '%':
		v.regex, err = p.regex()
		return v, err
	case '"':
		if v.text, err = p.quoted(); err != nil {
			return v, err
		}
	default:
		start := p.at
		for p.at < len(p.text) && !isSpace(p.text[p.at]) && strings.IndexByte(ends, p.text[p.at]) < 0 {
			if c := p.text[p.at]; c == '"' || c == '%' || c == '$' || c == '=' || c == '<' || c == '>' {
				return v, p.invalid("a value")
			}
			p.at++
		}
		if v.text = p.text[start:p.at]; v.text == "" {
			return v, p.invalid("a value")
		}
		number, err := strconv.ParseFloat(v.text, 64)
		v.number, v.isNumber = number, err == nil && !math.IsInf(number, 0) && !math.IsNaN(number)
	}
	// Only at the ends an asterisk stands for any text.
	v.text, v.open = strings.CutPrefix(v.text, "*")
	v.text, v.close = strings.CutSuffix(v.text, "*")
	return v, nil
}

// is reports whether text equals the value as text.
func (v *value) is(text string) bool {
	switch {
	case v.regex != nil:
		return v.regex.MatchString(text)
	case v.open && v.close:
		return strings.Contains(text, v.text)
	case v.open && v.text == "" || v.close && v.text == "":
		return true
	case v.open:
		return strings.HasSuffix(text, v.text)
	case v.close:
		return strings.HasPrefix(text, v.text)
	}
	return text == v.text
}

// compare applies an operator to a text, which is also a number if isNumber.
func (v *value) compare(op, text string, number float64, isNumber bool) bool {
	switch op {
	case "=", "!=":
		equal := v.is(text)
		if v.isNumber && isNumber {
			equal = number == v.number
		}
		return equal == (op == "=")
	}
	if !isNumber {
		return false
	}
	switch op {
	case "<":
		return number < v.number
	case "<=":
		return number <= v.number
	case ">":
		return number > v.number
	}
	return number >= v.number
}

// expression reads conditions joined by && and ||, with parentheses.
func expression[T any](p *parser, one func() (func(T) bool, error)) (func(T) bool, error) {
	left, err := conjunction(p, one)
	for err == nil {
		p.space()
		if !p.take("||") {
			return left, nil
		}
		a := left
		b, err := conjunction(p, one)
		if err != nil {
			return nil, err
		}
		left = func(x T) bool { return a(x) || b(x) }
	}
	return nil, err
}

func conjunction[T any](p *parser, one func() (func(T) bool, error)) (func(T) bool, error) {
	left, err := primary(p, one)
	for err == nil {
		p.space()
		if !p.take("&&") {
			return left, nil
		}
		a := left
		b, err := primary(p, one)
		if err != nil {
			return nil, err
		}
		left = func(x T) bool { return a(x) && b(x) }
	}
	return nil, err
}

func primary[T any](p *parser, one func() (func(T) bool, error)) (func(T) bool, error) {
	p.space()
	if !p.take("(") {
		return one()
	}
	inner, err := expression(p, one)
	if err != nil {
		return nil, err
	}
	p.space()
	if !p.take(")") {
		return nil, p.invalid("')'")
	}
	return inner, nil
}

// end fails unless nothing but blanks is left.
func (p *parser) end() error {
	if p.space(); p.peek() != 0 || p.at < len(p.text) {
		return p.invalid("the end")
	}
	return nil
}
