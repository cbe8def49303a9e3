package object

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"glaux/internal/access"
	"glaux/internal/sigv4"
)

// Authenticator tells who sent a request to the object store. access.Authority
// is one.
type Authenticator interface {
	// AuthenticateS3 verifies the SigV4 signature of r, which is as it
	// arrived, and returns its sender and what is needed to check the body
	// while it is read. It fails with a fault of kind Unauthorized.
	AuthenticateS3(r *http.Request) (access.Caller, *sigv4.Verified, error)
	// Lookup returns the secret of an access key and who holds it. It is
	// used for presigned URLs of the older form that some SDKs still make.
	Lookup(accessKeyID, token string) (secret string, who access.Caller, expires time.Time, err error)
}

// GatewayConfig is what a Gateway stands on.
type GatewayConfig struct {
	Upstream Upstream       // where objects are
	Auth     Authenticator  // required
	Decider  access.Decider // required
	Log      *slog.Logger   // required; one record per request at level info
	Account  string         // twelve digits; 000000000000 if empty
	Region   string         // region that virtual-host names may hold; us-east-1 if empty
	// Hosts are the names that buckets may stand in front of
	// (BUCKET.HOST, BUCKET.s3.HOST), besides localhost. Ports do not matter.
	Hosts []string
	// BodyIdle is how long a request's body may send nothing. Zero: a minute.
	BodyIdle time.Duration
	// Observe, if set, is told of every finished request, for metrics. It
	// must not block.
	Observe func(Record)
}

// Record says what became of one S3 request.
type Record struct {
	ID       string        // request id, also in the reply's X-Amz-Request-Id
	Action   string        // IAM action, such as s3:PutObject; empty if there is none
	Bucket   string        // empty for the service itself
	Caller   access.Caller // zero before authentication
	Status   int           // HTTP status
	Code     string        // S3's error code when the gateway refused; empty otherwise
	Duration time.Duration // until the reply was written
	BytesIn  int64         // length of the request's body as stated; 0 if it was not
	BytesOut int64         // body of the reply
}

// Gateway is the S3 API in front of an upstream: an http.Handler that gets
// requests as they arrived (host, path and query not rewritten, path not
// cleaned). It is safe for concurrent use.
type Gateway struct {
	cfg       GatewayConfig
	region    string
	account   string
	hosts     []string
	base      *url.URL
	transport *http.Transport
	keys      *sigv4.Keys
	rules     rules
	buffers   sync.Pool
}

// NewGateway makes a Gateway. Close releases its connections.
func NewGateway(cfg GatewayConfig) (*Gateway, error) {
	if cfg.Auth == nil || cfg.Decider == nil || cfg.Log == nil {
		return nil, errors.New("cannot make the S3 gateway: authentication, decision and log are required")
	}
	if err := cfg.Upstream.Validate(); err != nil {
		return nil, err
	}
	base, err := cfg.Upstream.base()
	if err != nil {
		return nil, err
	}
	g := &Gateway{
		cfg: cfg, region: cfg.Region, account: cfg.Account, hosts: []string{"localhost"},
		base: base, transport: cfg.Upstream.transport(), keys: sigv4.NewKeys(), rules: newRules(),
	}
	if g.region == "" {
		g.region = defaultRegion
	}
	if g.account == "" {
		g.account = defaultAccount
	}
	for _, host := range cfg.Hosts {
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if host = strings.ToLower(host); host != "" && net.ParseIP(host) == nil && host != "localhost" {
			g.hosts = append(g.hosts, host)
		}
	}
	g.buffers.New = func() any { b := make([]byte, 64<<10); return &b }
	return g, nil
}

// Close closes the idle connections to the upstream.
func (g *Gateway) Close() { g.transport.CloseIdleConnections() }

// call is one request on its way through the gateway.
type call struct {
	g     *Gateway
	w     http.ResponseWriter
	r     *http.Request
	rec   Record
	body  *sigv4.Body
	v     *sigv4.Verified // nil for a presigned URL of the older form
	t     target
	host  string // the host that the upstream is told
	cause error  // for the log
}

// ServeHTTP verifies, decides, and passes on.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	c := &call{g: g, w: w, r: g.impatient(w, r)}
	c.rec.ID = requestID()
	c.rec.BytesIn = max(r.ContentLength, 0)
	h := w.Header()
	h.Set("X-Amz-Request-Id", c.rec.ID)
	h.Set("X-Amz-Id-2", c.rec.ID)
	h.Set("Server", "glaux")
	// User data must not act as a page of this host.
	h.Set("Content-Security-Policy", "sandbox")
	h.Set("X-Content-Type-Options", "nosniff")
	if f := c.serve(); f != nil { //nolint:contextcheck // the call carries its request and that its context
		c.rec.Status, c.rec.Code, c.cause = f.status, f.code, f.cause
		f.write(w, r, c.rec.ID)
	}
	c.rec.Duration = time.Since(began)
	g.record(r.Context(), c)
}

