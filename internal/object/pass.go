package object

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"glaux/internal/sigv4"
)

// pass sends the request to the upstream and its reply to the client. h are
// the headers for the upstream.
func (c *call) pass(h http.Header) *failure {
	body, length, payload, f := c.outgoing(h)
	if f != nil {
		return f
	}
	res, f := c.send(c.r.Method, c.t, h, body, length, payload)
	if f != nil {
		return f
	}
	defer res.Body.Close()
	if c.g.cfg.Upstream.Embedded && res.StatusCode == http.StatusOK && c.t.isListing() && c.r.Method == http.MethodGet && c.t.query.Get("encoding-type") == "url" {
		return c.replyEncoded(res)
	}
	return c.reply(res)
}

// outgoing chooses how the body travels on: its reader, its length (-1 if
// unknown) and the value of x-amz-content-sha256. The upstream checks whatever
// the client stated about the body, so that a body that was tampered with
// never becomes an object.
func (c *call) outgoing(h http.Header) (*guarded, int64, string, *failure) {
	creates := c.r.Method == http.MethodPut && c.t.key != "" && (c.t.sub == "" || c.t.sub == "uploadId") && h.Get("X-Amz-Copy-Source") == ""
	if c.body == nil { // presigned in the older form
		if creates && c.r.ContentLength < 0 {
			return nil, 0, "", fail("MissingContentLength", "You must provide the Content-Length HTTP header.")
		}
		return &guarded{from: c.r.Body}, c.r.ContentLength, sigv4.UnsignedPayload, nil
	}
	if !c.body.Streaming {
		if creates && c.r.ContentLength < 0 {
			return nil, 0, "", fail("MissingContentLength", "You must provide the Content-Length HTTP header.")
		}
		payload := c.v.Payload
		if payload == "" {
			payload = sigv4.UnsignedPayload
		}
		if payload != sigv4.UnsignedPayload {
			// The upstream computes the hash and refuses before it commits;
			// doing it here as well would only cost.
			return &guarded{from: c.r.Body}, c.r.ContentLength, payload, nil
		}
		return &guarded{from: c.body}, c.r.ContentLength, payload, nil
	}
	dropAWSChunked(h)
	if len(c.body.Announced) == 0 {
		return &guarded{from: c.body, hold: true}, c.body.Length, sigv4.UnsignedPayload, nil
	}
	framed, length, err := frame(c.body)
	if err != nil {
		return nil, 0, "", fail("InvalidRequest", err.Error())
	}
	if !c.g.cfg.Upstream.Embedded { // which would keep it with the object
		h.Set("Content-Encoding", strings.TrimSuffix("aws-chunked,"+h.Get("Content-Encoding"), ","))
	}
	h.Set("X-Amz-Trailer", strings.ToLower(strings.Join(c.body.Announced, ",")))
	h.Set("X-Amz-Decoded-Content-Length", strconv.FormatInt(c.body.Length, 10))
	return &guarded{from: framed}, length, sigv4.StreamingTrailer, nil
}

// send signs a request for the upstream and returns its reply.
func (c *call) send(method string, t target, h http.Header, body *guarded, length int64, payload string) (*http.Response, *failure) {
	u := *c.g.base
	u.Path = "/" + t.bucket
	if t.key != "" {
		u.Path += "/" + t.key
	}
	u.RawPath = encodeKey(u.Path)
	u.RawQuery = encodeQuery(t.query)
	out := &http.Request{
		Method: method, URL: &u, Host: u.Host, Header: h,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if c.g.cfg.Upstream.Embedded && c.host != "" {
		out.Host = c.host // it appears in the Location of an upload
	}
	if h.Get("User-Agent") == "" {
		h.Set("User-Agent", "glaux")
	}
	if length != 0 && body != nil {
		out.Body, out.ContentLength = body, length
	} else if method == http.MethodPut || method == http.MethodPost {
		out.Body = http.NoBody // states Content-Length: 0
	}
	up := c.g.cfg.Upstream
	c.g.keys.Sign(out, sigv4.Credentials{AccessKeyID: up.AccessKey, SecretAccessKey: up.Secret, Token: up.Token}, sigv4.S3, up.region(), payload)
	res, err := c.g.transport.RoundTrip(out.WithContext(c.r.Context()))
	if err == nil {
		return res, nil
	}
	if body != nil {
		if bad := body.refusal(); bad != nil {
			if sigv4.ReasonOf(bad) != sigv4.Unknown {
				return nil, refused(bad, false)
			}
			if errors.Is(bad, os.ErrDeadlineExceeded) {
				return nil, fail("RequestTimeout", "Your socket connection to the server was not read from or written to within the timeout period. Idle connections will be closed.").because(bad)
			}
			return nil, fail("IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header.").because(bad)
		}
	}
	if errors.Is(err, context.Canceled) && c.r.Context().Err() != nil {
		return nil, fail("RequestTimeout", "The client went away before the request was complete.").because(err)
	}
	return nil, fail("ServiceUnavailable", "The object store cannot be reached. Please try again.").because(err)
}

// encodeQuery writes a query. url.Values.Encode writes spaces as +, which not
// every S3 takes for a space; and a subresource has no equals sign there.
func encodeQuery(q url.Values) string {
	return strings.ReplaceAll(q.Encode(), "+", "%20")
}

// replyHeader reports whether a header of the upstream's reply goes to the
// client.
func replyHeader(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Server", "Date",
		"X-Amz-Request-Id", "X-Amz-Id-2", "Content-Security-Policy", "X-Content-Type-Options", "Set-Cookie", "Alt-Svc", "Strict-Transport-Security":
		return false
	}
	return true
}

