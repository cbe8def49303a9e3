package connect

import (
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
	tokens    Tokens
	strict    bool
	graceEnds time.Time
}

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
	case now.Before(j.graceEnds):
	default:
		return grant, ExpiredToken
	}
	on.add(sum)
	return grant, nil
}

// tokenOf finds the token of a call. AWS's way wins over the standard one,
// whose header some clients use for other things.
func tokenOf(h http.Header) (string, bool) {
	if all := h["X-Aws-Proxy-Auth"]; len(all) > 0 {
		return all[0], len(all) == 1
	}
	all := h["Authorization"]
	if len(all) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(all[0], " ")
	return token, ok && strings.EqualFold(scheme, "bearer")
}

// sessionHost returns the session that a host name leads to: the first label
// of KEY.sessions.ANYTHING. Every other name is a shared one.
func sessionHost(host string) (key string, ok bool) {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	key, rest, _ := strings.Cut(strings.ToLower(host), ".")
	return key, strings.HasPrefix(rest, "sessions.")
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
	grant, err := s.admitted(r, l)
	if err == nil {
		l.welcome()
		return grant, true
	}
	why, ok := errors.AsType[Refusal](err)
	text := refusalText(why)
	if !ok {
		why, text = NotAllowed, err.Error()
	}
	s.cfg.Meter.Refused(why)
	if s.strikes.allow(l.source, time.Now()) {
		s.cfg.Log.LogAttrs(r.Context(), slog.LevelWarn, "connect call refused", slog.String("reason", string(why)), slog.String("remote", r.RemoteAddr),
			slog.String("session", grant.Session), slog.String("caller", grant.Who.ARN))
	} else {
		w.Header().Set("Connection", "close") // HTTP/2's goodbye, once this is answered
		text = "too many calls were refused: " + text
	}
	fail(w, PermissionDenied, text)
	return grant, false
}

// admitted asks for the token, its session's host, and the caller's policy.
func (s *Server) admitted(r *http.Request, l *link) (access.Grant, error) {
	token, ok := tokenOf(r.Header)
	if !ok || token == "" {
		return access.Grant{}, NoToken
	}
	grant, err := s.judge.judge(token, &l.tokens)
	if err != nil {
		return grant, err
	}
	if key, own := sessionHost(r.Host); own && key != grant.Session {
		return grant, ForeignToken
	}
	return grant, nil
}

// strikes bounds how often one source is refused: a bucket of strikesBurst that
// fills again at strikesRate. Calls with a good token are never counted, so a
// source that others share with an attacker keeps working.
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
	strikesRate  = 5 // per second
	strikesKept  = 10000
)

func newStrikes() *strikes { return &strikes{by: make(map[netip.Prefix]bucket)} }

// allow counts one refusal, and reports whether the source may go on.
func (s *strikes) allow(source netip.Prefix, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.by[source]
	if !ok {
		if len(s.by) >= strikesKept {
			s.forgetLocked(now)
		}
		b = bucket{left: strikesBurst, at: now}
	}
	b.left = min(strikesBurst, b.left+now.Sub(b.at).Seconds()*strikesRate)
	b.at = now
	if b.left < 1 {
		s.by[source] = b
		return false
	}
	b.left--
	s.by[source] = b
	return true
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
