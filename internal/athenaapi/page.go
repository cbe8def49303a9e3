package athenaapi

import (
	"strconv"
	"strings"
	"time"

	"glaux/internal/access"
	"glaux/internal/fault"
	"glaux/internal/ident"
	"glaux/internal/session"
)

// pageSize is how many items a page has when the caller does not say.
const pageSize = 50

// limit is how many items a page may have.
func limit(size *int32) int {
	if size == nil {
		return pageSize
	}
	return int(*size)
}

// listing is one page of a list that is ordered newest first. Its tokens are
// good for the same operation, caller and filters only.
type listing struct {
	pages *ident.Pages
	scope string
	token *string // where it begins
}

func (a *API) listing(who access.Caller, operation string, token *string, filters ...string) listing {
	return listing{a.Pages, ident.Scope(append([]string{operation, who.Account, who.ARN}, filters...)...), token}
}

// cursor is where the page begins; zero: at the newest.
func (l listing) cursor() (session.Cursor, error) {
	if l.token == nil {
		return session.Cursor{}, nil
	}
	text, err := l.pages.Open(l.scope, *l.token)
	if err == nil {
		at, id, _ := strings.Cut(text, " ")
		var micros int64
		if micros, err = strconv.ParseInt(at, 10, 64); err == nil {
			return session.Cursor{Time: time.UnixMicro(micros).UTC(), ID: id}, nil
		}
	}
	return session.Cursor{}, fault.Invalidf("The nextPageToken is malformed: %s", *l.token).Because(err)
}

// next is the token of the page that begins after c; nil when there is none.
func (l listing) next(c session.Cursor, more bool) *string {
	if !more {
		return nil
	}
	token := l.pages.Seal(l.scope, strconv.FormatInt(c.Time.UnixMicro(), 10)+" "+c.ID)
	return &token
}
