package glueapi

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"glaux/internal/access"
	"glaux/internal/fault"
	"glaux/internal/ident"
	"glaux/internal/session"
)

// pageSize is how many items a page has when the caller does not say.
const pageSize = 100

// limit is how many items a page may have.
func limit(size *int32) int {
	if size == nil {
		return pageSize
	}
	return int(*size)
}

// listing is one page of a list. Its tokens are good for the same operation,
// caller and filters only.
type listing struct {
	pages *ident.Pages
	scope string
	token *string // where it begins
}

func (a *API) listing(who access.Caller, operation string, token *string, filters ...string) listing {
	return listing{a.Pages, ident.Scope(append([]string{"glue:" + operation, who.Account, who.ARN}, filters...)...), token}
}

// place is where the page begins; empty: at the first item.
func (l listing) place() (string, error) {
	if l.token == nil || *l.token == "" {
		return "", nil
	}
	text, err := l.pages.Open(l.scope, *l.token)
	if err != nil {
		return "", badToken(err)
	}
	return text, nil
}

func badToken(cause error) error {
	return fault.Invalidf("The NextToken is not valid.").Because(cause)
}

// at is the token of the page that begins at the place; nil when there is none.
func (l listing) at(place string, more bool) *string {
	if !more {
		return nil
	}
	token := l.pages.Seal(l.scope, place)
	return &token
}

// cursor is where a page begins of a list that is ordered newest first; zero:
// at the newest.
func (l listing) cursor() (session.Cursor, error) {
	text, err := l.place()
	if err != nil || text == "" {
		return session.Cursor{}, err
	}
	at, id, _ := strings.Cut(text, " ")
	micros, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return session.Cursor{}, badToken(err)
	}
	return session.Cursor{Time: time.UnixMicro(micros).UTC(), ID: id}, nil
}

// next is the token of the page that begins after c; nil when there is none.
func (l listing) next(c session.Cursor, more bool) *string {
	return l.at(strconv.FormatInt(c.Time.UnixMicro(), 10)+" "+c.ID, more)
}

// stamp is a time as the wire has it, with at most three decimals; nil when it is zero.
func stamp(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.Truncate(time.Millisecond)
	return &t
}

// decimals is a number as the wire has it, with at most three decimals.
func decimals(n float64) float64 { return math.Round(n*1000) / 1000 }

// filled is s, or nil when it is empty.
func filled(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// mostText is how many characters a DescriptionString has.
const mostText = 2048

// shortened is s cut to what a DescriptionString holds.
func shortened(s string) string {
	if utf8.RuneCountInString(s) <= mostText {
		return s
	}
	return string([]rune(s)[:mostText-1]) + "…"
}
