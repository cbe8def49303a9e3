package object

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"glaux/internal/access"
)

// halfway sends the head of a signed PUT of n bytes and half of its body on a
// connection of its own, then ends the connection and waits for the other end
// to do so.
func (s *store) halfway(t *testing.T, path, payload string, n int, header ...string) {
	t.Helper()
	root := s.authority.Root()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.url+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Amz-Content-Sha256", payload)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	cred := aws.Credentials{AccessKeyID: root.AccessKeyID, SecretAccessKey: root.SecretAccessKey}
	if err := v4.NewSigner().SignHTTP(t.Context(), cred, req, payload, "s3", defaultRegion, time.Now()); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", req.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	head := fmt.Sprintf("PUT %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", path, req.Host, n)
	for name, values := range req.Header {
		head += name + ": " + values[0] + "\r\n"
	}
	if _, err := conn.Write(append([]byte(head+"\r\n"), noise(n)[:n/2]...)); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, conn) // until the gateway has given up
}

// TestSilentBody: a client that stops in the middle of a body is not waited
// for, and leaves no object.
func TestSilentBody(t *testing.T) {
	s := mustStore(t, false)
	s.gateway.cfg.BodyIdle = 50 * time.Millisecond
	b := mustBucket(t, s.sdk())
	root := s.authority.Root()
	for _, payload := range []string{"UNSIGNED-PAYLOAD", shaOf([]byte("0123456789"))} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.url+"/"+b+"/x", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Amz-Content-Sha256", payload)
		cred := aws.Credentials{AccessKeyID: root.AccessKeyID, SecretAccessKey: root.SecretAccessKey}
		if err := v4.NewSigner().SignHTTP(t.Context(), cred, req, payload, "s3", defaultRegion, time.Now()); err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", req.Host)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		head := fmt.Sprintf("PUT %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 10\r\n", req.URL.Path, req.Host)
		for name, values := range req.Header {
			head += name + ": " + values[0] + "\r\n"
		}
		if _, err := io.WriteString(conn, head+"\r\n01234"); err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(conn)
		if err != nil || !strings.Contains(string(text), "<Code>RequestTimeout</Code>") {
			t.Errorf("%s: %s, %v", payload, text, err)
		}
		wantNone(t, s, b, "x")
	}
}

func TestHalfABodyIsNoObject(t *testing.T) {
	s := mustStore(t, false)
	c := s.sdk()
	b := mustBucket(t, c)
	for i, payload := range []string{"UNSIGNED-PAYLOAD", shaOf(noise(100_000)), shaOf(noise(100_000)[:50_000])} {
		key := fmt.Sprint("half", i)
		s.halfway(t, "/"+b+"/"+key, payload, 100_000)
		wantNone(t, s, b, key)
	}
	up, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &b, Key: aws.String("parts")})
	if err != nil {
		t.Fatal(err)
	}
	s.halfway(t, "/"+b+"/parts?partNumber=1&uploadId="+*up.UploadId, "UNSIGNED-PAYLOAD", 100_000)
	parts, err := c.ListParts(t.Context(), &s3.ListPartsInput{Bucket: &b, Key: aws.String("parts"), UploadId: up.UploadId})
	if err != nil || len(parts.Parts) != 0 {
		t.Errorf("half a part is a part: %+v, %v", parts, err)
	}
}

// TestClientHalfABody writes straight to the embedded server.
func TestClientHalfABody(t *testing.T) {
	c := mustChild(t, shortDir(t))
	client, err := NewClient(c.Upstream())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.EnsureBucket(t.Context(), "half"); err != nil {
		t.Fatal(err)
	}
	to := URI{"half", "x"}
	body := failing{bytes.NewReader(noise(50_000))}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := client.Put(ctx, to, body, 100_000, ""); err == nil {
		t.Fatal("a body that cannot be read was written")
	}
	if _, err := client.Head(t.Context(), to); !errors.Is(err, ErrNotFound) {
		t.Errorf("head: %v", err)
	}
}

