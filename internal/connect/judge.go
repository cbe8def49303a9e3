package connect

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"glaux/internal/access"
	"glaux/internal/ident"
)

// Refusal says why a call or a connection was not let in.
type Refusal string

// The refusals.
const (
	NoToken      Refusal = "no-token"
	WrongToken   Refusal = "wrong-token"
	ExpiredToken Refusal = "expired-token"
	ForeignToken Refusal = "foreign-token" // of another session than the host's
	NotAllowed   Refusal = "not-allowed"   // the caller's policy says no, since the token was made
	TooMany      Refusal = "too-many"      // connections that have shown no token
	NoHandshake  Refusal = "no-handshake"  // garbage, plaintext, HTTP/1.1, silence
)

// Error makes a Refusal an error.
func (r Refusal) Error() string { return string(r) }

// judge holds the rule of tokens.
type judge struct {
	tokens  Tokens
	strict  bool
	started time.Time
	grace   time.Duration
}

// graceReaches is how long before the server's start a token may have expired
// and be taken within the grace: whoever was working then got one not longer
// ago, and one that was lost long before opens nothing again.
const graceReaches = 24 * time.Hour

// remembered is how many tokens of one connection are known as accepted. A
// client that gets a new one every few minutes fills it in a day.
const remembered = 256

// accepted are the tokens that one connection has accepted, oldest first.
type accepted struct {
	mu    sync.Mutex
	order [][sha256.Size]byte            // guarded by mu
	by    map[[sha256.Size]byte]struct{} // guarded by mu
}

func (a *accepted) has(sum [sha256.Size]byte) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, ok := a.by[sum]
	return ok
}

func (a *accepted) add(sum [sha256.Size]byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.by[sum]; ok {
		return
	}
	if a.by == nil {
		a.by = make(map[[sha256.Size]byte]struct{})
	}
	if len(a.order) == remembered {
		delete(a.by, a.order[0])
		a.order = a.order[1:]
	}
	a.by[sum] = struct{}{}
	a.order = append(a.order, sum)
}

// judge returns what the token grants now on a connection, or a Refusal. That
// the session lives is for the caller to see to: the exceptions for expired
// tokens are good for live sessions only.
func (j *judge) judge(token string, on *accepted) (access.Grant, error) {
	grant, err := j.tokens.OpenConnectToken(token)
	if err != nil {
		return access.Grant{}, WrongToken
	}
	// The bytes name the session too: no two sessions have the same token.
	sum := sha256.Sum256([]byte(token))
	now := time.Now()
	switch {
	case now.Before(grant.Expires):
	case j.strict:
		return grant, ExpiredToken
	case on.has(sum):
	case now.Before(j.started.Add(j.grace)) && grant.Expires.After(j.started.Add(-graceReaches)):
	default:
		return grant, ExpiredToken
	}
	on.add(sum)
	return grant, nil
}

// tokenOf finds the token of a call; empty: there is none, or more than one.
// AWS's way wins over the standard one, whose header some clients use for other
// things.
func tokenOf(h http.Header) string {
	switch all := h["X-Aws-Proxy-Auth"]; len(all) {
	case 0:
	case 1:
		return all[0]
	default:
		return ""
	}
	all := h["Authorization"]
	if len(all) != 1 {
		return ""
	}
	scheme, token, _ := strings.Cut(all[0], " ")
	if !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return token
}

// sessionHost returns the session that a host name leads to: the first label
// of KEY.sessions.ANYTHING when it is a UUID, as every key is. Every other name
// is a shared one.
func sessionHost(host string) (key string, ok bool) {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	key, rest, _ := strings.Cut(strings.ToLower(host), ".")
	return key, ident.IsID(key) && strings.HasPrefix(rest, "sessions.")
}

// refusalText is what a client is told. It does not say what is wrong with a
// token that is none of ours.
func refusalText(why Refusal) string {
	switch why {
	case ExpiredToken:
		return "the token has expired: get another one with GetSessionEndpoint"
	case ForeignToken:
		return "the token is for another session"
	case NoToken:
		return "the call carries no token: send the AuthToken of GetSessionEndpoint as x-aws-proxy-auth, or as a bearer token"
	case WrongToken, NotAllowed, TooMany, NoHandshake:
	}
	return "the token is not valid"
}

