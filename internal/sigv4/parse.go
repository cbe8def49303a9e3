// Package sigv4 verifies and makes AWS Signature Version 4: signed headers,
// presigned queries, and S3's chunked bodies.
//
// Parse reads what a request claims, without judging it. Keys.Verify judges:
// scope, time, and the signature over what net/http has parsed; it needs the
// secret, which the caller looks up between the two. Verified.Body then gives
// the body as it was meant, checked while it is read.
//
// Requests must reach Verify as they arrived: rewriting Host, path or query
// comes afterwards. Refusals are faults of kind Unauthorized whose texts are
// those of AWS; ReasonOf tells them apart.
package sigv4

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Limits and forms of the protocol.
const (
	Algorithm  = "AWS4-HMAC-SHA256"
	Skew       = 5 * time.Minute    // how far a request's time may be from ours
	MaxExpires = 7 * 24 * time.Hour // the longest life of a presigned URL
	// presignedLife is how long a presigned request without X-Amz-Expires is
	// good; only services other than S3 accept one.
	presignedLife = 15 * time.Minute

	isoBasic   = "20060102T150405Z"
	terminator = "aws4_request"
)

// Values of x-amz-content-sha256 that are not a hash.
const (
	UnsignedPayload        = "UNSIGNED-PAYLOAD"
	StreamingSigned        = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	StreamingSignedTrailer = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	StreamingTrailer       = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
)

// Signature is what a request says about its own signature. Nothing in it can
// be trusted before Keys.Verify has accepted it.
type Signature struct {
	AccessKeyID string
	Date        string // of the scope, yyyymmdd
	Region      string // of the scope
	Service     string // of the scope, such as "athena"
	Token       string // session token; empty: none
	Time        time.Time
	Presigned   bool
	// Expires is the life of a presigned request from Time on; negative when
	// the request does not say.
	Expires time.Duration
	// Payload is the value of x-amz-content-sha256, or empty.
	Payload string

	amzDate   string   // as sent
	headers   []string // signed headers: lower case, sorted, each once
	signature [sha256.Size]byte
	hexSig    string
}

// Scope returns date/region/service/aws4_request.
func (s *Signature) Scope() string {
	return s.Date + "/" + s.Region + "/" + s.Service + "/" + terminator
}

// presigned reports whether a raw query has a parameter of the presigned form.
func presigned(query string) bool {
	return strings.Contains(query, "X-Amz-Algorithm=") || strings.Contains(query, "X-Amz-Credential=") || strings.Contains(query, "X-Amz-Signature=")
}

// Parse reads the signature of a request from its Authorization header or its
// query. It fails with NoSignature or Malformed.
func Parse(r *http.Request) (*Signature, error) {
	auth := r.Header["Authorization"]
	query := presigned(r.URL.RawQuery)
	switch {
	case len(auth) > 0 && query:
		return nil, incomplete("Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified")
	case len(auth) > 1:
		return nil, incomplete("Authorization header must be given once, got %d", len(auth))
	case query:
		return parseQuery(r)
	case len(auth) == 0 || auth[0] == "":
		return nil, Refuse(CodeMissing, NoSignature, "Missing Authentication Token")
	}
	return parseHeader(r, auth[0])
}

