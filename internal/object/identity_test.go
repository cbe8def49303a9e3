package object

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"glaux/internal/access"
)

func testVirtualHost(t *testing.T, s *store) {
	b := mustBucket(t, s.sdk())
	front, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"localhost", "s3.localhost", "glaux.test", "s3.glaux.test", "s3.us-east-1.glaux.test"} {
		base := "http://" + host + ":" + front.Port()
		c := s.sdk(func(o *s3.Options) {
			o.UsePathStyle, o.BaseEndpoint = false, &base
			o.HTTPClient = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				if !strings.HasPrefix(address, b+"."+host+":") {
					t.Errorf("the client asks %s", address)
				}
				return (&net.Dialer{}).DialContext(ctx, network, front.Host)
			}}}
		})
		mustPut(t, c, b, "by/host ü", []byte(host))
		if got := mustGet(t, c, b, "by/host ü"); string(got) != host {
			t.Errorf("%s: %q", host, got)
		}
		if _, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &b}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func testCredentials(t *testing.T, s *store) {
	root := s.authority.Root()
	b := mustBucket(t, s.sdk())
	list := func(change ...func(*s3.Options)) error {
		_, err := s.sdk(change...).ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &b})
		return err
	}
	who, err := s.authority.AssumedRole(access.Caller{}, "arn:aws:iam::"+defaultAccount+":role/any", "session")
	if err != nil {
		t.Fatal(err)
	}
	temp, err := s.authority.Issue(who, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	old, err := s.authority.Issue(who, -time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := list(withKey(temp.AccessKeyID, temp.SecretAccessKey, temp.SessionToken)); err != nil {
		t.Errorf("temporary credentials: %v", err)
	}
	wantCode(t, list(withKey(old.AccessKeyID, old.SecretAccessKey, old.SessionToken)), "ExpiredToken")
	wantCode(t, list(withKey(temp.AccessKeyID, temp.SecretAccessKey, "junk")), "InvalidToken")
	wantCode(t, list(withKey(temp.AccessKeyID, "wrong", temp.SessionToken)), "SignatureDoesNotMatch")
	wantCode(t, list(withKey(root.AccessKeyID, "wrong", "")), "SignatureDoesNotMatch")
	wantCode(t, list(withKey("AKIANOBODY0000000000", "wrong", "")), "InvalidAccessKeyId")
	wantCode(t, list(func(o *s3.Options) { o.Credentials = aws.AnonymousCredentials{} }), "AccessDenied")
	child := s.child.Upstream()
	wantCode(t, list(withKey(child.AccessKey, child.Secret, "")), "InvalidAccessKeyId")

	for ago, code := range map[time.Duration]string{-20 * time.Minute: "RequestTimeTooSkewed", 20 * time.Minute: "RequestTimeTooSkewed", time.Minute: ""} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/"+b, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(nil)
		hash := fmt.Sprintf("%x", sum)
		req.Header.Set("X-Amz-Content-Sha256", hash)
		cred := aws.Credentials{AccessKeyID: root.AccessKeyID, SecretAccessKey: root.SecretAccessKey}
		if err := v4.NewSigner().SignHTTP(t.Context(), cred, req, hash, "s3", defaultRegion, time.Now().Add(-ago)); err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if code == "" && res.StatusCode != 200 || code != "" && (res.StatusCode != 403 || !strings.Contains(string(text), "<Code>"+code+"<")) {
			t.Errorf("signed %v ago: %d %s", ago, res.StatusCode, text)
		}
	}
}
