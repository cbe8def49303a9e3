package server

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"glaux/internal/calc"
	"glaux/internal/object"
)

func TestWritesThatAreRefusedForGood(t *testing.T) {
	for name, c := range map[string]struct {
		uri    string
		status int
		code   string
		why    string // empty: worth another try
	}{
		"no bucket":   {"s3://no-such/k", http.StatusNotFound, "NoSuchBucket", "the bucket does not exist"},
		"denied":      {"s3://theirs/k", http.StatusForbidden, "AccessDenied", "the object store denies access"},
		"no location": {"s3://_/k", http.StatusOK, "", "it is no location of an object"},
		"out of luck": {"s3://bucket/k", http.StatusBadRequest, "RequestTimeout", ""},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte("<Error><Code>" + c.code + "</Code></Error>")) // a reader that is gone needs no reply
			}))
			defer srv.Close()
			client, err := object.NewClient(object.Upstream{Endpoint: srv.URL, AccessKey: "a", Secret: "s"})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			err = results{client: client, spill: t.TempDir()}.Put(t.Context(), calc.Object{URI: c.uri, Size: 1, Body: strings.NewReader("x")})
			refused, ok := errors.AsType[*calc.RefusedError](err)
			if err == nil || ok != (c.why != "") || ok && refused.Why != c.why {
				t.Errorf("got %v, want %q", err, c.why)
			}
		})
	}
}