func parseHeader(r *http.Request, auth string) (*Signature, error) {
	rest, ok := strings.CutPrefix(auth, Algorithm)
	if !ok || (rest != "" && rest[0] != ' ') {
		if _, old := strings.CutPrefix(auth, "AWS4-"); old {
			return nil, incomplete("Unsupported AWS 'algorithm': '%s', only %s is supported.", cutAt(auth, ' '), Algorithm)
		}
		return nil, Refuse(CodeMissing, NoSignature, "Missing Authentication Token")
	}
	var credential, signed, signature string
	for rest = strings.Trim(rest, " "); rest != ""; {
		var part string
		part, rest, _ = strings.Cut(rest, ",")
		part = strings.Trim(part, " ")
		if part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		if !ok {
			return nil, incomplete("Invalid key=value pair (missing equal-sign) in Authorization header (hashed with SHA-256 and encoded with Base64): '%s'.", digest(auth))
		}
		var to *string
		switch name {
		case "Credential":
			to = &credential
		case "SignedHeaders":
			to = &signed
		case "Signature":
			to = &signature
		default:
			continue
		}
		if *to != "" {
			return nil, incomplete("Authorization header has more than one '%s' parameter.", name)
		}
		*to = value
	}
	date, kind, err := requestDate(r)
	if err != nil {
		return nil, err
	}
	var lacks strings.Builder
	for _, p := range [...]struct{ name, value string }{{"Credential", credential}, {"Signature", signature}, {"SignedHeaders", signed}} {
		if p.value == "" {
			lacks.WriteString("Authorization header requires '" + p.name + "' parameter. ")
		}
	}
	if kind == "" {
		lacks.WriteString("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ")
	}
	if lacks.Len() > 0 {
		return nil, incomplete("%s(Hashed with SHA-256 and encoded with Base64) Authorization=%s", lacks.String(), digest(auth))
	}
	s := &Signature{Expires: -1, amzDate: date.Format(isoBasic), Time: date}
	if kind == "X-Amz-Date" {
		s.amzDate = r.Header["X-Amz-Date"][0]
	}
	if s.Token, err = once(r.Header, "X-Amz-Security-Token"); err != nil {
		return nil, err
	}
	if s.Payload, err = once(r.Header, "X-Amz-Content-Sha256"); err != nil {
		return nil, err
	}
	return s, s.fill(credential, signed, signature)
}

// requestDate reads the time of a request from X-Amz-Date or Date and says
// which; both may be missing.
func requestDate(r *http.Request) (time.Time, string, error) {
	for _, name := range [...]string{"X-Amz-Date", "Date"} {
		text, err := once(r.Header, name)
		if err != nil {
			return time.Time{}, "", err
		}
		if text == "" {
			continue
		}
		t, ok := parseDate(text)
		if !ok && name == "Date" {
			t, err = http.ParseTime(text)
			ok = err == nil
		}
		if !ok {
			return time.Time{}, "", incomplete("Date must be in ISO-8601 'basic format'. Got '%s'. See http://en.wikipedia.org/wiki/ISO_8601", text)
		}
		return t, name, nil
	}
	return time.Time{}, "", nil
}

// parseDate reads exactly yyyymmddThhmmssZ.
func parseDate(text string) (time.Time, bool) {
	if len(text) != len(isoBasic) {
		return time.Time{}, false
	}
	t, err := time.Parse(isoBasic, text)
	return t, err == nil
}

// once returns the only value of a header, or "" when there is none. The name
// is in canonical form.
func once(h http.Header, name string) (string, error) {
	switch v := h[name]; len(v) {
	case 0:
		return "", nil
	case 1:
		return strings.Trim(v[0], " \t"), nil
	default:
		return "", incomplete("Header '%s' must be given once, got %d", name, len(v))
	}
}

func parseQuery(r *http.Request) (*Signature, error) {
	var algorithm, credential, date, expires, signed, signature, token, payload string
	for rest := r.URL.RawQuery; rest != ""; {
		var part string
		part, rest, _ = strings.Cut(rest, "&")
		if !strings.HasPrefix(part, "X-Amz-") {
			continue
		}
		name, raw, _ := strings.Cut(part, "=")
		var to *string
		switch name {
		case "X-Amz-Algorithm":
			to = &algorithm
		case "X-Amz-Credential":
			to = &credential
		case "X-Amz-Date":
			to = &date
		case "X-Amz-Expires":
			to = &expires
		case "X-Amz-SignedHeaders":
			to = &signed
		case "X-Amz-Signature":
			to = &signature
		case "X-Amz-Security-Token":
			to = &token
		case "X-Amz-Content-Sha256":
			to = &payload
		default:
			continue
		}
		value, err := url.QueryUnescape(raw)
		if err != nil {
			return nil, incomplete("Query parameter '%s' is not URL-encoded.", name)
		}
		if *to != "" {
			return nil, incomplete("Query parameter '%s' must be given once.", name)
		}
		*to = value
	}
	var lacks strings.Builder
	for _, p := range [...]struct{ name, value string }{
		{"X-Amz-Algorithm", algorithm}, {"X-Amz-Credential", credential}, {"X-Amz-Signature", signature},
		{"X-Amz-SignedHeaders", signed}, {"X-Amz-Date", date},
	} {
		if p.value == "" {
			lacks.WriteString("AWS query-string parameters must include '" + p.name + "'. ")
		}
	}
	if lacks.Len() > 0 {
		return nil, incomplete("%sRe-examine the query-string parameters.", lacks.String())
	}
	if algorithm != Algorithm {
		return nil, incomplete("Unsupported AWS 'algorithm': '%s', only %s is supported.", algorithm, Algorithm)
	}
	t, ok := parseDate(date)
	if !ok {
		return nil, incomplete("Date must be in ISO-8601 'basic format'. Got '%s'. See http://en.wikipedia.org/wiki/ISO_8601", date)
	}
	s := &Signature{Presigned: true, Expires: -1, amzDate: date, Time: t, Token: token, Payload: payload}
	if expires != "" {
		life, err := parseExpires(expires)
		if err != nil {
			return nil, err
		}
		s.Expires = life
	}
	if s.Token == "" {
		var err error
		if s.Token, err = once(r.Header, "X-Amz-Security-Token"); err != nil {
			return nil, err
		}
	}
	if s.Payload == "" {
		var err error
		if s.Payload, err = once(r.Header, "X-Amz-Content-Sha256"); err != nil {
			return nil, err
		}
	}
	return s, s.fill(credential, signed, signature)
}

