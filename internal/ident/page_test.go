package ident

import (
	"errors"
	"strings"
	"testing"
)

func TestPagesAreBoundToTheirScope(t *testing.T) {
	t.Parallel()
	p := NewPages([]byte("0123456789abcdef"))
	scope := Scope("ListSessions", "000000000000", "spark")
	token := p.Seal(scope, "17|id")

	if got, err := p.Open(scope, token); err != nil || got != "17|id" {
		t.Fatalf("own scope: got %q, %v", got, err)
	}
	for name, c := range map[string]struct{ scope, token string }{
		"other filter":    {Scope("ListSessions", "000000000000", "spark35"), token},
		"shifted parts":   {Scope("ListSessions", "000000000000|spark"), token},
		"other operation": {Scope("ListExecutors", "000000000000", "spark"), token},
		"altered":         {scope, "A" + token[1:]},
		"cut":             {scope, token[:10]},
		"no token":        {scope, "not a token"},
		"empty":           {scope, ""},
		"too long":        {scope, p.Seal(scope, strings.Repeat("x", 1600))},
		"other key":       {scope, NewPages([]byte("another key, long")).Seal(scope, "17|id")},
	} {
		if got, err := p.Open(c.scope, c.token); !errors.Is(err, ErrPage) {
			t.Errorf("%s: got %q, %v; want ErrPage", name, got, err)
		}
	}
}
