package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Keys verifies and makes signatures. It remembers the signing keys it has
// derived, which are good for one secret, day, region and service. It is safe
// for concurrent use; NewKeys makes one.
type Keys struct {
	scratches *sync.Pool

	mu     sync.RWMutex
	recent map[scope][sha256.Size]byte // guarded by mu
	old    map[scope][sha256.Size]byte // guarded by mu; the generation before
}

// scope is what a signing key is derived from.
type scope struct{ secret, date, region, service string }

// generation is how many signing keys are kept twice over.
const generation = 2048

// NewKeys returns a Keys without any key.
func NewKeys() *Keys {
	return &Keys{scratches: newScratches(), recent: make(map[scope][sha256.Size]byte)}
}

// key returns the signing key of a scope.
func (k *Keys) key(s scope) [sha256.Size]byte {
	k.mu.RLock()
	sum, ok := k.recent[s]
	k.mu.RUnlock()
	if ok {
		return sum
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if sum, ok = k.old[s]; !ok {
		sum = derive(s)
	}
	if len(k.recent) >= generation {
		k.old, k.recent = k.recent, make(map[scope][sha256.Size]byte)
	}
	// The strings may be parts of a request's headers; own copies keep those
	// from living as long as the key.
	k.recent[scope{strings.Clone(s.secret), strings.Clone(s.date), strings.Clone(s.region), strings.Clone(s.service)}] = sum
	return sum
}

func derive(s scope) [sha256.Size]byte {
	sum := mac([]byte("AWS4"+s.secret), []byte(s.date))
	sum = mac(sum[:], []byte(s.region))
	sum = mac(sum[:], []byte(s.service))
	return mac(sum[:], []byte(terminator))
}

// mac returns HMAC-SHA256.
func mac(key, text []byte) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, key)
	h.Write(text)
	h.Sum(sum[:0])
	return sum
}

// Want is what a request has to be signed for.
type Want struct {
	Service string // signing name; S3 follows S3's own rules
	Region  string // empty: any
	// Body is the body of the request, for services other than S3. S3's is
	// checked while it is read: see Verified.Body.
	Body []byte
}

// Verified is a request whose signature was found good.
type Verified struct {
	Signature
	key [sha256.Size]byte // signing key, for the chunks of the body
}

// Verify checks the scope, time and signature of r, which s was parsed from,
// with the secret of s.AccessKeyID. r must be as it arrived. The time is
// compared before the signature, as AWS does.
func (k *Keys) Verify(r *http.Request, s *Signature, secret string, want Want) (*Verified, error) {
	if err := s.checkScope(want); err != nil {
		return nil, err
	}
	if err := s.checkTime(time.Now(), want.Service); err != nil {
		return nil, err
	}
	if err := s.checkCovered(r, want.Service); err != nil {
		return nil, err
	}
	payload, err := s.payloadHash(want)
	if err != nil {
		return nil, err
	}
	key := k.key(scope{secret, s.Date, s.Region, s.Service})

	c := k.scratches.Get().(*scratch) //nolint:forcetypeassert // the pool holds nothing else
	defer k.scratches.Put(c)
	c.buf = c.appendCanonical(c.buf[:0], r, s.Service, s.headers, payload)
	end := len(c.buf)
	c.buf = appendStringToSign(c.buf, s.amzDate, s.Date, s.Region, s.Service, c.buf)
	sum := mac(key[:], c.buf[end:])
	if !hmac.Equal(sum[:], s.signature[:]) {
		return nil, invalid(Mismatch, MismatchText)
	}
	return &Verified{Signature: *s, key: key}, nil
}

// checkScope compares the credential's scope with what is wanted.
func (s *Signature) checkScope(want Want) error {
	var text strings.Builder
	if want.Region != "" && s.Region != want.Region {
		text.WriteString("Credential should be scoped to a valid region, not '" + s.Region + "'. ")
	}
	if s.Service != want.Service {
		text.WriteString("Credential should be scoped to correct service: '" + want.Service + "'. ")
	}
	if text.Len() > 0 {
		return invalid(WrongScope, "%s", text.String())
	}
	if day := s.Time.Format("20060102"); s.Date != day {
		return invalid(WrongScope, "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s', from '%s'.", s.Date, day, s.amzDate)
	}
	return nil
}

