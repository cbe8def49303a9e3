package server

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"glaux/internal/delivery"
	"glaux/internal/object"
)

func TestLogsAreWrittenToTheObjectStore(t *testing.T) {
	for name, c := range map[string]struct {
		uri, key string
		status   int
		code     string
		why      string // empty: it is written, or worth another try
		wantKMS  string
	}{
		"written":     {uri: "s3://bkt/k", key: "alias/logs", status: http.StatusOK, wantKMS: "aws:kms alias/logs"},
		"no key":      {uri: "s3://bkt/k", status: http.StatusOK, wantKMS: " "},
		"no bucket":   {uri: "s3://no-such/k", status: http.StatusNotFound, code: "NoSuchBucket", why: "the bucket does not exist"},
		"denied":      {uri: "s3://theirs/k", status: http.StatusForbidden, code: "AccessDenied", why: "the object store denies access"},
		"no location": {uri: "s3://_/k", status: http.StatusOK, why: "it is no location of an object"},
		"out of luck": {uri: "s3://bkt/k", status: http.StatusBadRequest, code: "RequestTimeout"},
	} {
		t.Run(name, func(t *testing.T) {
			kms := ""
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				kms = r.Header.Get("X-Amz-Server-Side-Encryption") + " " + r.Header.Get("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id")
				w.WriteHeader(c.status)
				if c.code != "" {
					_, _ = w.Write([]byte("<Error><Code>" + c.code + "</Code></Error>")) // a reader that is gone needs no reply
				}
			}))
			defer srv.Close()
			client, err := object.NewClient(object.Upstream{Endpoint: srv.URL, AccessKey: "a", Secret: "s"})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			err = logObjects{client}.Put(t.Context(), delivery.Object{URI: c.uri, Size: 1, Body: strings.NewReader("x"), KMSKey: c.key})
			refused, ok := errors.AsType[*delivery.RefusedError](err)
			if ok != (c.why != "") || ok && refused.Why != c.why || (err == nil) != (c.status == http.StatusOK && c.why == "") {
				t.Errorf("got %v, want %q", err, c.why)
			}
			if c.wantKMS != "" && kms != c.wantKMS {
				t.Errorf("asked for %q, want %q", kms, c.wantKMS)
			}
		})
	}
	client, err := object.NewClient(object.Upstream{Endpoint: "http://127.0.0.1:1", AccessKey: "a", Secret: "s", Embedded: true})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for uri, want := range map[string]string{"s3://bkt/x/y": "arn:aws:s3:::bkt/x/y", "s3://bkt/../theirs/k": "", "nothing": ""} {
		got, err := logObjects{client}.Resource(uri)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("the resource of %q is %q, %v; want %q", uri, got, err, want)
		}
	}
}
