package object

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestEncryptionIsAskedForOfForeignStores(t *testing.T) {
	for name, c := range map[string]struct {
		ask       Encryption
		sse, key  string
		embedded  bool
		multipart bool
	}{
		"none":          {},
		"S3":            {ask: Encryption{Option: "SSE_S3", KMSKey: "k"}, sse: "AES256"},
		"KMS":           {ask: Encryption{Option: "SSE_KMS", KMSKey: "arn:aws:kms:us-east-1:000000000000:key/k"}, sse: "aws:kms", key: "arn:aws:kms:us-east-1:000000000000:key/k"},
		"KMS, own key":  {ask: Encryption{Option: "SSE_KMS"}, sse: "aws:kms"},
		"in parts":      {ask: Encryption{Option: "SSE_KMS", KMSKey: "k"}, sse: "aws:kms", key: "k", multipart: true},
		"client's side": {ask: Encryption{Option: "CSE_KMS", KMSKey: "k"}},
		"embedded":      {ask: Encryption{Option: "SSE_KMS", KMSKey: "k"}, embedded: true},
	} {
		t.Run(name, func(t *testing.T) {
			var got http.Header
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if got == nil {
					got = r.Header.Clone()
				}
				if c.multipart { // what asks for the encryption is the first request
					w.WriteHeader(http.StatusForbidden)
				}
			}))
			defer srv.Close()
			client, err := NewClient(Upstream{Endpoint: srv.URL, AccessKey: "a", Secret: "s", Region: "us-east-1", Embedded: c.embedded})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			body := make([]byte, 5)
			if c.multipart {
				body = make([]byte, 2*partSize+1)
			}
			err = client.PutEncrypted(t.Context(), URI{"b-b", "k"}, bytes.NewReader(body), int64(len(body)), "", c.ask)
			if (err != nil) != c.multipart {
				t.Fatal(err)
			}
			if sse, key := got.Get("X-Amz-Server-Side-Encryption"), got.Get("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id"); sse != c.sse || key != c.key {
				t.Errorf("asked for %q with key %q, want %q with %q", sse, key, c.sse, c.key)
			}
		})
	}
}