// defaultBodyIdle is what S3's clients are told to expect, and more.
const defaultBodyIdle = time.Minute

// impatient returns the request with a body that fails when nothing of it
// arrives for too long. How long it takes in all is the client's own affair.
func (g *Gateway) impatient(w http.ResponseWriter, r *http.Request) *http.Request {
	if r.Body == nil || r.Body == http.NoBody {
		return r
	}
	idle := g.cfg.BodyIdle
	if idle == 0 {
		idle = defaultBodyIdle
	}
	conn := http.NewResponseController(w)
	// What is refused unread is read by net/http before it replies: not for ever.
	_ = conn.SetReadDeadline(time.Now().Add(idle)) // a writer without deadlines is no connection
	r = r.WithContext(r.Context())                 // the caller's request stays as it is
	r.Body = &impatientBody{ReadCloser: r.Body, conn: conn, idle: idle}
	return r
}

// impatientBody gives every read a deadline.
type impatientBody struct {
	io.ReadCloser
	conn *http.ResponseController
	idle time.Duration
}

func (b *impatientBody) Read(p []byte) (int, error) {
	_ = b.conn.SetReadDeadline(time.Now().Add(b.idle)) // as above
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		// At the end net/http goes on reading to see whether the client leaves.
		_ = b.conn.SetReadDeadline(time.Time{})
	}
	return n, err
}

// record logs a finished request.
func (g *Gateway) record(ctx context.Context, c *call) {
	rec := c.rec
	if g.cfg.Observe != nil {
		g.cfg.Observe(rec)
	}
	level := slog.LevelInfo
	if rec.Status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	if !g.cfg.Log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("request", rec.ID), slog.String("method", c.r.Method), slog.String("action", rec.Action), slog.String("bucket", rec.Bucket),
		slog.String("caller", rec.Caller.ARN), slog.Int("status", rec.Status), slog.Duration("duration", rec.Duration),
		slog.Int64("in", rec.BytesIn), slog.Int64("out", rec.BytesOut),
	}
	if rec.Code != "" {
		attrs = append(attrs, slog.String("code", rec.Code))
	}
	if c.cause != nil {
		attrs = append(attrs, slog.Any("cause", c.cause))
	}
	g.cfg.Log.LogAttrs(ctx, level, "s3 request", attrs...)
}

// requestID returns 16 hexadecimal digits, as S3's are.
func requestID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return strings.ToUpper(hex.EncodeToString(b[:]))
}

// serve answers the request, or returns why it is refused before anything of
// the reply has been written.
func (c *call) serve() *failure {
	r := c.r
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return fail("InvalidURI", "Couldn't parse the specified URI.")
	}
	if f := c.authenticate(query); f != nil {
		return f
	}
	bucket, key, host := c.g.locate(r)
	c.host, c.rec.Bucket = host, bucket
	if bucket != "" && !validBucket(bucket) {
		return fail("InvalidBucketName", "The specified bucket is not valid.")
	}
	presigned := hoist(r, query)
	var f *failure
	if c.t, f = c.g.rules.classify(r.Method, bucket, key, query); f != nil {
		return f
	}
	c.rec.Action = c.t.action
	if c.v == nil && c.t.sub != "" && !slices.Contains(oldSigned(), c.t.sub) {
		// Whoever holds a URL of the older form could add it.
		return fail("InvalidRequest", "The parameter "+c.t.sub+" needs a signature of version 4.")
	}
	if f := c.normalise(); f != nil {
		return f
	}
	if f := c.clientKeys(presigned); f != nil {
		return f
	}
	if f := c.expectOwners(presigned); f != nil {
		return f
	}
	if c.t.sub == "delete" && c.t.key == "" {
		return c.deleteMany(presigned)
	}
	if f := c.allow(c.t.action, c.t.resource()); f != nil {
		return f
	}
	if f := c.source(presigned); f != nil {
		return f
	}
	for _, action := range implied(c.t, presigned) {
		if f := c.allow(action, c.t.resource()); f != nil {
			return f
		}
	}
	return c.pass(presigned)
}

