package sigv4_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"glaux/internal/fault"
	"glaux/internal/sigv4"
)

const (
	keyID  = "AKIAABCDEFGHIJKLMNOP"
	secret = "a secret+with/signs=0123456789abcdefghij"
	region = "us-east-1"
)

func credentials() aws.Credentials {
	return aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret}
}

// check parses and verifies a request as a server would.
func check(r *http.Request, service string, body []byte) (*sigv4.Verified, error) {
	s, err := sigv4.Parse(r)
	if err != nil {
		return nil, err
	}
	if s.AccessKeyID != keyID {
		return nil, fmt.Errorf("got access key %q", s.AccessKeyID)
	}
	return sigv4.NewKeys().Verify(r, s, secret, sigv4.Want{Service: service, Region: region, Body: body})
}

// arrived sends a signed request through net/http's writer and reader and
// returns it as a server sees it.
func arrived(t *testing.T, r *http.Request) *http.Request {
	t.Helper()
	var wire bytes.Buffer
	if err := r.Write(&wire); err != nil {
		t.Fatal(err)
	}
	return parsed(t, wire.String())
}

func parsed(t *testing.T, wire string) *http.Request {
	t.Helper()
	seen := make(chan *http.Request, 1)
	ln := &oneConn{text: wire, done: make(chan struct{})}
	srv := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		seen <- r
	})}
	serve := make(chan error, 1)
	go func() { serve <- srv.Serve(ln) }()
	defer func() {
		_ = srv.Close()
		if err := <-serve; !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			t.Errorf("cannot serve: %v", err)
		}
	}()
	select {
	case r := <-seen:
		return r
	case <-ln.done: // after a reply both are ready
		select {
		case r := <-seen:
			return r
		default:
		}
		t.Fatalf("the server refused the request:\n%s", ln.reply.String())
	}
	return nil
}