// parseExpires reads X-Amz-Expires: whole seconds from 1 to a week.
func parseExpires(text string) (time.Duration, error) {
	n := 0
	digits := strings.TrimPrefix(text, "-")
	for _, c := range []byte(digits) {
		if c < '0' || c > '9' {
			return 0, incomplete("X-Amz-Expires should be a number")
		}
		if n <= int(MaxExpires/time.Second) {
			n = 10*n + int(c-'0')
		}
	}
	switch {
	case digits == "":
		return 0, incomplete("X-Amz-Expires should be a number")
	case len(digits) < len(text):
		return 0, incomplete("X-Amz-Expires must be non-negative")
	case n == 0:
		return 0, incomplete("X-Amz-Expires must be greater than zero")
	case n > int(MaxExpires/time.Second):
		return 0, incomplete("X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than %d seconds", int(MaxExpires/time.Second))
	}
	return time.Duration(n) * time.Second, nil
}

// fill takes apart credential, signed headers and signature.
func (s *Signature) fill(credential, signed, signature string) error {
	// The access key id comes first and holds no slash.
	rest := credential
	parts := [...]*string{&s.AccessKeyID, &s.Date, &s.Region, &s.Service}
	for _, p := range parts {
		var ok bool
		if *p, rest, ok = strings.Cut(rest, "/"); !ok || *p == "" {
			return incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '%s'", credential)
		}
	}
	if rest == "" || strings.Contains(rest, "/") {
		return incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '%s'", credential)
	}
	if rest != terminator {
		return incomplete("Credential should be scoped with a valid terminator: '%s', not '%s'.", terminator, rest)
	}
	s.headers = strings.Split(signed, ";")
	for i, h := range s.headers {
		if h == "" || strings.ToLower(h) != h {
			return incomplete("SignedHeaders must be lower-case names separated by semicolons, got '%s'", signed)
		}
		if i > 0 && s.headers[i-1] == h {
			return incomplete("SignedHeaders must name each header once, got '%s'", signed)
		}
	}
	if !slices.IsSorted(s.headers) {
		return incomplete("SignedHeaders must be sorted, got '%s'", signed)
	}
	s.hexSig = signature
	if n, err := hex.Decode(s.signature[:], shortest(signature)); err != nil || n != sha256.Size || len(signature) != 2*sha256.Size {
		return invalid(Mismatch, MismatchText)
	}
	return nil
}

// shortest returns at most the 64 digits a signature has.
func shortest(signature string) []byte {
	return []byte(signature[:min(len(signature), 2*sha256.Size)])
}

// digest is how AWS quotes a header in a message without repeating it.
func digest(header string) string {
	sum := sha256.Sum256([]byte(header))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func cutAt(text string, c byte) string {
	head, _, _ := strings.Cut(text, string(c))
	return head
}
