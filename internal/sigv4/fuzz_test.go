package sigv4

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"glaux/internal/fault"
)

// FuzzParse feeds the parser what a stranger may send. It must not panic,
// refuse only with faults of kind Unauthorized, and never find a signature
// good that was made without the secret.
func FuzzParse(f *testing.F) {
	day := time.Now().UTC().Format(isoBasic)
	scope := "AKIAABCDEFGHIJKLMNOP/" + day[:8] + "/us-east-1/s3/aws4_request"
	f.Add(Algorithm+" Credential="+scope+", SignedHeaders=host;x-amz-date, Signature="+strings.Repeat("0a", 32), day, "", "/", emptyHash)
	f.Add(Algorithm+" Credential=a/b/c/d/e,SignedHeaders=,Signature=", day, "a=b&c", "/x", "")
	f.Add("", "", "X-Amz-Algorithm="+Algorithm+"&X-Amz-Credential="+url.QueryEscape(scope)+"&X-Amz-Date="+day+"&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature="+strings.Repeat("0a", 32), "/b/k", "")
	f.Add("", "", "X-Amz-Signature=%zz&X-Amz-Expires=-1", "//", StreamingSigned)
	f.Add("Bearer x", "today", "%&=&;+", "/../%", "UNSIGNED-PAYLOAD")
	keys := NewKeys()
	f.Fuzz(func(t *testing.T, auth, date, query, path, payload string) {
		r := &http.Request{Method: http.MethodPut, Host: "localhost", URL: &url.URL{Path: path, RawQuery: query}, Header: http.Header{}}
		for name, value := range map[string]string{"Authorization": auth, "X-Amz-Date": date, "X-Amz-Content-Sha256": payload} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		s, err := Parse(r)
		if err != nil {
			if fault.Of(err) != fault.Unauthorized || ReasonOf(err) == Unknown {
				t.Fatalf("got %v without a reason", err)
			}
			return
		}
		for _, service := range []string{S3, "athena", s.Service} {
			_, err := keys.Verify(r, s, "a secret nobody has", Want{Service: service})
			if err == nil {
				t.Fatal("a signature made without the secret is good")
			}
			if fault.Of(err) != fault.Unauthorized || ReasonOf(err) == Unknown {
				t.Fatalf("got %v without a reason", err)
			}
		}
	})
}

// FuzzBody feeds the reader of chunked bodies what a stranger may send.
func FuzzBody(f *testing.F) {
	f.Add("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", StreamingTrailer, "5", "x-amz-checksum-crc32")
	f.Add("5;chunk-signature="+strings.Repeat("0", 64)+"\r\nhello\r\n", StreamingSigned, "5", "")
	f.Add("0;chunk-signature="+strings.Repeat("0", 64)+"\r\nx:y\r\n\r\n", StreamingSignedTrailer, "0", "x")
	f.Fuzz(func(t *testing.T, text, payload, length, trailer string) {
		r := &http.Request{Method: http.MethodPut, URL: &url.URL{}, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text))}
		r.Header.Set("X-Amz-Decoded-Content-Length", length)
		r.Header.Set("X-Amz-Trailer", trailer)
		v := &Verified{Signature: Signature{Payload: payload}}
		b, err := v.Body(r)
		if err != nil {
			return
		}
		n, err := io.Copy(io.Discard, b)
		if n > int64(len(text)) {
			t.Fatalf("read %d bytes of a body of %d", n, len(text))
		}
		if err == nil && b.Streaming && n != b.Length {
			t.Fatalf("read %d bytes, stated were %d", n, b.Length)
		}
		if err == nil && (payload == StreamingSigned || payload == StreamingSignedTrailer) {
			t.Fatal("chunks signed without the key are good")
		}
	})
}
