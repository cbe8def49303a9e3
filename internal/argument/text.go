package argument

import (
	"errors"
	"strings"
)

var errOpen = errors.New("a quote is not closed")

// quoted splits at commas outside double quotes; blank items are nothing.
func quoted(v string) ([]string, error) {
	var out []string
	begin, open := 0, false
	for i := 0; i <= len(v); i++ {
		switch {
		case i < len(v) && v[i] == '"':
			open = !open
		case i == len(v) || v[i] == ',' && !open:
			if item := strings.TrimSpace(v[begin:i]); item != "" {
				out = append(out, item)
			}
			begin = i + 1
		}
	}
	if open {
		return nil, errOpen
	}
	return out, nil
}

// unquote removes the double quotes round a value.
func unquote(v string) string {
	if len(v) >= 2 && v[0] == '"' && v[len(v)-1] == '"' {
		return v[1 : len(v)-1]
	}
	return v
}

// words splits as a shell does: blanks separate, quotes and backslashes keep.
func words(s string) ([]string, error) {
	var out []string
	var word strings.Builder
	in, quote, escaped := false, rune(0), false
	for _, c := range s {
		switch {
		case escaped:
			word.WriteRune(c)
			escaped = false
		case c == '\\' && quote != '\'':
			in, escaped = true, true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(c)
		case c == '"' || c == '\'':
			in, quote = true, c
		case strings.ContainsRune(" \t\r\n", c):
			if in {
				out = append(out, word.String())
				word.Reset()
			}
			in = false
		default:
			in = true
			word.WriteRune(c)
		}
	}
	if quote != 0 || escaped {
		return nil, errOpen
	}
	if in {
		out = append(out, word.String())
	}
	return out, nil
}