// jsonRequest is a call of a JSON service, signed by the SDK at the present time.
func jsonRequest(t *testing.T, body string, change func(*http.Request)) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, "http://127.0.0.1:4580/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonAthena.GetWorkGroup")
	if change != nil {
		change(r)
	}
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(t.Context(), credentials(), r, hex.EncodeToString(sum[:]), "athena", region, time.Now()); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSignedByTheSDK(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*http.Request){
		"plain":           nil,
		"spaces":          func(r *http.Request) { r.Header.Set("X-Amz-Meta-A", "  two   words\tand a tab ") },
		"repeated header": func(r *http.Request) { r.Header["X-Amz-Meta-A"] = []string{"one", "two", "three"} },
		"not ASCII":       func(r *http.Request) { r.Header.Set("X-Amz-Meta-A", "größe 漢字") },
		"host":            func(r *http.Request) { r.Host = "athena.us-east-1.localhost:4580" },
		"double slashes":  func(r *http.Request) { r.URL.Path = "/a/b c/%41/é" },
		"query":           func(r *http.Request) { r.URL.RawQuery = "b=2&a=1&b=1&c&d=a%20b&e=%2B&f=%E6%BC%A2" },
	} {
		r := arrived(t, jsonRequest(t, `{"WorkGroup":"primary"}`, change))
		if _, err := check(r, "athena", []byte(`{"WorkGroup":"primary"}`)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// paths of objects as people name them, as they are in the URL's Path.
func oddPaths() []string {
	return []string{
		"/", "/bucket", "/bucket/", "/bucket/key", "/bucket/a b", "/bucket/a+b", "/bucket/a%b", "/bucket/a%41b", "/bucket//double", "/bucket/./dot", "/bucket/../up",
		"/bucket/größe/漢字/🦉.parquet", "/bucket/!*'()~-._", "/bucket/:@&=$,;?#[]", "/bucket/a\\b\"<>^`{|}", "/bucket/_temporary/0/_magic/part=1/x y=%3D", "//leading",
	}
}

func TestPathsAndQueriesOfS3(t *testing.T) {
	t.Parallel()
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	for _, query := range []string{"", "uploads", "uploads=", "prefix=a%2Fb&delimiter=%2F&list-type=2", "b=2&b=1&B=3&a", "x=%F0%9F%A6%89&y=a+b&z=%2B", "response-content-disposition=attachment%3B%20filename%3D%22a%22"} {
		for _, path := range oddPaths() {
			u := url.URL{Scheme: "http", Host: "127.0.0.1:4580", Path: path, RawQuery: query}
			// As the SDKs do it: everything but the unreserved is escaped.
			u.RawPath = strict(path)
			r, err := http.NewRequest(http.MethodGet, "http://127.0.0.1:4580/", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.URL = &u
			r.Header.Set("X-Amz-Content-Sha256", sigv4.UnsignedPayload)
			if err := signer.SignHTTP(t.Context(), credentials(), r, sigv4.UnsignedPayload, "s3", region, time.Now()); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(path, "//") {
				r.URL.Opaque = "//127.0.0.1:4580" + r.URL.RawPath // or the writer takes it for a host
			}
			if _, err := check(arrived(t, r), "s3", nil); err != nil {
				t.Errorf("%s ? %s: %v", path, query, err)
			}

			r = arrived(t, presignedRequest(t, u, signer))
			if _, err := check(r, "s3", nil); err != nil {
				t.Errorf("presigned %s ? %s: %v", path, query, err)
			}
		}
	}
}

func presignedRequest(t *testing.T, u url.URL, signer *v4.Signer) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://127.0.0.1:4580/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.URL = &u
	q := u.Query()
	q.Set("X-Amz-Expires", "60")
	r.URL.RawQuery = q.Encode()
	signed, _, err := signer.PresignHTTP(t.Context(), credentials(), r, sigv4.UnsignedPayload, "s3", region, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	out, err := http.NewRequest(http.MethodGet, "http://127.0.0.1:4580/", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, query, _ := strings.Cut(signed, "?")
	out.URL.Path, out.URL.RawPath, out.URL.RawQuery = u.Path, strict(u.Path), query
	if strings.HasPrefix(u.Path, "//") {
		out.URL.Opaque = "//127.0.0.1:4580" + out.URL.RawPath
	}
	return out
}

// strict escapes a path as S3's own clients do.
func strict(path string) string {
	var b strings.Builder
	for _, c := range []byte(path) {
		if c == '/' || c == '-' || c == '_' || c == '.' || c == '~' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func wantRefusal(t *testing.T, name string, err error, why sigv4.Reason, code, text string) {
	t.Helper()
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Kind != fault.Unauthorized || f.Code != code || sigv4.ReasonOf(err) != why || !strings.Contains(f.Message, text) {
		t.Errorf("%s: got %v (%+v, reason %d); want %s, reason %d, %q", name, err, f, sigv4.ReasonOf(err), code, why, text)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	body := `{"WorkGroup":"primary"}`
	auth := func(change func(string) string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", change(r.Header.Get("Authorization"))) }
	}
	replace := func(from, to string) func(*http.Request) {
		return auth(func(s string) string { return strings.Replace(s, from, to, 1) })
	}
	for name, c := range map[string]struct {
		change func(*http.Request) // after it was signed
		why    sigv4.Reason
		code   string
		text   string
	}{
		"no header":           {func(r *http.Request) { r.Header.Del("Authorization") }, sigv4.NoSignature, sigv4.CodeMissing, "Missing Authentication Token"},
		"empty header":        {auth(func(string) string { return "" }), sigv4.NoSignature, sigv4.CodeMissing, "Missing Authentication Token"},
		"bearer":              {auth(func(string) string { return "Bearer x" }), sigv4.NoSignature, sigv4.CodeMissing, "Missing Authentication Token"},
		"other algorithm":     {replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), sigv4.Malformed, sigv4.CodeIncomplete, "Unsupported AWS 'algorithm'"},
		"algorithm only":      {auth(func(string) string { return "AWS4-HMAC-SHA256" }), sigv4.Malformed, sigv4.CodeIncomplete, "requires 'Credential' parameter. Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter."},
		"no equal sign":       {auth(func(string) string { return "AWS4-HMAC-SHA256 nonsense" }), sigv4.Malformed, sigv4.CodeIncomplete, "missing equal-sign"},
		"no credential":       {replace("Credential=", "X="), sigv4.Malformed, sigv4.CodeIncomplete, "Authorization header requires 'Credential' parameter."},
		"no signature":        {replace("Signature=", "X="), sigv4.Malformed, sigv4.CodeIncomplete, "Authorization header requires 'Signature' parameter."},
		"no signed headers":   {replace("SignedHeaders=", "X="), sigv4.Malformed, sigv4.CodeIncomplete, "Authorization header requires 'SignedHeaders' parameter."},
		"no date":             {func(r *http.Request) { r.Header.Del("X-Amz-Date") }, sigv4.Malformed, sigv4.CodeIncomplete, "existence of either a 'X-Amz-Date' or a 'Date' header"},
		"bad date":            {func(r *http.Request) { r.Header.Set("X-Amz-Date", "today") }, sigv4.Malformed, sigv4.CodeIncomplete, "Date must be in ISO-8601 'basic format'. Got 'today'."},
		"credential in parts": {replace("/aws4_request", ""), sigv4.Malformed, sigv4.CodeIncomplete, "exactly 5 slash-delimited elements"},
		"credential too long": {replace("/aws4_request", "/x/aws4_request"), sigv4.Malformed, sigv4.CodeIncomplete, "exactly 5 slash-delimited elements"},
		"terminator":          {replace("/aws4_request", "/aws5_request"), sigv4.Malformed, sigv4.CodeIncomplete, "valid terminator"},
		"credential twice":    {replace("Credential=", "Credential=a/b/c/d/aws4_request, Credential="), sigv4.Malformed, sigv4.CodeIncomplete, "more than one 'Credential'"},
		"headers not sorted":  {replace("SignedHeaders=", "SignedHeaders=x;"), sigv4.Malformed, sigv4.CodeIncomplete, "sorted"},
		"header twice":        {replace("host;", "host;host;"), sigv4.Malformed, sigv4.CodeIncomplete, "once"},
		"header in capitals":  {replace("host;", "Host;"), sigv4.Malformed, sigv4.CodeIncomplete, "lower-case"},
		"two authorizations":  {func(r *http.Request) { r.Header.Add("Authorization", "x") }, sigv4.Malformed, sigv4.CodeIncomplete, "once"},
		"two dates":           {func(r *http.Request) { r.Header.Add("X-Amz-Date", "20260101T000000Z") }, sigv4.Malformed, sigv4.CodeIncomplete, "once"},
		"header and query":    {func(r *http.Request) { r.URL.RawQuery = "X-Amz-Signature=0" }, sigv4.Malformed, sigv4.CodeIncomplete, "Only one auth mechanism"},
		"other region":        {replace("/"+region+"/", "/eu-west-1/"), sigv4.WrongScope, sigv4.CodeInvalid, "Credential should be scoped to a valid region, not 'eu-west-1'."},
		"other service":       {replace("/athena/", "/glue/"), sigv4.WrongScope, sigv4.CodeInvalid, "Credential should be scoped to correct service: 'athena'."},
		"other day": {auth(func(s string) string {
			i := strings.Index(s, keyID+"/") + len(keyID) + 1
			return s[:i] + "20010101" + s[i+8:]
		}), sigv4.WrongScope, sigv4.CodeInvalid, "Date in Credential scope does not match"},
		"host not signed":    {replace("host;", ""), sigv4.UnsignedHeader, sigv4.CodeInvalid, "'Host' or ':authority' must be a 'SignedHeader'"},
		"target not signed":  {replace(";x-amz-target", ""), sigv4.UnsignedHeader, sigv4.CodeInvalid, "'X-Amz-Target' must be a 'SignedHeader'"},
		"changed header":     {func(r *http.Request) { r.Header.Set("X-Amz-Target", "AmazonAthena.DeleteWorkGroup") }, sigv4.Mismatch, sigv4.CodeInvalid, sigv4.MismatchText},
		"missing header":     {func(r *http.Request) { r.Header.Del("X-Amz-Target") }, sigv4.Mismatch, sigv4.CodeInvalid, sigv4.MismatchText},
		"changed host":       {func(r *http.Request) { r.Host = "other" }, sigv4.Mismatch, sigv4.CodeInvalid, sigv4.MismatchText},
		"changed path":       {func(r *http.Request) { r.URL.Path = "/x" }, sigv4.Mismatch, sigv4.CodeInvalid, sigv4.MismatchText},
		"added query":        {func(r *http.Request) { r.URL.RawQuery = "a=b" }, sigv4.Mismatch, sigv4.CodeInvalid, sigv4.MismatchText},
		"changed method":     {func(r *http.Request) { r.Method = http.MethodPut }, sigv4.Mismatch, sigv4.CodeInvalid, sigv4.MismatchText},
		"signature of zeros": {auth(func(s string) string { return s[:len(s)-64] + strings.Repeat("0", 64) }), sigv4.Mismatch, sigv4.CodeInvalid, sigv4.MismatchText},
		"signature cut":      {auth(func(s string) string { return s[:len(s)-2] }), sigv4.Mismatch, sigv4.CodeInvalid, sigv4.MismatchText},
		"signature too long": {auth(func(s string) string { return s + "00" }), sigv4.Mismatch, sigv4.CodeInvalid, sigv4.MismatchText},
		"signature not hex":  {auth(func(s string) string { return s[:len(s)-1] + "g" }), sigv4.Mismatch, sigv4.CodeInvalid, sigv4.MismatchText},
		"date behind a second": {func(r *http.Request) {
			r.Header.Set("X-Amz-Date", time.Now().Add(-2*time.Second).UTC().Format("20060102T150405Z"))
		}, sigv4.Mismatch, sigv4.CodeInvalid, sigv4.MismatchText},
	} {
		r := arrived(t, jsonRequest(t, body, nil))
		c.change(r)
		_, err := check(r, "athena", []byte(body))
		wantRefusal(t, name, err, c.why, c.code, c.text)
	}

	r := arrived(t, jsonRequest(t, body, nil))
	_, err := check(r, "athena", []byte(body+" "))
	wantRefusal(t, "other body", err, sigv4.Mismatch, sigv4.CodeInvalid, sigv4.MismatchText)
	s, err := sigv4.Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	_, err = sigv4.NewKeys().Verify(r, s, secret+"x", sigv4.Want{Service: "athena", Region: region, Body: []byte(body)})
	wantRefusal(t, "other secret", err, sigv4.Mismatch, sigv4.CodeInvalid, sigv4.MismatchText)
}

func TestSkew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(26 * 365 * 24 * time.Hour)
		for _, c := range []struct {
			ahead time.Duration
			text  string
		}{
			{0, ""},
			{5 * time.Minute, ""},
			{-5 * time.Minute, ""},
			{5*time.Minute + time.Second, "Signature not yet current: "},
			{-5*time.Minute - time.Second, "Signature expired: "},
			{24 * time.Hour, "Signature not yet current: "},
		} {
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("{}"))
			sum := sha256.Sum256([]byte("{}"))
			if err := v4.NewSigner().SignHTTP(t.Context(), credentials(), r, hex.EncodeToString(sum[:]), "athena", region, time.Now().Add(c.ahead)); err != nil {
				t.Fatal(err)
			}
			_, err := check(r, "athena", []byte("{}"))
			if c.text == "" {
				if err != nil {
					t.Errorf("%v ahead: %v", c.ahead, err)
				}
				continue
			}
			wantRefusal(t, c.ahead.String(), err, sigv4.Skewed, sigv4.CodeInvalid, c.text)
		}
	})
}

func TestPresignedLife(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(26 * 365 * 24 * time.Hour)
		signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
		sign := func(service, expires string, at time.Time) *http.Request {
			target := "/bucket/key"
			if expires != "" {
				target += "?X-Amz-Expires=" + expires
			}
			r := httptest.NewRequest(http.MethodGet, target, nil)
			hash := sigv4.UnsignedPayload
			if service != "s3" {
				hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
			}
			signed, headers, err := signer.PresignHTTP(t.Context(), credentials(), r, hash, service, region, at)
			if err != nil {
				t.Fatal(err)
			}
			out := httptest.NewRequest(http.MethodGet, signed, nil)
			maps.Copy(out.Header, headers)
			return out
		}
		now := time.Now()
		for _, c := range []struct {
			service, expires string
			at               time.Time
			why              sigv4.Reason
		}{
			{"s3", "60", now, sigv4.Unknown},
			{"s3", "60", now.Add(-60 * time.Second), sigv4.Unknown},
			{"s3", "60", now.Add(-61 * time.Second), sigv4.RequestExpired},
			{"s3", "604800", now.Add(-6 * 24 * time.Hour), sigv4.Unknown},
			{"s3", "604801", now, sigv4.Malformed},
			{"s3", "0", now, sigv4.Malformed},
			{"s3", "-1", now, sigv4.Malformed},
			{"s3", "1.5", now, sigv4.Malformed},
			{"s3", "99999999999999999999", now, sigv4.Malformed},
			{"s3", "", now, sigv4.Malformed},
			{"s3", "60", now.Add(5 * time.Minute), sigv4.Unknown},
			{"s3", "60", now.Add(6 * time.Minute), sigv4.NotYetValid},
			{"sts", "", now.Add(-14 * time.Minute), sigv4.Unknown},
			{"sts", "", now.Add(-16 * time.Minute), sigv4.RequestExpired},
		} {
			_, err := check(sign(c.service, c.expires, c.at), c.service, nil)
			if got := sigv4.ReasonOf(err); got != c.why || (err == nil) != (c.why == sigv4.Unknown) {
				t.Errorf("%s, %q, %v: got %v (reason %d), want %d", c.service, c.expires, c.at.Sub(now), err, got, c.why)
			}
		}
	})
}

