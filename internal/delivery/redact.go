package delivery

import (
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

// line hides what is secret in a line.
func (r *redactor) line(text string, now []string) string {
	text = r.replacer(now).Replace(text)
	for _, begin := range r.tokens {
		text = hideTokens(text, begin)
	}
	if suspicious(text) {
		text = named.ReplaceAllString(text, "${1}"+hiddenText)
		text = scheme.ReplaceAllString(text, "${1}"+hiddenText)
		text = bearer.ReplaceAllString(text, "${1}"+hiddenText)
		text = signed.ReplaceAllString(text, "${1}"+hiddenText)
		text = signature.ReplaceAllString(text, "${1}"+hiddenText)
	}
	return text
}

// hideTokens hides every run of base64 that begins so and is long enough.
func hideTokens(text, begin string) string {
	for from := 0; ; {
		i := strings.Index(text[from:], begin)
		if i < 0 {
			return text
		}
		i += from
		end := i
		for end < len(text) && tokenByte(text[end]) {
			end++
		}
		if end-i < shortestToken || i > 0 && tokenByte(text[i-1]) && text[i-1] != '=' {
			from = i + len(begin)
			continue
		}
		text = text[:i] + hiddenText + text[end:]
		from = i + len(hiddenText)
	}
}

func tokenByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("+/-_=%", c) >= 0
}

// names are what credentials are called where they are written, in the forms
// of headers, URLs, JSON, properties and environments.
const names = `x-aws-proxy-auth|x-glaux-session-secret|x-amz-security-token|x-amz-signature|` +
	`aws_?secret_?(?:access_?)?key|secret_?access_?key|aws_?session_?token|session_?token|aws_container_authorization_token|` +
	`fs\.s3a\.(?:secret\.key|session\.token)|spark\.authenticate\.secret|glaux_[a-z]+_secret`

var (
	// named is a name, what stands between it and the value, and the value.
	named = regexp.MustCompile(`(?i)((?:` + names + `)["'\\]*\s*(?:[:=,>]|%3d)+\s*(?:b?["'\\]+)?)[^\s"'\\,;&}]+`)
	// scheme is an Authorization header of any kind, bearer a token anywhere.
	scheme = regexp.MustCompile(`(?i)(authorization["'\\]*\s*[:=,]\s*(?:b?["'\\]+)?)[^\s"'\\,;&}](?:[^"'\\\r\n]*[^\s"'\\])?`)
	bearer = regexp.MustCompile(`(?i)(\bbearer\s+)[A-Za-z0-9+/_.~=-]{16,}`)
	// signed is a header with a signature.
	signed = regexp.MustCompile(`(?i)(AWS4-HMAC-SHA256\s+)[^"'\\\s][^"'\\\r\n]*`)
	// signature is one without the rest of its header.
	signature = regexp.MustCompile(`(?i)(\bsignature=)[0-9a-z%+/_=-]+`)
)

// suspicious reports whether a line can have what is looked for by name. Most
// have not, and this is much cheaper.
func suspicious(text string) bool {
	lower := strings.ToLower(text)
	for _, word := range []string{"secret", "token", "auth", "bearer", "signature", "aws4"} {
		if strings.Contains(lower, word) {
			return true
		}
	}
	return false
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
