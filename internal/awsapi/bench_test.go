package awsapi

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/athena"

	"glaux/internal/access"
)

// nowhere is a reply nobody reads.
type nowhere struct{ header http.Header }

// Header returns the header.
func (n *nowhere) Header() http.Header { return n.header }

// Write takes everything.
func (n *nowhere) Write(p []byte) (int, error) { return len(p), nil }

// WriteHeader does nothing.
func (n *nowhere) WriteHeader(int) {}

// BenchmarkDispatch measures a GetWorkGroup from the request in memory to the
// reply, without a network, a signature or a store.
func BenchmarkDispatch(b *testing.B) {
	out := workGroupOutput()
	rows, err := Table(Athena, map[string]Handler{
		"GetWorkGroup": Handle(func(context.Context, access.Caller, *athena.GetWorkGroupInput) (*athena.GetWorkGroupOutput, error) {
			return out, nil
		}),
	})
	if err != nil {
		b.Fatal(err)
	}
	d, err := NewJSON(rows, Options{Authenticator: gate{}, Log: slog.New(slog.NewJSONHandler(&nowhere{}, nil))})
	if err != nil {
		b.Fatal(err)
	}
	const body = `{"WorkGroup":"primary"}`
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			r, _ := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://127.0.0.1/", strings.NewReader(body))
			r.Header["Content-Type"] = []string{json11}
			r.Header["X-Amz-Target"] = []string{"AmazonAthena.GetWorkGroup"}
			d.ServeHTTP(&nowhere{http.Header{}}, r)
		}
	})
}