func TestPresignedTampering(t *testing.T) {
	t.Parallel()
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	u := url.URL{Scheme: "http", Host: "127.0.0.1:4580", Path: "/bucket/key", RawQuery: "versionId=1"}
	for name, c := range map[string]struct {
		change func(r *http.Request)
		why    sigv4.Reason
	}{
		"untouched":   {func(*http.Request) {}, sigv4.Unknown},
		"longer life": {func(r *http.Request) { r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "Expires=60", "Expires=61", 1) }, sigv4.Mismatch},
		"other version": {func(r *http.Request) {
			r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "versionId=1", "versionId=2", 1)
		}, sigv4.Mismatch},
		"more parameters": {func(r *http.Request) { r.URL.RawQuery += "&acl" }, sigv4.Mismatch},
		"signature twice": {func(r *http.Request) { r.URL.RawQuery += "&X-Amz-Signature=00" }, sigv4.Malformed},
		"other key":       {func(r *http.Request) { r.URL.Path = "/bucket/other" }, sigv4.Mismatch},
		"other method":    {func(r *http.Request) { r.Method = http.MethodDelete }, sigv4.Mismatch},
		"a token added":   {func(r *http.Request) { r.URL.RawQuery += "&X-Amz-Security-Token=x" }, sigv4.Mismatch},
		"unsigned header": {func(r *http.Request) { r.Header.Set("X-Amz-Acl", "public-read") }, sigv4.UnsignedHeader},
		"bad escape":      {func(r *http.Request) { r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "%2F", "%2G", 1) }, sigv4.Malformed},
	} {
		r := arrived(t, presignedRequest(t, u, signer))
		c.change(r)
		_, err := check(r, "s3", nil)
		if got := sigv4.ReasonOf(err); got != c.why || (err == nil) != (c.why == sigv4.Unknown) {
			t.Errorf("%s: got %v (reason %d), want %d", name, err, got, c.why)
		}
	}
}

