package server

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

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

// A store that is not up yet when the server starts gets its bucket later.
func TestBucketIsMadeOnceTheStoreIsUp(t *testing.T) {
	var up atomic.Bool
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !up.Load() {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte("<Error><Code>Down</Code></Error>")) // a reader that is gone needs no reply
		}
	}))
	defer srv.Close()
	client, err := object.NewClient(object.Upstream{Endpoint: srv.URL, AccessKey: "a", Secret: "s"})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ready, log := newReadiness(partObjects), new(lockedBuffer)
	var group errgroup.Group
	st := &storage{client: client, bucket: "results"}
	st.run(t.Context(), &group, ready, slog.New(slog.NewTextHandler(log, nil)))
	ready.await(t.Context(), partObjects, 20*time.Second)
	if parts, all := ready.report(); all || parts[partObjects] == starting {
		t.Fatalf("a store that refuses is %v", parts)
	}
	up.Store(true)
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if parts, all := ready.report(); !all {
		t.Errorf("a store that is up is %v", parts)
	}
	if n := strings.Count(log.String(), "cannot make the bucket"); n != 1 {
		t.Errorf("the failure is logged %d times:\n%s", n, log)
	}
}
