package cloudwatch

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"glaux/internal/access"
	"glaux/internal/awsapi"
	"glaux/internal/ident"
	"glaux/internal/logs"
	"glaux/internal/logs/logstest"
	"glaux/internal/logsapi"
)

// other is a CloudWatch Logs elsewhere: our own API over HTTP.
type other struct {
	store *logs.Store
	url   string
	keys  access.KeyPair
	down  atomic.Bool // answers 503
}

func mustServe(t *testing.T) *other {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	home := ident.Home{Partition: "aws", Region: "us-east-1", Account: "000000000000"}
	authority, err := access.Open(t.Context(), access.Config{Dir: t.TempDir(), Home: home})
	if err != nil {
		t.Fatal(err)
	}
	o := &other{keys: authority.Root()}
	if o.store, err = logs.Open(logs.Config{Dir: t.TempDir(), ManagedDays: 30, MaxBytes: 1 << 40, Log: log}); err != nil {
		t.Fatal(err)
	}
	api := &logsapi.API{Home: home, Logs: logs.NewManager(o.store, authority, home, ident.NewPages(authority.PageKey()))}
	rows, err := api.Operations()
	if err != nil {
		t.Fatal(err)
	}
	handler, err := awsapi.NewJSON(rows, awsapi.Options{Authenticator: authority, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if o.down.Load() {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	o.url = server.URL
	return o
}

func (o *other) mustOpen(t *testing.T, dir string, log *slog.Logger) *Client {
	t.Helper()
	c, err := Open(Config{Endpoint: o.url, Region: "us-east-1", AccessKey: o.keys.AccessKeyID, SecretKey: o.keys.SecretAccessKey, Dir: dir, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// TestConformance runs the suite of places that logs are appended to.
func TestConformance(t *testing.T) {
	t.Parallel()
	logstest.Run(t, func(t *testing.T) func(t *testing.T) logstest.Place {
		o, dir := mustServe(t), t.TempDir()
		return func(t *testing.T) logstest.Place {
			return logstest.Place{Writer: o.mustOpen(t, dir, slog.New(slog.DiscardHandler)), Read: func(t *testing.T, group, stream string) []string {
				return logstest.Messages(t, o.store, group, stream)
			}}
		}
	})
}

func TestOutage(t *testing.T) {
	t.Parallel()
	o := mustServe(t)
	c := o.mustOpen(t, t.TempDir(), slog.New(slog.DiscardHandler))
	events := []logs.Event{{Time: time.Now(), Message: "x"}}
	o.down.Store(true)
	err := c.Append(t.Context(), "g", "s", events, "1")
	if err == nil || errors.Is(err, logs.ErrRefused) {
		t.Fatalf("while the other place is down: %v", err)
	}
	o.down.Store(false)
	if err := c.Append(t.Context(), "g", "s", events, "1"); err != nil {
		t.Fatal(err)
	}
	if got := logstest.Messages(t, o.store, "g", "s"); len(got) != 1 {
		t.Errorf("%d events arrived", len(got))
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	o := mustServe(t)
	var said bytes.Buffer
	c := o.mustOpen(t, t.TempDir(), slog.New(slog.NewTextHandler(&said, nil)))
	now := time.Now()
	err := c.Append(t.Context(), "/glaux/managed/x", "s", []logs.Event{{Time: now, Message: "x"}}, "")
	if !errors.Is(err, logs.ErrRefused) || !strings.Contains(err.Error(), "reserved") {
		t.Errorf("a name that is not allowed there: %v", err)
	}
	err = c.Append(t.Context(), "g", "s", []logs.Event{{Time: now.Add(-400 * time.Hour), Message: "old"}, {Time: now, Message: "fine"}, {Time: now.Add(5 * time.Hour), Message: "new"}}, "1")
	if err != nil {
		t.Fatal(err)
	}
	if got := logstest.Messages(t, o.store, "g", "s"); len(got) != 1 || got[0] != "fine" {
		t.Errorf("arrived: %q", got)
	}
	if n := strings.Count(said.String(), "lost=1"); n != 2 { // they are batches of their own
		t.Errorf("the log says %s", said.String())
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for _, c := range []Config{
		{Endpoint: "", AccessKey: "a", SecretKey: "s"}, {Endpoint: "ftp://x", AccessKey: "a", SecretKey: "s"}, {Endpoint: "http://x"},
	} {
		c.Dir = t.TempDir()
		if _, err := Open(c); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
}

func TestOldMarksGo(t *testing.T) {
	t.Parallel()
	o, dir := mustServe(t), t.TempDir()
	c := o.mustOpen(t, dir, slog.New(slog.DiscardHandler))
	for _, stream := range []string{"old", "young"} {
		if err := c.Append(t.Context(), "g", stream, nil, "1"); err != nil {
			t.Fatal(err)
		}
	}
	past := time.Now().Add(-2 * oldMark)
	if err := os.Chtimes(c.file("g", "old"), past, past); err != nil {
		t.Fatal(err)
	}
	o.mustOpen(t, dir, slog.New(slog.DiscardHandler))
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 1 {
		t.Errorf("left: %v, %v", left, err)
	}
}