// store is a server that checks requests, decodes bodies and remembers them.
type store struct {
	t      *testing.T
	method chan string // "PUT STREAMING-… trailers"
	body   chan []byte
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v, err := check(r, "s3", nil)
	if err != nil {
		s.t.Errorf("%s %s: %v", r.Method, r.URL, err)
		w.WriteHeader(http.StatusForbidden)
		return
	}
	b, err := v.Body(r)
	if err != nil {
		s.t.Errorf("%s %s: %v", r.Method, r.URL, err)
		w.WriteHeader(http.StatusForbidden)
		return
	}
	text, err := io.ReadAll(b)
	if err != nil {
		s.t.Errorf("%s %s: %v", r.Method, r.URL, err)
	}
	s.method <- fmt.Sprint(r.Method, " ", v.Payload, " ", len(b.Trailers()))
	s.body <- text
	w.Header().Set("ETag", `"x"`)
}

func TestBodiesOfTheS3Client(t *testing.T) {
	t.Parallel()
	for _, tls := range []bool{false, true} {
		s := &store{t: t, method: make(chan string, 1), body: make(chan []byte, 1)}
		srv := httptest.NewUnstartedServer(s)
		if tls {
			srv.StartTLS()
		} else {
			srv.Start()
		}
		t.Cleanup(srv.Close)
		client := s3.New(s3.Options{
			Region: region, BaseEndpoint: aws.String(srv.URL), UsePathStyle: true, HTTPClient: srv.Client(), RetryMaxAttempts: 1,
			Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return credentials(), nil }),
		})
		for _, algorithm := range append([]types.ChecksumAlgorithm{""}, types.ChecksumAlgorithmCrc32, types.ChecksumAlgorithmCrc32c, types.ChecksumAlgorithmCrc64nvme, types.ChecksumAlgorithmSha1, types.ChecksumAlgorithmSha256) {
			for _, size := range []int{0, 1, 100_000} {
				want := bytes.Repeat([]byte("0123456789"), size/10+1)[:size]
				var body io.Reader = bytes.NewReader(want)
				if tls {
					body = io.LimitReader(body, int64(size)) // cannot be sought: a trailer has to follow
				}
				in := &s3.PutObjectInput{Bucket: aws.String("bucket"), Key: aws.String("a key/größe"), Body: body, ChecksumAlgorithm: algorithm, Metadata: map[string]string{"note": "a  b"}}
				if tls {
					in.ContentLength = aws.Int64(int64(size))
				}
				if _, err := client.PutObject(t.Context(), in); err != nil {
					t.Errorf("tls %v, %q, %d bytes: %v", tls, algorithm, size, err)
					continue
				}
				got, text := <-s.method, <-s.body
				if !bytes.Equal(text, want) {
					t.Errorf("tls %v, %q, %d bytes: got %d other bytes (%s)", tls, algorithm, size, len(text), got)
				}
				if trailer := strings.Contains(got, sigv4.StreamingTrailer+" 1"); trailer != (tls && size > 0 && algorithm != "") {
					t.Errorf("tls %v, %q, %d bytes: sent as %q", tls, algorithm, size, got)
				}
			}
		}
		presign := s3.NewPresignClient(client)
		put, err := presign.PresignPutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("bucket"), Key: aws.String("k+ü"), ContentType: aws.String("text/csv")})
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequest(put.Method, put.URL, strings.NewReader("a,b\n"))
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(r.Header, put.SignedHeader)
		resp, err := srv.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("presigned put: %s", resp.Status)
			continue
		}
		if got, text := <-s.method, <-s.body; string(text) != "a,b\n" {
			t.Errorf("presigned put: got %q (%s)", text, got)
		}
	}
}

