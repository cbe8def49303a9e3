package sigv4

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Body is the body of a verified S3 request as its sender meant it: aws-chunked
// framing is taken off, and what the signature promises is checked while it is
// read. Bytes are handed out before the check that covers them is complete, so
// whoever passes them on must not complete anything before Read has returned
// io.EOF. Any other error is a refusal (ReasonOf) or the transport's own.
type Body struct {
	// Length is how many bytes Read will give; -1: not stated.
	Length int64
	// Streaming says that the body came in aws-chunked framing.
	Streaming bool
	// Announced are the trailers that X-Amz-Trailer names, in canonical form.
	Announced []string

	read     func([]byte) (int, error)
	trailers http.Header
}

// Read reads the decoded body.
func (b *Body) Read(p []byte) (int, error) { return b.read(p) }

// Trailers returns what followed the body. It is complete once Read has
// returned io.EOF.
func (b *Body) Trailers() http.Header { return b.trailers }

// Body returns the body of r, which must be the verified request. It fails
// when the headers that describe the body contradict each other.
func (v *Verified) Body(r *http.Request) (*Body, error) {
	raw := io.Reader(r.Body)
	if r.Body == nil {
		raw = strings.NewReader("")
	}
	b := &Body{Length: r.ContentLength, trailers: http.Header{}}
	switch v.Payload {
	case "", UnsignedPayload:
		b.read = raw.Read
		return b, nil
	case StreamingSigned, StreamingSignedTrailer, StreamingTrailer:
	default:
		var want [sha256.Size]byte
		if n, err := hex.Decode(want[:], []byte(v.Payload[:min(len(v.Payload), 2*len(want))])); err != nil || n != len(want) || len(v.Payload) != 2*n {
			return nil, invalid(NoPayloadHash, "x-amz-content-sha256 is not a valid sha256 value.")
		}
		b.read = (&hashed{from: raw, sum: sha256.New(), want: want}).read
		return b, nil
	}

	b.Streaming = true
	text, err := once(r.Header, "X-Amz-Decoded-Content-Length")
	if err != nil {
		return nil, err
	}
	if b.Length, err = strconv.ParseInt(text, 10, 64); err != nil || b.Length < 0 {
		return nil, invalid(BadFraming, "x-amz-decoded-content-length must be the length of the body before it was framed, got '%s'", text)
	}
	c := &chunked{
		body:   b,
		from:   bufio.NewReaderSize(raw, 64<<10),
		left:   b.Length,
		signed: v.Payload != StreamingTrailer,
		tail:   v.Payload != StreamingSigned,
		prev:   v.hexSig,
		sign:   signer{key: v.key, amzDate: v.amzDate, scope: v.Scope()},
		sum:    sha256.New(),
	}
	for _, line := range r.Header["X-Amz-Trailer"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = http.CanonicalHeaderKey(strings.TrimSpace(name)); name != "" {
				b.Announced = append(b.Announced, name)
			}
		}
	}
	if len(b.Announced) > 0 && !c.tail {
		return nil, invalid(BadTrailer, "x-amz-trailer needs x-amz-content-sha256 with a trailer")
	}
	if len(b.Announced) > maxTrailers {
		return nil, invalid(BadTrailer, "x-amz-trailer names too many trailers")
	}
	for _, name := range b.Announced {
		if sum := newChecksum(name); sum != nil {
			c.checks = append(c.checks, checksum{name, sum})
		}
	}
	b.read = c.read
	return b, nil
}

// hashed reads a body whose SHA-256 was signed.
type hashed struct {
	from io.Reader
	sum  hash.Hash
	want [sha256.Size]byte
	end  error // what every further read returns
}

func (h *hashed) read(p []byte) (int, error) {
	if h.end != nil {
		return 0, h.end
	}
	n, err := h.from.Read(p)
	h.sum.Write(p[:n])
	if errors.Is(err, io.EOF) {
		err = io.EOF
		if got := h.sum.Sum(nil); !hmac.Equal(got, h.want[:]) {
			err = invalid(PayloadHash, "The provided 'x-amz-content-sha256' header does not match what was computed.")
		}
	}
	h.end = err
	return n, err
}

// Limits of the framing.
const (
	maxChunkHead = 256     // bytes of a chunk's first line
	maxChunk     = 5 << 30 // bytes of a chunk: the longest body of one request
	maxTrailers  = 16
)

// signer makes the signatures of chunks and trailers.
type signer struct {
	key            [sha256.Size]byte
	amzDate, scope string
}

// sign returns the hex signature over what follows the scope.
func (s *signer) sign(algorithm string, rest ...string) string {
	text := algorithm + "\n" + s.amzDate + "\n" + s.scope + "\n" + strings.Join(rest, "\n")
	sum := mac(s.key[:], []byte(text))
	return hex.EncodeToString(sum[:])
}

// chunked reads aws-chunked framing:
//
//	hex size [;chunk-signature=hex] CRLF data CRLF … 0 [;chunk-signature=hex] CRLF [name:value CRLF …] CRLF
type chunked struct {
	body   *Body
	from   *bufio.Reader
	left   int64 // bytes of the decoded body not yet seen
	signed bool  // chunks carry signatures
	tail   bool  // trailers follow
	prev   string
	sign   signer
	checks []checksum

	chunk int64     // bytes of the present chunk not yet read
	open  bool      // a chunk has begun
	claim string    // signature of the present chunk
	sum   hash.Hash // of the present chunk
	end   error     // what every further read returns
}