// authenticate returns what the call's token grants, or answers the call.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request) (access.Grant, bool) {
	l := linkOf(r.Context())
	token := tokenOf(r.Header)
	// A token that this connection has shown before is no guess and never waits.
	known := l.tokens.has(sha256.Sum256([]byte(token)))
	var wait time.Duration
	if !known {
		var ok bool
		if wait, ok = s.strikes.take(l.source, time.Now()); !ok {
			s.cfg.Meter.Refused(TooMany)
			w.Header().Set("Connection", "close") // HTTP/2's goodbye, once this is answered
			fail(w, Unavailable, "too many calls from this address were refused; try again")
			return access.Grant{}, false
		}
		if wait > 0 && !waited(r.Context(), wait) {
			return access.Grant{}, false // nobody is there any more
		}
	}
	grant, err := s.admitted(r.Host, token, l)
	if err == nil {
		if !known {
			s.strikes.giveBack(l.source)
		}
		return grant, true
	}
	why, _ := errors.AsType[Refusal](err) // there are no others
	text := refusalText(why)
	s.cfg.Meter.Refused(why)
	late := wait > 0
	if known { // refused now: not a guess, but not to be logged for ever either
		more, ok := s.strikes.take(l.source, time.Now())
		late = more > 0 || !ok
	}
	if !late {
		s.cfg.Log.LogAttrs(r.Context(), slog.LevelWarn, "connect call refused", slog.String("reason", string(why)), slog.String("remote", r.RemoteAddr),
			slog.String("session", grant.Session), slog.String("caller", grant.Who.ARN))
	} else {
		w.Header().Set("Connection", "close") // as above
		text = "too many calls were refused: " + text
	}
	fail(w, PermissionDenied, text)
	return grant, false
}

// waited waits for d; false: ctx ended before.
func waited(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// admitted asks for the token and its session's host, and returns a Refusal
// otherwise.
func (s *Server) admitted(host, token string, l *link) (access.Grant, error) {
	if token == "" {
		return access.Grant{}, NoToken
	}
	grant, err := s.judge.judge(token, &l.tokens)
	if err != nil {
		return grant, err
	}
	if key, own := sessionHost(host); own && key != grant.Session {
		return grant, ForeignToken
	}
	return grant, nil
}

// strikes bounds how often one source may show tokens that are not good: a
// bucket of strikesBurst that fills again at strikesRate. Good ones are given
// back. Once it is empty calls wait for their turn, so a source that others
// share with an attacker keeps working: connections go on with tokens they have
// shown before, and new ones come in slowly.
type strikes struct {
	mu sync.Mutex
	by map[netip.Prefix]bucket // guarded by mu
}

type bucket struct {
	left float64
	at   time.Time
}

const (
	strikesBurst = 50
	strikesRate  = 5  // per second
	strikesQueue = 50 // that wait
	strikesKept  = 10000
)

func newStrikes() *strikes { return &strikes{by: make(map[netip.Prefix]bucket)} }

// take takes one try of a source and returns how long to wait before it; ok is
// false when too many wait already.
func (s *strikes) take(source netip.Prefix, now time.Time) (wait time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, seen := s.by[source]
	if !seen {
		if len(s.by) >= strikesKept {
			s.forgetLocked(now)
		}
		b = bucket{left: strikesBurst, at: now}
	}
	b.left = min(strikesBurst, b.left+now.Sub(b.at).Seconds()*strikesRate)
	b.at = now
	if ok = b.left-1 >= -strikesQueue; ok {
		b.left--
		wait = time.Duration(max(0, -b.left) / strikesRate * float64(time.Second))
	}
	s.by[source] = b
	return wait, ok
}

// giveBack gives back a try that showed a good token.
func (s *strikes) giveBack(source netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b, ok := s.by[source]; ok {
		b.left = min(strikesBurst, b.left+1)
		s.by[source] = b
	}
}

// forgetLocked drops the sources whose bucket is full again, or all when that is none.
func (s *strikes) forgetLocked(now time.Time) {
	for k, b := range s.by {
		if b.left+now.Sub(b.at).Seconds()*strikesRate >= strikesBurst {
			delete(s.by, k)
		}
	}
	if len(s.by) >= strikesKept {
		clear(s.by)
	}
}