// authenticate finds out who sends the request.
func (c *call) authenticate(query url.Values) *failure {
	if oldPresigned(query) && c.r.Header.Get("Authorization") == "" {
		who, err := oldSignature(c.g, c.r, query)
		if err != nil {
			return err
		}
		c.rec.Caller = who
		c.body = nil // unsigned, and never framed
		return nil
	}
	who, v, err := c.g.cfg.Auth.AuthenticateS3(c.r)
	if err != nil {
		return refused(err, c.r.Header.Get("Authorization") == "")
	}
	c.rec.Caller, c.v = who, v
	if c.body, err = v.Body(c.r); err != nil {
		return refused(err, v.Presigned)
	}
	return nil
}

// allow asks for a decision.
func (c *call) allow(action, resource string) *failure {
	if err := c.g.cfg.Decider.Decide(c.r.Context(), c.rec.Caller, action, resource); err != nil {
		return refused(err, false)
	}
	return nil
}

// normalise settles under which key the upstream knows the object. The
// decision is made on that one.
func (c *call) normalise() *failure {
	if c.t.key == "" {
		return nil
	}
	key, ok := c.g.upstreamKey(c.t.key)
	if ok {
		c.t.key = key
		return nil
	}
	if f := c.allow(c.t.action, c.t.resource()); f != nil {
		return f
	}
	switch c.r.Method {
	case http.MethodGet, http.MethodHead:
		return fail("NoSuchKey", "The specified key does not exist.")
	case http.MethodDelete:
		return &failure{status: http.StatusNoContent}
	}
	return fail("InvalidRequest", "Objects are kept as files: a key cannot have the segments \".\", \"..\" or \""+internalName+"\".")
}

// expectOwners checks the owner that the client expects of the buckets: all
// are the account's. The upstream knows other accounts and is not asked.
func (c *call) expectOwners(h http.Header) *failure {
	for _, name := range []string{"X-Amz-Expected-Bucket-Owner", "X-Amz-Source-Expected-Bucket-Owner"} {
		if want := h.Get(name); want != "" && want != c.g.account {
			return fail("AccessDenied", "Access Denied")
		}
		h.Del(name)
	}
	return nil
}

// source decides on the object that is copied and names it to the upstream in
// one spelling.
func (c *call) source(h http.Header) *failure {
	text := h.Get("X-Amz-Copy-Source")
	if text == "" {
		return nil
	}
	bucket, key, version, ok := copySource(text)
	if ok {
		key, ok = c.g.upstreamKey(key)
	}
	if !ok {
		return fail("InvalidArgument", "Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
	}
	action := "s3:GetObject"
	if version != "" {
		action = versioned(action)
	}
	if f := c.allow(action, arn(bucket, key)); f != nil {
		return f
	}
	text = encodeKey(bucket + "/" + key)
	if version != "" {
		text += "?versionId=" + url.QueryEscape(version)
	}
	h.Set("X-Amz-Copy-Source", text)
	return nil
}

// hoist returns the headers of the request for the upstream: without those
// that belong to this connection and to the client's signature, and with the
// x-amz- headers that a presigned URL carries in its query, which are removed
// from query.
func hoist(r *http.Request, query url.Values) http.Header {
	h := make(http.Header, len(r.Header))
	for name, values := range r.Header {
		if forwarded(name) {
			h[name] = values
		}
	}
	for name, values := range query {
		canonical := http.CanonicalHeaderKey(name)
		if !strings.HasPrefix(canonical, "X-Amz-") {
			continue
		}
		delete(query, name)
		if forwarded(canonical) && h[canonical] == nil {
			h[canonical] = values[:1]
		}
	}
	return h
}

// forwarded reports whether a request header means something to the upstream.
func forwarded(name string) bool {
	switch name {
	case "Authorization", "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer",
		"Transfer-Encoding", "Upgrade", "Expect", "Host", "Content-Length", "Date", "User-Agent", "Cookie", "Referer", "Forwarded", "Via",
		"X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-Sha256", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Expires",
		"X-Amz-Signature", "X-Amz-Signedheaders", "X-Amz-Decoded-Content-Length", "X-Amz-Trailer", "Amz-Sdk-Invocation-Id", "Amz-Sdk-Request":
		return false
	}
	return !strings.HasPrefix(name, "X-Forwarded-")
}

// dropAWSChunked takes the framing that has been taken off out of
// Content-Encoding.
func dropAWSChunked(h http.Header) {
	var keep []string
	for _, line := range h["Content-Encoding"] {
		for part := range strings.SplitSeq(line, ",") {
			if part = strings.TrimSpace(part); part != "" && !strings.EqualFold(part, "aws-chunked") {
				keep = append(keep, part)
			}
		}
	}
	h.Del("Content-Encoding")
	if len(keep) > 0 {
		h.Set("Content-Encoding", strings.Join(keep, ","))
	}
}
