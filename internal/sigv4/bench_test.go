package sigv4_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"glaux/internal/sigv4"
)

// BenchmarkVerify is one call of a JSON service as the SDK signs it.
func BenchmarkVerify(b *testing.B) {
	body := []byte(`{"WorkGroup":"primary"}`)
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonAthena.GetWorkGroup")
	r.Header.Set("Amz-Sdk-Invocation-Id", "4d1f1b3a-2c2b-4a5c-9f10-5b0f6d3d3a11")
	r.Header.Set("Amz-Sdk-Request", "attempt=1; max=3")
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(b.Context(), credentials(), r, hex.EncodeToString(sum[:]), "athena", region, time.Now()); err != nil {
		b.Fatal(err)
	}
	k := sigv4.NewKeys()
	want := sigv4.Want{Service: "athena", Region: region, Body: body}
	b.ReportAllocs()
	for b.Loop() {
		s, err := sigv4.Parse(r)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := k.Verify(r, s, secret, want); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkChunks decodes a body of 8 MiB in 64 KiB chunks with a checksum trailer.
func BenchmarkChunks(b *testing.B) {
	var framed strings.Builder
	chunk := strings.Repeat("x", 64<<10)
	for range 128 {
		framed.WriteString("10000\r\n" + chunk + "\r\n")
	}
	framed.WriteString("0\r\n\r\n")
	r := httptest.NewRequest(http.MethodPut, "/bucket/key", nil)
	r.Header.Set("X-Amz-Decoded-Content-Length", "8388608")
	b.SetBytes(8 << 20)
	for b.Loop() {
		r.Body = io.NopCloser(strings.NewReader(framed.String()))
		v := &sigv4.Verified{Signature: sigv4.Signature{Payload: sigv4.StreamingTrailer}}
		body, err := v.Body(r)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, body); err != nil {
			b.Fatal(err)
		}
	}
}