// copyReply copies the headers that go to the client. Names of metadata are in
// lower case, as S3 keeps them: clients take their keys from them.
func copyReply(to, from http.Header) {
	for name, values := range from {
		switch {
		case strings.HasPrefix(name, "X-Amz-Meta-"):
			to[strings.ToLower(name)] = values
		case replyHeader(name):
			to[name] = values
		}
	}
}

// errorMax bounds the error documents that are looked into.
const errorMax = 64 << 10

// reply passes the upstream's reply to the client. Errors carry our request
// id in place of the upstream's.
func (c *call) reply(res *http.Response) *failure {
	h := c.w.Header()
	copyReply(h, res.Header)
	if c.r.Method == http.MethodHead || res.StatusCode < http.StatusBadRequest {
		return c.stream(res)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, errorMax+1))
	if err != nil || len(text) > errorMax {
		return fail("ServiceUnavailable", "The object store cannot be reached. Please try again.").because(err)
	}
	if c.g.cfg.Upstream.Embedded {
		code := errorCode(text)
		if code == directoryNotEmpty && c.r.Method == http.MethodDelete {
			h.Del("Content-Type")
			h.Del("Content-Length")
			return &failure{status: http.StatusNoContent}
		}
		if f := misleading(code); f != nil {
			return f.because(errors.New("the object server refused our own key: " + string(text)))
		}
	}
	text = renamed(text, c.rec.ID)
	h.Set("Content-Length", strconv.Itoa(len(text)))
	c.rec.Status, c.rec.Code = res.StatusCode, errorCode(text)
	c.w.WriteHeader(res.StatusCode)
	n, _ := c.w.Write(text) // the client is gone if this fails
	c.rec.BytesOut = int64(n)
	return nil
}

// misleading returns what to say instead of an error that is about the
// gateway's own key, which is no business of the client's.
func misleading(code string) *failure {
	switch code {
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthorizationHeaderMalformed", "RequestTimeTooSkewed":
		return fail("InternalError", "We encountered an internal error. Please try again.")
	}
	return nil
}

// stream passes the body on as it comes.
func (c *call) stream(res *http.Response) *failure {
	c.rec.Status = res.StatusCode
	if res.ContentLength >= 0 && c.w.Header().Get("Content-Length") == "" && res.StatusCode != http.StatusNoContent {
		c.w.Header().Set("Content-Length", strconv.FormatInt(res.ContentLength, 10))
	}
	c.w.WriteHeader(res.StatusCode)
	if c.r.Method == http.MethodHead {
		return nil
	}
	buf := c.g.buffers.Get().(*[]byte) //nolint:forcetypeassert // the pool holds nothing else
	defer c.g.buffers.Put(buf)
	// Not io.Copy: its shortcuts take a larger buffer for every request.
	n, err := io.CopyBuffer(struct{ io.Writer }{c.w}, struct{ io.Reader }{res.Body}, *buf)
	c.rec.BytesOut = n
	if err != nil {
		c.cause = err
		c.g.record(c.r.Context(), c)
		// The status is out; ending the connection is the only way to tell
		// the client that the body is not complete.
		panic(http.ErrAbortHandler) //nolint:forbidigo // net/http has no other way to end a reply so
	}
	return nil
}

var (
	idElement   = regexp.MustCompile(`<(RequestId|HostId)>[^<]*</`)
	codeElement = regexp.MustCompile(`<Code>([^<]*)</Code>`)
)

// renamed puts our request id into an error document.
func renamed(text []byte, id string) []byte {
	if !bytes.Contains(text, []byte("<Error>")) {
		return text
	}
	return idElement.ReplaceAll(text, []byte("<$1>"+id+"</"))
}

// errorCode returns the code in an error document, or "".
func errorCode(text []byte) string {
	if m := codeElement.FindSubmatch(text); m != nil {
		return string(m[1])
	}
	return ""
}

// guarded is a request body on its way to the upstream. It remembers why it
// could not be read to the end, and on request holds the last byte back until
// the end has been found good: an upstream that knows the length commits as
// soon as it has all bytes.
type guarded struct {
	from io.Reader
	hold bool

	held bool // last is still to be given
	last byte
	end  error // what reading ended with, when holding

	mu  sync.Mutex
	bad error // guarded by mu: the transport reads while the reply comes in
}

func (b *guarded) Read(p []byte) (int, error) {
	if !b.hold {
		n, err := b.from.Read(p)
		b.note(err)
		return n, err
	}
	for len(p) > 0 {
		switch {
		case b.end != nil && !errors.Is(b.end, io.EOF):
			return 0, b.end
		case b.end != nil && !b.held:
			return 0, io.EOF
		case b.end != nil:
			p[0], b.held = b.last, false
			return 1, nil
		case !b.held:
			var one [1]byte
			n, err := b.from.Read(one[:])
			b.held, b.last = n == 1, one[0]
			b.end = err
			b.note(err)
			continue
		}
		n, err := b.from.Read(p)
		b.end = err
		b.note(err)
		if n > 0 && (err == nil || errors.Is(err, io.EOF)) {
			first := b.last
			b.last = p[n-1]
			copy(p[1:n], p[:n-1])
			p[0] = first
			return n, nil
		}
	}
	return 0, nil
}

// Close is part of the transport's contract; the server closes the client's
// body itself.
func (b *guarded) Close() error { return nil }

func (b *guarded) note(err error) {
	if err == nil || errors.Is(err, io.EOF) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bad == nil {
		b.bad = err
	}
}

// refusal returns why the body could not be read to its end, or nil.
func (b *guarded) refusal() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bad
}
