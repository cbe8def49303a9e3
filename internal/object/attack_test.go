package object

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// raw is a request that no SDK would send.
type raw struct {
	method, path string
	header       map[string]string
	payload      string // x-amz-content-sha256
	body         []byte
	length       int64                     // of the body; 0: as it is
	frame        func(raw *chunker) []byte // makes the body from the seed signature
}

// chunker frames a body as SDKs with signed chunks do.
type chunker struct {
	key         []byte
	date, scope string
	prev        string
}

const emptySHA = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func sign(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

func (c *chunker) chunk(data []byte) []byte {
	sum := sha256.Sum256(data)
	c.prev = hex.EncodeToString(sign(c.key, "AWS4-HMAC-SHA256-PAYLOAD\n"+c.date+"\n"+c.scope+"\n"+c.prev+"\n"+emptySHA+"\n"+hex.EncodeToString(sum[:])))
	out := fmt.Appendf(nil, "%x;chunk-signature=%s\r\n", len(data), c.prev)
	if len(data) > 0 {
		out = append(append(out, data...), "\r\n"...)
	}
	return out
}

func (c *chunker) trailer(line string) []byte {
	sum := sha256.Sum256([]byte(line + "\n"))
	c.prev = hex.EncodeToString(sign(c.key, "AWS4-HMAC-SHA256-TRAILER\n"+c.date+"\n"+c.scope+"\n"+c.prev+"\n"+hex.EncodeToString(sum[:])))
	return []byte(line + "\r\nx-amz-trailer-signature:" + c.prev + "\r\n\r\n")
}

// send signs and sends a raw request with root's key.
func (s *store) send(t *testing.T, q raw) (int, string, http.Header) {
	t.Helper()
	root := s.authority.Root()
	req, err := http.NewRequestWithContext(t.Context(), q.method, s.url+q.path, bytes.NewReader(q.body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range q.header {
		req.Header.Set(k, v)
	}
	req.Header.Set("X-Amz-Content-Sha256", q.payload)
	now := time.Now().UTC()
	cred := aws.Credentials{AccessKeyID: root.AccessKeyID, SecretAccessKey: root.SecretAccessKey}
	req.ContentLength = -1 // not signed: the framing decides
	err = v4.NewSigner().SignHTTP(t.Context(), cred, req, q.payload, "s3", defaultRegion, now, func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = int64(len(q.body))
	if q.frame != nil {
		auth := req.Header.Get("Authorization")
		day := now.Format("20060102")
		key := sign(sign(sign(sign([]byte("AWS4"+root.SecretAccessKey), day), defaultRegion), "s3"), "aws4_request")
		body := q.frame(&chunker{key, now.Format("20060102T150405Z"), day + "/" + defaultRegion + "/s3/aws4_request", auth[strings.Index(auth, "Signature=")+10:]})
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	if q.length != 0 {
		req.ContentLength = q.length
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error(), nil
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(text), res.Header
}

func wantAnswer(t *testing.T, what string, status int, text string, wantStatus int, code string) {
	t.Helper()
	if status != wantStatus || !strings.Contains(text, "<Code>"+code+"</Code>") {
		t.Errorf("%s: %d %s; want %d %s", what, status, text, wantStatus, code)
	}
}

func wantNone(t *testing.T, s *store, bucket, key string) {
	t.Helper()
	head, err := s.sdk().HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	if err == nil {
		t.Errorf("there is an object of %d bytes", aws.ToInt64(head.ContentLength))
	}
	wantCode(t, err, "NotFound")
}

func shaOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func testTampering(t *testing.T, s *store) {
	b := mustBucket(t, s.sdk())
	body := noise(300_000)
	other := bytes.Clone(body)
	other[299_999] ^= 1
	status, text, _ := s.send(t, raw{method: http.MethodPut, path: "/" + b + "/x", payload: shaOf(body), body: other})
	wantAnswer(t, "a body with another last byte", status, text, 400, "XAmzContentSHA256Mismatch")
	wantNone(t, s, b, "x")
	status, text, _ = s.send(t, raw{method: http.MethodPut, path: "/" + b + "/x", payload: "UNSIGNED-PAYLOAD", body: body})
	if status != 200 {
		t.Errorf("an unsigned body: %d %s", status, text)
	}
	status, text, _ = s.send(t, raw{method: http.MethodPost, path: "/" + b + "?delete=", payload: shaOf(nil), body: []byte("<Delete><Object><Key>x</Key></Object></Delete>")})
	wantAnswer(t, "a bulk delete with another body", status, text, 400, "XAmzContentSHA256Mismatch")
	mustGet(t, s.sdk(), b, "x")
}

func testChunked(t *testing.T, s *store) {
	b := mustBucket(t, s.sdk())
	data := noise(200_000)
	header := func(trailer string) map[string]string {
		h := map[string]string{"X-Amz-Decoded-Content-Length": "200000", "Content-Encoding": "aws-chunked", "Content-Type": "text/z"}
		if trailer != "" {
			h["X-Amz-Trailer"] = trailer
		}
		return h
	}
	frame := func(spoil int, tail string) func(*chunker) []byte {
		return func(c *chunker) []byte {
			var out []byte
			for at := 0; at < len(data); at += 64 << 10 {
				out = append(out, c.chunk(data[at:min(at+64<<10, len(data))])...)
			}
			last := c.chunk(nil)
			out = append(out, last...)
			if tail != "" {
				out = append(out, c.trailer(tail)...)
			} else {
				out = append(out, "\r\n"...)
			}
			if spoil != 0 {
				out[(len(out)+spoil)%len(out)] ^= 1
			}
			return out
		}
	}
	const signed = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	path := "/" + b + "/chunked"
	status, text, _ := s.send(t, raw{method: http.MethodPut, path: path, header: header(""), payload: signed, frame: frame(0, "")})
	if status != 200 {
		t.Fatalf("%d %s", status, text)
	}
	if got := mustGet(t, s.sdk(), b, "chunked"); !bytes.Equal(got, data) {
		t.Error("another body came back")
	}
	head, err := s.sdk().HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &b, Key: aws.String("chunked")})
	if err != nil || aws.ToString(head.ContentEncoding) != "" || aws.ToString(head.ContentType) != "text/z" {
		t.Errorf("head: %+v, %v", head, err)
	}
	for what, at := range map[string]int{"its data": 5000, "its last data byte": -100, "the last chunk's signature": -10} {
		status, text, _ = s.send(t, raw{method: http.MethodPut, path: path + "-bad", header: header(""), payload: signed, frame: frame(at, "")})
		wantAnswer(t, "chunks with a change in "+what, status, text, 403, "SignatureDoesNotMatch")
		wantNone(t, s, b, "chunked-bad")
	}
	// Cut off after the first chunk.
	short := func(c *chunker) []byte { return c.chunk(data[:64<<10]) }
	status, text, _ = s.send(t, raw{method: http.MethodPut, path: path + "-bad", header: header(""), payload: signed, frame: short})
	wantAnswer(t, "half a body", status, text, 400, "IncompleteBody")
	wantNone(t, s, b, "chunked-bad")

	crc := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(data))
	sum := base64.StdEncoding.EncodeToString(crc)
	trailer := "x-amz-checksum-crc32:" + sum
	status, text, h := s.send(t, raw{method: http.MethodPut, path: path + "-t", header: header("x-amz-checksum-crc32"), payload: signed + "-TRAILER", frame: frame(0, trailer)})
	if status != 200 || h.Get("X-Amz-Checksum-Crc32") != sum {
		t.Errorf("with a signed trailer: %d %s, checksum %q", status, text, h.Get("X-Amz-Checksum-Crc32"))
	}
	if got := mustGet(t, s.sdk(), b, "chunked-t"); !bytes.Equal(got, data) {
		t.Error("another body came back")
	}
	status, text, _ = s.send(t, raw{method: http.MethodPut, path: path + "-bad", header: header("x-amz-checksum-crc32"), payload: signed + "-TRAILER", frame: frame(-95, trailer)})
	if status < 400 {
		t.Errorf("with a spoiled trailer: %d %s", status, text)
	}
	wantNone(t, s, b, "chunked-bad")
}

func testChecksums(t *testing.T, s *store) {
	b := mustBucket(t, s.sdk())
	data := noise(100_000)
	for name, value := range map[string]string{
		"X-Amz-Checksum-Crc32":  base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(data))),
		"X-Amz-Checksum-Sha256": base64.StdEncoding.EncodeToString(sign32(data)),
	} {
		send := func(payload string, spoil bool) (int, string) {
			body := fmt.Appendf(nil, "%x\r\n%s\r\n0\r\n%s:%s\r\n\r\n", len(data), data, strings.ToLower(name), value)
			if spoil {
				body[1000] ^= 1
			}
			status, text, _ := s.send(t, raw{
				method: http.MethodPut, path: "/" + b + "/" + name + fmt.Sprint(spoil), payload: payload, body: body,
				header: map[string]string{"X-Amz-Trailer": strings.ToLower(name), "X-Amz-Decoded-Content-Length": "100000", "Content-Encoding": "aws-chunked,gzip"},
			})
			return status, text
		}
		if status, text := send("STREAMING-UNSIGNED-PAYLOAD-TRAILER", false); status != 200 {
			t.Errorf("%s: %d %s", name, status, text)
		}
		head, err := s.sdk().HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &b, Key: aws.String(name + "false"), ChecksumMode: "ENABLED"})
		if err != nil {
			t.Fatal(err)
		}
		if got := aws.ToString(head.ChecksumCRC32) + aws.ToString(head.ChecksumSHA256); got != value || s.gateway.cfg.Upstream.Embedded && aws.ToString(head.ContentEncoding) != "gzip" {
			t.Errorf("%s: kept %q, encoding %q", name, got, aws.ToString(head.ContentEncoding))
		}
		status, text := send("STREAMING-UNSIGNED-PAYLOAD-TRAILER", true)
		wantAnswer(t, name+" of another body", status, text, 400, "BadDigest")
		wantNone(t, s, b, name+"true")
	}
}

