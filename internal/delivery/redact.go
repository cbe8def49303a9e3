package delivery

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// hiddenText stands for what must not be seen.
const hiddenText = "[hidden]"

// shortestSecret is how long a secret must be to be looked for: shorter ones
// would hide words.
const shortestSecret = 12

// shortestToken is how long what begins like one of our tokens must be.
const shortestToken = 60

// redactor hides credentials in lines: known secrets wherever they stand,
// tokens of the service by how they begin, and whatever stands where
// credentials are written.
type redactor struct {
	tokens []string

	mu     sync.Mutex // guards what follows
	fixed  []string
	known  []string // all that by replaces
	by     *strings.Replacer
	passed bool // by is set
}

func newRedactor(tokens []string) *redactor { return &redactor{tokens: tokens} }

// always makes the redactor hide a secret from now on.
func (r *redactor) always(secret string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fixed, r.passed = append(r.fixed, secret), false
}

// replacer replaces the fixed secrets and those of now.
func (r *redactor) replacer(now []string) *strings.Replacer {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.passed && slices.Equal(r.known[len(r.fixed):], now) {
		return r.by
	}
	r.known = slices.Concat(r.fixed, now)
	all := slices.Clone(r.known)
	// Where one secret is the beginning of another the longer one counts.
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, s := range all {
		if len(s) >= shortestSecret {
			pairs = append(pairs, s, hiddenText)
		}
	}
	r.by, r.passed = strings.NewReplacer(pairs...), true
	return r.by
}

// line hides what is secret in a line. What it costs grows with the line's
// length only, whatever the line says: who writes it may mean harm.
func (r *redactor) line(text string, now []string) string {
	text = r.replacer(now).Replace(text)
	var found []span
	for _, begin := range r.tokens {
		found = appendTokens(found, text, begin)
	}
	lower := lowered(text)
	for i := range rules {
		found = rules[i].appendSpans(found, text, lower)
	}
	return hideSpans(text, found)
}

// span is a part of a line that must not be seen.
type span struct{ from, to int }

// hideSpans replaces the spans, of which some may overlap.
func hideSpans(text string, found []span) string {
	if len(found) == 0 {
		return text
	}
	slices.SortFunc(found, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	var out strings.Builder
	at := 0 // the end of what is written or hidden
	for i, s := range found {
		if i == 0 || s.from >= at {
			out.WriteString(text[at:s.from])
			out.WriteString(hiddenText)
		}
		at = max(at, s.to)
	}
	out.WriteString(text[at:])
	return out.String()
}

// appendTokens finds every run of base64 that begins so and is long enough.
func appendTokens(found []span, text, begin string) []span {
	for from := 0; ; {
		i := strings.Index(text[from:], begin)
		if i < 0 {
			return found
		}
		i += from
		from = i + len(begin)
		if i > 0 && tokenByte(text[i-1]) && text[i-1] != '=' {
			continue // the middle of something else
		}
		end := from
		for end < len(text) && tokenByte(text[end]) {
			end++
		}
		if end-i >= shortestToken {
			found, from = append(found, span{i, end}), end
		}
	}
}

func tokenByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("+/-_=%", c) >= 0
}

// lowered makes the ASCII letters of a text small; every byte stays in its place.
func lowered(text string) string {
	b := []byte(text)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + ('a' - 'A')
		}
	}
	return string(b)
}

// rule says what to hide behind one of its words.
type rule struct {
	words []string       // in small letters
	name  bool           // the word is in a name, which goes on behind it
	after *regexp.Regexp // what follows word or name; its groups are what is hidden
}

func (r *rule) appendSpans(found []span, text, lower string) []span {
	for _, word := range r.words {
		for from := 0; ; {
			i := strings.Index(lower[from:], word)
			if i < 0 {
				break
			}
			from += i + len(word)
			for r.name && from < len(lower) && nameByte(lower[from]) {
				from++
			}
			m := r.after.FindStringSubmatchIndex(text[from:])
			if m == nil {
				continue
			}
			for g := 2; g < len(m); g += 2 {
				if m[g] >= 0 {
					found = append(found, span{from + m[g], from + m[g+1]})
				}
			}
			from += m[1]
		}
	}
	return found
}

func nameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.'
}

// Parts of what follows. What is quoted may be so in JSON in JSON; what begins
// with a comma or a bracket is none, but comes behind one that is empty.
const (
	quotes = `["'\\]{1,8}`
	quoted = `b?` + quotes + `([^\s"'\\,:})\]][^"'\\\r\n]*)`
	plain  = `([^\s"'\\,:;&{}()\[\]][^\s"'\\,;&}]*)`
	blank  = `\s{0,8}`
)

// rules are all forms in which credentials are written.
var rules = []rule{
	// Settings by what their names have in them. What the UI shows no values of
	// (Pages.REDACTED) is hidden here too.
	{
		slices.Concat(
			[]string{"secret", "password", "passwd", "passphrase", "token", "signature", "jaas"},
			spelled("access", "key"), spelled("account", "key"), spelled("api", "key"), spelled("private", "key"),
		), true,
		behind(`(?:` + quotes + `)?` + blank + `(?:=|%3d)` + blank + `(?:` + quoted + `|` + plain + `)|` + quotes + blank + `:` + blank + quoted),
	},
	// Headers, and names that need no sign of equality.
	{
		slices.Concat(
			[]string{"x-aws-proxy-auth", "x-glaux-session-secret", "x-amz-security-token", "x-amz-signature", "authenticate.secret", "authorization_token", "password"},
			spelled("secret", "key"), spelled("access", "key"), spelled("session", "token"),
		), false,
		behind(`(?:` + quotes + `)?` + blank + `(?:[:=,>]{1,2}|%3d)` + blank + `(?:` + quoted + `|` + plain + `)`),
	},
	{[]string{"authorization"}, false, behind(`(?:` + quotes + `)?` + blank + `[:=,]` + blank + `(?:b?` + quotes + `)?([^\s"'\\,;&}](?:[^"'\\\r\n]*[^\s"'\\])?)`)},
	{[]string{"bearer"}, false, behind(`\s{1,8}([a-z0-9+/_.~=-]{16,})`)},
	{[]string{"aws4-hmac-sha256"}, false, behind(`\s{1,8}([^"'\\\s][^"'\\\r\n]*)`)}, // the rest of the header
	{[]string{"ticket="}, false, behind(`([^\s"'\\;&,]{16,})`)},
	{[]string{"glaux-ui="}, false, behind(`([^\s"'\\;&,]+)`)},
	// The password of who is named in a URL; S3's may have slashes.
	{[]string{"://"}, false, behind(`[^\s/@:"'\\]*:([^\s/@"'\\]+)@`)},
	{[]string{"s3://", "s3a://", "s3n://"}, false, behind(`[^\s/@:"'\\]*:([^\s/@:"'\\][^\s@:"'\\]*)@`)},
}

func behind(form string) *regexp.Regexp { return regexp.MustCompile(`^(?i:` + form + `)`) }

// spelled is a name of two words in every spelling.
func spelled(a, b string) []string {
	return []string{a + b, a + "_" + b, a + "-" + b, a + "." + b}
}

// secretsEvery is for how long what the service says is secret is good.
const secretsEvery = time.Second

// secrets are what the service has given the session. Safe for concurrent use.
type secrets struct {
	mu    sync.Mutex // guards what follows
	list  []string
	asked time.Time
}

func (s *secrets) now(ask func() []string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); s.asked.IsZero() || now.Sub(s.asked) >= secretsEvery {
		s.list, s.asked = ask(), now
	}
	return s.list
}

// hidden hides what is secret in a line of the session.
func (f *following) hidden(text string) string {
	return f.hide.line(text, f.given.now(func() []string { return f.m.cfg.Secrets(f.s.Key) }))
}
