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

	"glaux/internal/access"
	"glaux/internal/cell"
	"glaux/internal/ident"
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
		"no key":      {"s3://bucket", http.StatusOK, "", "it is no location of an object"},
		"upwards":     {"s3://bucket/../theirs/k", http.StatusOK, "", "it is no location of an object"},
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
			err = results{client: client, authority: testAuthority(t), spill: t.TempDir()}.Put(t.Context(), cell.Object{
				URI: c.uri, Size: 1, Body: strings.NewReader("x"), Session: "k1", Role: access.Executor{SessionID: "s1", Workgroup: "spark", RoleARN: testHome.Role("any")},
			})
			refused, ok := errors.AsType[*cell.RefusedError](err)
			if err == nil || ok != (c.why != "") || ok && refused.Why != c.why {
				t.Errorf("got %v, want %q", err, c.why)
			}
		})
	}
}

var testHome = ident.Home{Partition: "aws", Region: "us-east-1", Account: "000000000000"}

// testAuthority knows the role narrow, which may write below s3://mine/open/ and nothing else.
func testAuthority(t *testing.T) *access.Authority {
	t.Helper()
	a, err := access.Open(t.Context(), access.Config{Dir: t.TempDir(), Home: testHome, Roles: []access.Role{{Name: "narrow", Allow: []access.Rule{
		{Actions: []string{"s3:PutObject"}, Resources: []string{"arn:aws:s3:::mine/open/*"}},
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// What the session's role may not write, the server does not write for it.
func TestResultsAreWrittenAsTheSessionsRole(t *testing.T) {
	const narrow = "arn:aws:iam::000000000000:role/narrow"
	denied := func(resource string) string {
		return "access denied: User: arn:aws:sts::000000000000:assumed-role/narrow/AthenaExecutor-s1 is not authorized to perform: s3:PutObject on resource: arn:aws:s3:::" +
			resource + " because no identity-based policy allows the s3:PutObject action"
	}
	for name, c := range map[string]struct {
		role, uri string
		why       string // empty: it is written
	}{
		"default rules":           {testHome.Role("any"), "s3://theirs/k", ""},
		"within the rules":        {narrow, "s3://mine/open/k", ""},
		"outside the rules":       {narrow, "s3://mine/shut/k", denied("mine/shut/k")},
		"another bucket":          {narrow, "s3://theirs/open/k", denied("theirs/open/k")},
		"out of the rules again":  {narrow, "s3://mine/open/../shut/k", "it is no location of an object"},
		"no role of this account": {"arn:aws:iam::111111111111:role/x", "s3://mine/k", `access denied: cannot assume the execution role "arn:aws:iam::111111111111:role/x" of session "s1": User: arn:aws:iam::111111111111:role/x is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::111111111111:role/x`},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
			defer srv.Close()
			client, err := object.NewClient(object.Upstream{Endpoint: srv.URL, AccessKey: "a", Secret: "s"})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			err = results{client: client, authority: testAuthority(t), spill: t.TempDir()}.Put(t.Context(), cell.Object{
				URI: c.uri, Size: 1, Body: strings.NewReader("x"), Session: "k1", Role: access.Executor{SessionID: "s1", Workgroup: "spark", RoleARN: c.role},
			})
			refused, ok := errors.AsType[*cell.RefusedError](err)
			if ok != (c.why != "") || ok && refused.Why != c.why || !ok && err != nil {
				t.Errorf("got %v\nwant %q", err, c.why)
			}
			if n := asked.Load(); (n > 0) == ok {
				t.Errorf("the store was asked %d times", n)
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