func TestUnsignedTrailerIsChecked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body, announce string
		why            sigv4.Reason
	}{
		"good":              {"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", "x-amz-checksum-crc32", sigv4.Unknown},
		"two chunks":        {"2\r\nhe\r\n3\r\nllo\r\n0\r\nx-amz-checksum-crc32: NhCmhg==\r\n\r\n", "x-amz-checksum-crc32", sigv4.Unknown},
		"no trailer":        {"5\r\nhello\r\n0\r\n\r\n", "", sigv4.Unknown},
		"without last line": {"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n", "x-amz-checksum-crc32", sigv4.Unknown},
		"other checksum":    {"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhQ==\r\n\r\n", "x-amz-checksum-crc32", sigv4.BadChecksum},
		"other data":        {"5\r\nhullo\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", "x-amz-checksum-crc32", sigv4.BadChecksum},
		"not announced":     {"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", "", sigv4.BadTrailer},
		"not there":         {"5\r\nhello\r\n0\r\n\r\n", "x-amz-checksum-crc32", sigv4.BadTrailer},
		"short":             {"4\r\nhell\r\n0\r\n\r\n", "", sigv4.BadFraming},
	} {
		r := httptest.NewRequest(http.MethodPut, "/bucket/key", strings.NewReader(c.body))
		r.Header.Set("X-Amz-Decoded-Content-Length", "5")
		r.Header.Set("Content-Encoding", "aws-chunked")
		if c.announce != "" {
			r.Header.Set("X-Amz-Trailer", c.announce)
		}
		sigv4.NewKeys().Sign(r, sigv4.Credentials{AccessKeyID: keyID, SecretAccessKey: secret}, "s3", region, sigv4.StreamingTrailer)
		v, err := check(r, "s3", nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		b, err := v.Body(r)
		if err == nil {
			_, err = io.ReadAll(b)
		}
		if got := sigv4.ReasonOf(err); got != c.why || (err == nil) != (c.why == sigv4.Unknown) {
			t.Errorf("%s: got %v (reason %d), want %d", name, err, got, c.why)
		}
	}
}