func sign32(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:]
}

func testDecisions(t *testing.T, s *store) {
	c := s.sdk()
	ctx, b := t.Context(), mustBucket(t, c)
	mustPut(t, c, b, "x", []byte("x"))
	root := "arn:aws:s3:::" + b
	for what, do := range map[string]func(context.Context) error{
		"s3:GetObject " + root + "/x": func(ctx context.Context) error {
			_, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: &b, Key: aws.String("x")})
			return err
		},
		"s3:PutObject " + root + "/y": func(ctx context.Context) error {
			_, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: &b, Key: aws.String("y"), Body: strings.NewReader("")})
			return err
		},
		"s3:DeleteObject " + root + "/x": func(ctx context.Context) error {
			_, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b, Key: aws.String("x")})
			return err
		},
		"s3:ListBucket " + root: func(ctx context.Context) error {
			_, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &b})
			return err
		},
		"s3:ListAllMyBuckets *": func(ctx context.Context) error {
			_, err := c.ListBuckets(ctx, &s3.ListBucketsInput{})
			return err
		},
		"s3:DeleteBucket " + root: func(ctx context.Context) error {
			_, err := c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &b})
			return err
		},
		"s3:GetBucketPolicy " + root: func(ctx context.Context) error {
			_, err := c.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: &b})
			return err
		},
		"s3:GetObjectVersion " + root + "/x": func(ctx context.Context) error {
			_, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: &b, Key: aws.String("x"), VersionId: aws.String("null")})
			return err
		},
	} {
		t.Run(strings.Fields(what)[0], func(t *testing.T) {
			s.rules.refuse(t, what)
			wantCode(t, do(ctx), "AccessDenied")
		})
	}
}