func (c *chunked) read(p []byte) (int, error) {
	for {
		if c.end != nil {
			return 0, c.end
		}
		if c.open && c.chunk > 0 {
			if len(p) == 0 {
				return 0, nil
			}
			n, err := c.from.Read(p[:min(int64(len(p)), c.chunk)])
			c.chunk -= int64(n)
			if c.signed {
				c.sum.Write(p[:n])
			}
			for _, k := range c.checks {
				k.sum.Write(p[:n])
			}
			if err != nil {
				c.end = cutShort(err)
			} else if c.chunk == 0 {
				c.end = c.closeChunk()
			}
			return n, c.end
		}
		c.end = c.openChunk()
	}
}

// openChunk reads the first line of a chunk. After the last one it reads the
// trailers and returns io.EOF.
func (c *chunked) openChunk() error {
	line, err := c.line(maxChunkHead)
	if errors.Is(err, errNoLine) {
		return cutShort(io.ErrUnexpectedEOF)
	}
	if err != nil {
		return err
	}
	size, extension, _ := strings.Cut(line, ";")
	n, err := strconv.ParseUint(size, 16, 63)
	if err != nil || n > maxChunk {
		return badFraming()
	}
	c.claim = ""
	if c.signed {
		name, value, _ := strings.Cut(extension, "=")
		if name != "chunk-signature" || len(value) != 2*sha256.Size {
			return invalid(ChunkSignature, MismatchText)
		}
		c.claim = value
	}
	c.chunk, c.open = int64(n), true
	if c.left -= c.chunk; c.left < 0 {
		return invalid(BadFraming, "The request body is longer than x-amz-decoded-content-length says.")
	}
	c.sum.Reset()
	if n > 0 {
		return nil
	}
	if err := c.checkChunk(); err != nil {
		return err
	}
	if c.left != 0 {
		return invalid(BadFraming, "You did not provide the number of bytes specified by the x-amz-decoded-content-length HTTP header.")
	}
	return c.finish()
}

// closeChunk reads the line end behind a chunk's data and checks its signature.
func (c *chunked) closeChunk() error {
	if line, err := c.line(0); err != nil || line != "" {
		return badFramingOr(err)
	}
	c.open = false
	return c.checkChunk()
}

func (c *chunked) checkChunk() error {
	if !c.signed {
		return nil
	}
	want := c.sign.sign(Algorithm+"-PAYLOAD", c.prev, emptyHash, hex.EncodeToString(c.sum.Sum(nil)))
	if !hmac.Equal([]byte(want), []byte(c.claim)) {
		return invalid(ChunkSignature, MismatchText)
	}
	c.prev = want
	return nil
}

// finish reads what follows the last chunk, up to the end of the body.
func (c *chunked) finish() error {
	var canonical strings.Builder
	var claim string
	for lines := 0; ; lines++ {
		line, err := c.line(8 << 10)
		// The empty line at the end is left out by some senders.
		if errors.Is(err, errNoLine) || (err == nil && line == "") {
			break
		}
		if err != nil {
			return err
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !c.tail || lines > maxTrailers {
			return badTrailer()
		}
		if strings.EqualFold(name, "x-amz-trailer-signature") && c.signed {
			claim = strings.TrimSpace(value)
			continue
		}
		if claim != "" {
			return badTrailer() // the signature is the last one
		}
		value = strings.TrimSpace(value)
		canonical.WriteString(strings.ToLower(name) + ":" + value + "\n")
		key := http.CanonicalHeaderKey(name)
		if !slices.Contains(c.body.Announced, key) || c.body.trailers[key] != nil {
			return badTrailer()
		}
		c.body.trailers[key] = []string{value}
	}
	if _, err := c.from.ReadByte(); !errors.Is(err, io.EOF) {
		if err != nil {
			return err
		}
		return badFraming()
	}
	if len(c.body.trailers) != len(c.body.Announced) {
		return badTrailer()
	}
	if c.signed && c.tail {
		sum := sha256.Sum256([]byte(canonical.String()))
		want := c.sign.sign(Algorithm+"-TRAILER", c.prev, hex.EncodeToString(sum[:]))
		if !hmac.Equal([]byte(want), []byte(claim)) {
			return invalid(ChunkSignature, MismatchText)
		}
	}
	for _, k := range c.checks {
		if !k.fits(c.body.trailers.Get(k.name)) {
			return invalid(BadChecksum, "The %s you specified did not match the calculated checksum.", checksumName(k.name))
		}
	}
	return io.EOF
}

// errNoLine says that the body ended where a line could have begun.
var errNoLine = errors.New("no further line")

// line reads one line of at most limit bytes without its CRLF.
func (c *chunked) line(limit int) (string, error) {
	var b []byte
	for {
		x, err := c.from.ReadByte()
		if errors.Is(err, io.EOF) && len(b) == 0 {
			return "", errNoLine
		}
		if err != nil {
			return "", cutShort(err)
		}
		b = append(b, x)
		if x == '\n' {
			break
		}
		if len(b) > limit+1 {
			return "", badFraming()
		}
	}
	text, ok := strings.CutSuffix(string(b), "\r\n")
	if !ok {
		return "", badFraming()
	}
	return text, nil
}

// cutShort turns an early end into a refusal.
func cutShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return invalid(BadFraming, "You did not provide the number of bytes specified by the Content-Length HTTP header.")
	}
	return err
}

func badFraming() error {
	return invalid(BadFraming, "The request body is not well-formed aws-chunked.")
}

func badFramingOr(err error) error {
	if err == nil || errors.Is(err, errNoLine) {
		return badFraming()
	}
	return err
}

func badTrailer() error {
	return invalid(BadTrailer, "The request contained trailing data that was not well-formed or did not conform to our published schema.")
}