func TestHashedBodyIsChecked(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256([]byte("hello"))
	for text, why := range map[string]sigv4.Reason{"hello": sigv4.Unknown, "hullo": sigv4.PayloadHash, "hell": sigv4.PayloadHash, "hello ": sigv4.PayloadHash, "": sigv4.PayloadHash} {
		r := httptest.NewRequest(http.MethodPut, "/bucket/key", strings.NewReader(text))
		sigv4.NewKeys().Sign(r, sigv4.Credentials{AccessKeyID: keyID, SecretAccessKey: secret}, "s3", region, hex.EncodeToString(sum[:]))
		v, err := check(r, "s3", nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := v.Body(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = io.ReadAll(b); sigv4.ReasonOf(err) != why {
			t.Errorf("%q: got %v, want reason %d", text, err, why)
		}
	}
	for _, payload := range []string{"", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "0123", strings.Repeat("x", 64)} {
		r := httptest.NewRequest(http.MethodPut, "/bucket/key", nil)
		sigv4.NewKeys().Sign(r, sigv4.Credentials{AccessKeyID: keyID, SecretAccessKey: secret}, "s3", region, payload)
		if payload == "" {
			r.Header.Del("X-Amz-Content-Sha256")
		}
		if _, err := check(r, "s3", nil); err == nil {
			t.Errorf("payload %q is accepted", payload)
		}
	}
}

// TestSignAgreesWithTheSDK signs with ours and checks with the SDK's signer.
func TestSignAgreesWithTheSDK(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // the two must sign at the same second
		signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
		for _, path := range oddPaths() {
			for _, token := range []string{"", "a+token/with=signs"} {
				r := httptest.NewRequest(http.MethodPut, "http://127.0.0.1:9000/", nil)
				r.URL.Path, r.URL.RawPath = path, strict(path)
				r.URL.RawQuery = "partNumber=1&uploadId=a%2Fb"
				r.Header.Set("Content-Type", "text/csv")
				r.Header.Set("X-Amz-Meta-A", "a  b")
				r.Header.Set("User-Agent", "not signed")
				theirs := r.Clone(t.Context())
				sigv4.NewKeys().Sign(r, sigv4.Credentials{AccessKeyID: keyID, SecretAccessKey: secret, Token: token}, "s3", region, sigv4.UnsignedPayload)
				cred := credentials()
				cred.SessionToken = token
				theirs.Header.Set("X-Amz-Content-Sha256", sigv4.UnsignedPayload)
				if err := signer.SignHTTP(t.Context(), cred, theirs, sigv4.UnsignedPayload, "s3", region, time.Now()); err != nil {
					t.Fatal(err)
				}
				if got, want := r.Header.Get("Authorization"), theirs.Header.Get("Authorization"); got != want {
					t.Errorf("%s: got %s\nwant %s", path, got, want)
				}
			}
		}
	})
}