func testRefusals(t *testing.T, s *store) {
	b := mustBucket(t, s.sdk())
	for _, q := range []struct {
		raw
		status int
		code   string
	}{
		{raw{method: "PATCH", path: "/list-users"}, 405, "MethodNotAllowed"},
		{raw{method: "PATCH", path: "/" + b + "/x"}, 405, "MethodNotAllowed"},
		{raw{method: "OPTIONS", path: "/" + b + "/x"}, 405, "MethodNotAllowed"},
		{raw{method: "POST", path: "/" + b}, 405, "MethodNotAllowed"},
		{raw{method: "GET", path: "/" + b + "?acl=&policy="}, 400, "InvalidArgument"},
		{raw{method: "POST", path: "/" + b + "?acl="}, 405, "MethodNotAllowed"},
		{raw{method: "GET", path: "/_glaux/x"}, 400, "InvalidBucketName"},
		{raw{method: "PUT", path: "/_glaux"}, 400, "InvalidBucketName"},
		{raw{method: "GET", path: "/.sgwtmp"}, 400, "InvalidBucketName"},
	} {
		q.payload = emptySHA
		status, text, _ := s.send(t, q.raw)
		wantAnswer(t, q.method+" "+q.path, status, text, q.status, q.code)
	}
}

func testHeaders(t *testing.T, s *store) {
	b := mustBucket(t, s.sdk())
	mustPut(t, s.sdk(), b, "page.html", []byte("<script>"))
	for _, path := range []string{"/page.html", "/none", ""} {
		status, text, h := s.send(t, raw{method: http.MethodGet, path: "/" + b + path, payload: emptySHA})
		if h.Get("Content-Security-Policy") != "sandbox" || h.Get("X-Content-Type-Options") != "nosniff" || len(h.Get("X-Amz-Request-Id")) != 16 || h.Get("Server") != "glaux" {
			t.Errorf("%s: %d %v", path, status, h)
		}
		if status == 404 && !strings.Contains(text, "<RequestId>"+h.Get("X-Amz-Request-Id")+"</RequestId>") {
			t.Errorf("the error names another request: %s", text)
		}
	}
}