func TestNoLength(t *testing.T) {
	s := mustStore(t, false)
	b := mustBucket(t, s.sdk())
	status, text, _ := s.send(t, raw{method: http.MethodPut, path: "/" + b + "/x", payload: "UNSIGNED-PAYLOAD", length: -1, body: []byte("x")})
	wantAnswer(t, "a body of no stated length", status, text, 411, "MissingContentLength")
}

// TestOlderPresigned makes the URLs that boto3 and the AWS CLI make.
func TestOlderPresigned(t *testing.T) {
	s := mustStore(t, false)
	b := mustBucket(t, s.sdk())
	mustPut(t, s.sdk(), b, "a b/ü+%", []byte("found"))
	root := s.authority.Root()
	role, err := s.authority.AssumedRole(access.Caller{}, "arn:aws:iam::"+defaultAccount+":role/any", "session")
	if err != nil {
		t.Fatal(err)
	}
	temp, err := s.authority.Issue(role, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	path := "/" + b + "/" + encodeKey("a b/ü+%")
	link := func(method, id, secret, token string, until time.Time, extra string) string {
		q := url.Values{"AWSAccessKeyId": {id}, "Expires": {fmt.Sprint(until.Unix())}}
		amz := ""
		if token != "" {
			q.Set("x-amz-security-token", token)
			amz = "x-amz-security-token:" + token + "\n"
		}
		m := hmac.New(sha1.New, []byte(secret))
		resource := path
		if extra != "" {
			resource += "?" + extra
			name, value, _ := strings.Cut(extra, "=")
			q.Set(name, value)
		}
		fmt.Fprintf(m, "%s\n\n\n%d\n%s%s", method, until.Unix(), amz, resource)
		q.Set("Signature", base64.StdEncoding.EncodeToString(m.Sum(nil)))
		return s.url + path + "?" + q.Encode()
	}
	soon := time.Now().Add(time.Hour)
	for _, x := range []struct {
		link   string
		status int
		text   string
	}{
		{link("GET", root.AccessKeyID, root.SecretAccessKey, "", soon, ""), 200, "found"},
		{link("GET", root.AccessKeyID, root.SecretAccessKey, "", soon, "response-content-type=text/q"), 200, "found"},
		{link("GET", temp.AccessKeyID, temp.SecretAccessKey, temp.SessionToken, soon, ""), 200, "found"},
		{link("GET", temp.AccessKeyID, temp.SecretAccessKey, "junk", soon, ""), 400, "InvalidToken"},
		{link("GET", root.AccessKeyID, "wrong", "", soon, ""), 403, "SignatureDoesNotMatch"},
		{link("GET", "AKIANOBODY0000000000", "wrong", "", soon, ""), 403, "InvalidAccessKeyId"},
		{link("PUT", root.AccessKeyID, root.SecretAccessKey, "", soon, ""), 403, "SignatureDoesNotMatch"},
		{link("GET", root.AccessKeyID, root.SecretAccessKey, "", time.Now().Add(-time.Second), ""), 403, "expired"},
		{link("GET", root.AccessKeyID, root.SecretAccessKey, "", soon, "") + "&versionId=other", 403, "SignatureDoesNotMatch"},
		{s.url + path, 403, "AccessDenied"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, x.link, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != x.status || !strings.Contains(string(text), x.text) {
			t.Errorf("%s: %d %s; want %d %s", x.link, res.StatusCode, text, x.status, x.text)
		}
	}
}

// TestSidecar runs the store as on a file system without extended attributes.
func TestSidecar(t *testing.T) {
	dir := shortDir(t)
	if err := os.Mkdir(filepath.Join(dir, "metadata-of-objects"), 0o700); err != nil {
		t.Fatal(err)
	}
	c := mustChild(t, dir)
	client, err := NewClient(c.Upstream())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.EnsureBucket(t.Context(), "side"); err != nil {
		t.Fatal(err)
	}
	if err := client.PutBytes(t.Context(), URI{"side", "a/b"}, []byte("x"), "text/q"); err != nil {
		t.Fatal(err)
	}
	info, err := client.Head(t.Context(), URI{"side", "a/b"})
	if err != nil || info.ContentType != "text/q" || info.ETag == "" {
		t.Errorf("%+v, %v", info, err)
	}
	res, err := client.s3.ListBuckets(t.Context(), &s3.ListBucketsInput{})
	if err != nil || len(res.Buckets) != 1 {
		t.Errorf("%+v, %v", res, err)
	}
	left, err := os.ReadDir(filepath.Join(dir, "metadata-of-objects"))
	if err != nil || len(left) == 0 {
		t.Errorf("no metadata is kept beside the objects: %v", err)
	}
}

func TestGuardedHoldsTheEndBack(t *testing.T) {
	bad := errors.New("bad")
	for _, size := range []int{0, 1, 2, 7, 1000} {
		data := noise(size)
		for _, step := range []int{1, 2, 3, 512} {
			read := func(end error) (got []byte, err error) {
				from := io.MultiReader(bytes.NewReader(data), iotest.ErrReader(end))
				g := &guarded{from: from, hold: true}
				buf := make([]byte, step)
				for {
					n, err := g.Read(buf)
					got = append(got, buf[:n]...)
					if err != nil {
						return got, err
					}
				}
			}
			if got, err := read(io.EOF); !bytes.Equal(got, data) || !errors.Is(err, io.EOF) {
				t.Errorf("%d bytes by %d: %d came, %v", size, step, len(got), err)
			}
			if got, err := read(bad); len(got) >= max(size, 1) || !errors.Is(err, bad) {
				t.Errorf("%d bad bytes by %d: %d came, %v", size, step, len(got), err)
			}
		}
	}
}

func TestEncodeListing(t *testing.T) {
	in := `<?xml version="1.0"?>` + "\n" + `<ListBucketResult xmlns="x"><Name>b</Name><Prefix></Prefix><Contents><Key>a&amp;b&#xA;+%20</Key><ETag>&#34;x&#34;</ETag></Contents>` +
		`<CommonPrefixes><Prefix>ü/</Prefix></CommonPrefixes></ListBucketResult>`
	want := `<?xml version="1.0"?>` + "\n" + `<ListBucketResult xmlns="x"><EncodingType>url</EncodingType><Name>b</Name><Prefix></Prefix><Contents><Key>a%26b%0A%2B%2520</Key><ETag>&#34;x&#34;</ETag></Contents>` +
		`<CommonPrefixes><Prefix>%C3%BC/</Prefix></CommonPrefixes></ListBucketResult>`
	if got := string(encodeListing([]byte(in))); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	in = `<R><EncodingType></EncodingType><Key>a b</Key></R>`
	if got := string(encodeListing([]byte(in))); got != `<R><EncodingType>url</EncodingType><Key>a%20b</Key></R>` {
		t.Error(got)
	}
	for _, broken := range []string{"", "<", "<a", "<R><Key>", "<R><Key>x", "text"} {
		_ = encodeListing([]byte(broken)) // must end
	}
}

func TestKeysWithSpecialCharactersList(t *testing.T) {
	s := mustStore(t, false)
	b := mustBucket(t, s.sdk())
	mustPut(t, s.sdk(), b, "day=1/ts=00%3A00/x+y z", nil)
	res, err := s.sdk().ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &b, Prefix: aws.String("day=1/"), Delimiter: aws.String("/"), EncodingType: types.EncodingTypeUrl})
	if err != nil || len(res.CommonPrefixes) != 1 || *res.CommonPrefixes[0].Prefix != "day%3D1/ts%3D00%253A00/" {
		t.Errorf("%+v, %v", res, err)
	}
}