// checkTime compares the request's time with now.
func (s *Signature) checkTime(now time.Time, service string) error {
	now = now.UTC()
	stamp := func(t time.Time) string { return t.Format(isoBasic) }
	future := func(why Reason) error {
		return invalid(why, "Signature not yet current: %s is still later than %s (%s + 5 min.)", stamp(s.Time), stamp(now.Add(Skew)), stamp(now))
	}
	if !s.Presigned {
		if s.Time.After(now.Add(Skew)) {
			return future(Skewed)
		}
		if s.Time.Before(now.Add(-Skew)) {
			return invalid(Skewed, "Signature expired: %s is now earlier than %s (%s - 5 min.)", stamp(s.Time), stamp(now.Add(-Skew)), stamp(now))
		}
		return nil
	}
	life := s.Expires
	if life < 0 {
		if service == S3 {
			return incomplete("AWS query-string parameters must include 'X-Amz-Expires'. Re-examine the query-string parameters.")
		}
		life = presignedLife
	}
	if s.Time.After(now.Add(Skew)) {
		return future(NotYetValid)
	}
	if end := s.Time.Add(life); now.After(end) {
		return invalid(RequestExpired, "Signature expired: %s is now earlier than %s (%s - %d min.)", stamp(s.Time), stamp(now.Add(-life)), stamp(now), int(life/time.Minute))
	}
	return nil
}

// checkCovered finds headers that have to be signed and are not: Host always,
// X-Amz-Target because it says what the request does, and for S3 everything
// that starts with x-amz-.
func (s *Signature) checkCovered(r *http.Request, service string) error {
	if _, ok := slices.BinarySearch(s.headers, "host"); !ok {
		return invalid(UnsignedHeader, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	}
	if service != S3 {
		if _, ok := slices.BinarySearch(s.headers, "x-amz-target"); !ok && len(r.Header["X-Amz-Target"]) > 0 {
			return invalid(UnsignedHeader, "'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization.")
		}
		return nil
	}
	for name := range r.Header {
		if !strings.HasPrefix(name, "X-Amz-") {
			continue
		}
		if _, ok := slices.BinarySearch(s.headers, strings.ToLower(name)); ok {
			continue
		}
		// A presigned URL whose payload is stated nowhere else leaves the
		// payload unsigned; SDKs repeat that in a header they do not sign.
		if s.Presigned && name == "X-Amz-Content-Sha256" && s.Payload == UnsignedPayload {
			continue
		}
		return invalid(UnsignedHeader, "There were headers present in the request which were not signed")
	}
	return nil
}

// payloadHash returns the last line of the canonical request.
func (s *Signature) payloadHash(want Want) (string, error) {
	if want.Service != S3 {
		if len(want.Body) == 0 {
			return emptyHash, nil
		}
		sum := sha256.Sum256(want.Body)
		return hex.EncodeToString(sum[:]), nil
	}
	switch s.Payload {
	case UnsignedPayload, StreamingSigned, StreamingSignedTrailer, StreamingTrailer:
		return s.Payload, nil
	case "":
		if s.Presigned {
			return UnsignedPayload, nil
		}
		return "", invalid(NoPayloadHash, "Missing required header for this request: x-amz-content-sha256")
	}
	if strings.HasPrefix(s.Payload, "STREAMING-") {
		return "", invalid(NotSupported, "x-amz-content-sha256 %s is not supported", s.Payload)
	}
	if len(s.Payload) != 2*sha256.Size || strings.ContainsFunc(s.Payload, func(c rune) bool { return c > 'f' || !isHex(byte(c)) }) {
		return "", invalid(NoPayloadHash, "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.")
	}
	return s.Payload, nil
}

// emptyHash is the SHA-256 of nothing.
const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
