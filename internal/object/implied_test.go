package object

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// testImplied: what a header sets needs its own permission, and a HEAD is
// decided as one whatever its query says.
func testImplied(t *testing.T, s *store) {
	b := mustBucket(t, s.sdk())
	mustPut(t, s.sdk(), b, "x", []byte("x"))
	object := "arn:aws:s3:::" + b + "/x"
	for _, c := range []struct{ method, query, header, value, action string }{
		{http.MethodPut, "", "X-Amz-Acl", "public-read", "s3:PutObjectAcl"},
		{http.MethodPut, "", "X-Amz-Grant-Read", "id=1", "s3:PutObjectAcl"},
		{http.MethodPut, "", "X-Amz-Tagging", "a=b", "s3:PutObjectTagging"},
		{http.MethodPut, "", "X-Amz-Object-Lock-Mode", "GOVERNANCE", "s3:PutObjectRetention"},
		{http.MethodPut, "", "X-Amz-Object-Lock-Legal-Hold", "ON", "s3:PutObjectLegalHold"},
		{http.MethodPost, "?uploads", "X-Amz-Acl", "public-read", "s3:PutObjectAcl"},
		{http.MethodDelete, "", "X-Amz-Bypass-Governance-Retention", "true", "s3:BypassGovernanceRetention"},
		{http.MethodHead, "?acl", "X-Amz-Meta", "", "s3:GetObject"},
		{http.MethodHead, "?uploadId=1", "X-Amz-Meta", "", "s3:GetObject"},
	} {
		t.Run(c.action, func(t *testing.T) {
			s.rules.refuse(t, c.action+" "+object)
			status, text, _ := s.send(t, raw{method: c.method, path: "/" + b + "/x" + c.query, payload: emptySHA, header: map[string]string{c.header: c.value}})
			if status != http.StatusForbidden {
				t.Errorf("%s %s with %s: %d %s", c.method, c.query, c.header, status, text)
			}
		})
	}
	s.rules.refuse(t, "s3:BypassGovernanceRetention "+object)
	doc := []byte("<Delete><Object><Key>x</Key></Object></Delete>")
	status, text, _ := s.send(t, raw{method: http.MethodPost, path: "/" + b + "?delete=", payload: shaOf(doc), body: doc,
		header: map[string]string{"X-Amz-Bypass-Governance-Retention": "true"}})
	if status != http.StatusOK || !strings.Contains(text, "<Code>AccessDenied</Code>") {
		t.Errorf("bulk delete: %d %s", status, text)
	}
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodPost} {
		status, text, _ = s.send(t, raw{method: method, path: "/" + b + "/x?uploadId=", payload: emptySHA})
		wantAnswer(t, method+" without an upload's id", status, text, http.StatusNotFound, "NoSuchUpload")
	}
	if got := mustGet(t, s.sdk(), b, "x"); string(got) != "x" {
		t.Errorf("the object is now %q", got)
	}
}

// testDotted: a path that an upstream could take for another object's.
func testDotted(t *testing.T, s *store) {
	b := mustBucket(t, s.sdk())
	mustPut(t, s.sdk(), b, "shut/x", []byte("x"))
	for _, key := range []string{"open/../shut/x", "open/%2e%2e/shut/x", "./shut/x", "../" + b + "/shut/x", "shut/./x"} {
		path := "/" + b + "/" + strings.ReplaceAll(key, "%2e", ".")
		for method, want := range map[string]int{http.MethodGet: 404, http.MethodHead: 404, http.MethodPut: 400, http.MethodDelete: 204} {
			if status, text, _ := s.send(t, raw{method: method, path: path, payload: emptySHA}); status != want {
				t.Errorf("%s %s: %d %s", method, path, status, text)
			}
		}
		status, text, _ := s.send(t, raw{method: http.MethodPut, path: "/" + b + "/copy", payload: emptySHA, header: map[string]string{"X-Amz-Copy-Source": b + "/" + key}})
		wantAnswer(t, "copy of "+key, status, text, http.StatusBadRequest, "InvalidArgument")
	}
	if got := mustGet(t, s.sdk(), b, "shut/x"); string(got) != "x" {
		t.Errorf("the object is now %q", got)
	}
}

// TestClientKeysAreRefused: an object that its sender wants encrypted under a
// key of his own must not be kept in the clear.
func TestClientKeysAreRefused(t *testing.T) {
	s := mustStore(t, false)
	b := mustBucket(t, s.sdk())
	status, text, _ := s.send(t, raw{method: http.MethodPut, path: "/" + b + "/x", payload: emptySHA, header: map[string]string{
		"X-Amz-Server-Side-Encryption-Customer-Algorithm": "AES256",
	}})
	wantAnswer(t, "customer key", status, text, http.StatusNotImplemented, "NotImplemented")
	wantNone(t, s, b, "x")
}

// TestOlderPresignedTampering: who holds a URL of the older form adds to it.
func TestOlderPresignedTampering(t *testing.T) {
	s := mustStore(t, false)
	b := mustBucket(t, s.sdk())
	root, until := s.authority.Root(), time.Now().Add(time.Hour).Unix()
	m := hmac.New(sha1.New, []byte(root.SecretAccessKey))
	fmt.Fprintf(m, "PUT\n\n\n%d\nx-amz-acl:private\n/%s/x", until, b)
	q := url.Values{
		"AWSAccessKeyId": {root.AccessKeyID}, "Expires": {fmt.Sprint(until)}, "x-amz-acl": {"private"},
		"Signature": {base64.StdEncoding.EncodeToString(m.Sum(nil))},
	}
	for _, c := range []struct {
		what, add, header string
		status            int
	}{
		{"as it is", "", "", http.StatusOK},
		{"header over query", "", "X-Amz-Acl", http.StatusBadRequest},
		{"other header", "", "X-Amz-Copy-Source", http.StatusForbidden},
		{"other spelling", "&X-Amz-Acl=public-read", "", http.StatusBadRequest},
		{"twice", "&x-amz-acl=public-read", "", http.StatusBadRequest},
		{"subresource it does not cover", "&retention", "", http.StatusBadRequest},
		{"subresource it covers", "&tagging", "", http.StatusForbidden},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.url+"/"+b+"/x?"+q.Encode()+c.add, strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		if c.header != "" {
			req.Header.Set(c.header, "public-read")
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != c.status {
			t.Errorf("%s: %d %s; want %d", c.what, res.StatusCode, text, c.status)
		}
	}
}
