package awsapi

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/athena"

	"glaux/internal/access"
	"glaux/internal/sigv4"
)

// nowhere is a reply, or a log, that nobody reads.
type nowhere struct{ header http.Header }

// Header returns the header.
func (n *nowhere) Header() http.Header { return n.header }

// Write takes everything.
func (n *nowhere) Write(p []byte) (int, error) { return len(p), nil }

// WriteHeader does nothing.
func (n *nowhere) WriteHeader(int) {}

// verifier checks signatures with one secret.
type verifier struct{ keys *sigv4.Keys }

const benchSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

// Authenticate verifies the signature.
func (v verifier) Authenticate(r *http.Request, body []byte, service string) (access.Caller, error) {
	s, err := sigv4.Parse(r)
	if err != nil {
		return access.Caller{}, err
	}
	_, err = v.keys.Verify(r, s, benchSecret, sigv4.Want{Service: service, Region: "us-east-1", Body: body})
	return access.Caller{ARN: "arn:aws:iam::000000000000:root"}, err
}

// benchDispatcher answers GetWorkGroup from memory.
func benchDispatcher(b *testing.B, a Authenticator) *JSON {
	b.Helper()
	out := workGroupOutput()
	rows, err := Table(Athena, map[string]Handler{
		"GetWorkGroup": Handle(func(context.Context, access.Caller, *athena.GetWorkGroupInput) (*athena.GetWorkGroupOutput, error) {
			return out, nil
		}),
	})
	if err != nil {
		b.Fatal(err)
	}
	d, err := NewJSON(rows, Options{Authenticator: a, Log: slog.New(slog.NewJSONHandler(&nowhere{}, nil))})
	if err != nil {
		b.Fatal(err)
	}
	return d
}

const benchBody = `{"WorkGroup":"primary"}`

// BenchmarkDispatch measures a GetWorkGroup from the request in memory to the
// reply, without a network, a signature or a store.
func BenchmarkDispatch(b *testing.B) {
	d := benchDispatcher(b, gate{})
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			r, _ := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://127.0.0.1/", strings.NewReader(benchBody))
			r.Header["Content-Type"] = []string{json11}
			r.Header["X-Amz-Target"] = []string{"AmazonAthena.GetWorkGroup"}
			d.ServeHTTP(&nowhere{http.Header{}}, r)
		}
	})
}

// BenchmarkServer measures signed GetWorkGroups over eight connections to a
// real HTTP server, with a generator that signs beforehand on the same cores.
func BenchmarkServer(b *testing.B) {
	keys := sigv4.NewKeys()
	server := httptest.NewServer(benchDispatcher(b, verifier{keys}))
	defer server.Close()
	request := signedRequest(b, keys, server.URL)

	b.ReportAllocs()
	b.ResetTimer()
	work := make(chan struct{}, 1024)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { generate(b, server.Listener.Addr().String(), request, work) })
	}
	for range b.N {
		work <- struct{}{}
	}
	close(work)
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}

// signedRequest returns the bytes of a signed request.
func signedRequest(b *testing.B, keys *sigv4.Keys, url string) []byte {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, strings.NewReader(benchBody))
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Content-Type", json11)
	r.Header.Set("X-Amz-Target", "AmazonAthena.GetWorkGroup")
	sum := sha256.Sum256([]byte(benchBody))
	keys.Sign(r, sigv4.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: benchSecret}, Athena, "us-east-1", hex.EncodeToString(sum[:]))
	var text bytes.Buffer
	if err := r.Write(&text); err != nil {
		b.Fatal(err)
	}
	return text.Bytes()
}

// generate sends the request on one connection, once for every piece of work.
func generate(b *testing.B, address string, request []byte, work <-chan struct{}) {
	conn, err := (&net.Dialer{}).DialContext(b.Context(), "tcp", address)
	if err != nil {
		b.Error(err)
		return
	}
	defer func() { _ = conn.Close() }()
	replies := bufio.NewReader(conn)
	for range work {
		if _, err := conn.Write(request); err != nil {
			b.Error(err)
			return
		}
		reply, err := http.ReadResponse(replies, nil)
		if err != nil {
			b.Error(err)
			return
		}
		body, _ := io.ReadAll(reply.Body)
		_ = reply.Body.Close()
		if reply.StatusCode != http.StatusOK {
			b.Errorf("got %d %s", reply.StatusCode, body)
			return
		}
	}
}
