package object

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// sdk makes an SDK client of the gateway with root's key.
func (s *store) sdk(change ...func(*s3.Options)) *s3.Client {
	root := s.authority.Root()
	return s3.New(s3.Options{
		BaseEndpoint: &s.url, Region: defaultRegion, UsePathStyle: true,
		Credentials:      credentials.NewStaticCredentialsProvider(root.AccessKeyID, root.SecretAccessKey, ""),
		RetryMaxAttempts: 1,
	}, change...)
}

func withKey(id, secret, token string) func(*s3.Options) {
	return func(o *s3.Options) { o.Credentials = credentials.NewStaticCredentialsProvider(id, secret, token) }
}

// wantCode wants an error of S3 with the code.
func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok || api.ErrorCode() != code {
		t.Errorf("got %v, want the code %s", err, code)
	}
}

// TestConformance runs every case against the embedded server and against an
// endpoint that is reached like a foreign one.
func TestConformance(t *testing.T) {
	for _, external := range []bool{false, true} {
		t.Run(map[bool]string{false: "embedded", true: "external"}[external], func(t *testing.T) {
			s := mustStore(t, external)
			for name, test := range conformance() {
				t.Run(name, func(t *testing.T) { test(t, s) })
			}
		})
	}
}

func conformance() map[string]func(*testing.T, *store) {
	return map[string]func(*testing.T, *store){
		"Objects": testObjects, "Keys": testKeys, "Lists": testLists, "Buckets": testBuckets, "BulkDelete": testBulkDelete,
		"Copy": testCopy, "Multipart": testMultipart, "Presign": testPresign, "Conditions": testConditions, "Tagging": testTagging,
		"Large": testLarge, "VirtualHost": testVirtualHost, "Keys and tokens": testCredentials, "Tampering": testTampering,
		"Chunked": testChunked, "Checksums": testChecksums, "Decisions": testDecisions, "Refusals": testRefusals, "Headers": testHeaders, "Implied": testImplied, "Dotted": testDotted,
	}
}

// mustBucket makes a bucket named after the test.
func mustBucket(t *testing.T, c *s3.Client) string {
	t.Helper()
	name := "b-" + strings.ToLower(strings.NewReplacer("/", "-", "_", "-", "#", "-").Replace(t.Name()))
	name = strings.Trim(name[:min(len(name), 60)], "-")
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatal(err)
	}
	return name
}

func mustPut(t *testing.T, c *s3.Client, bucket, key string, body []byte) {
	t.Helper()
	if _, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(body)}); err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
}

func mustGet(t *testing.T, c *s3.Client, bucket, key string) []byte {
	t.Helper()
	res, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatalf("get %q: %v", key, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("get %q: %v", key, err)
	}
	return b
}

func testObjects(t *testing.T, s *store) {
	c := s.sdk()
	ctx, b := t.Context(), mustBucket(t, c)
	body := noise(100_000)
	put, err := c.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &b, Key: aws.String("dir/obj"), Body: bytes.NewReader(body), ContentType: aws.String("application/x-thing"),
		Metadata: map[string]string{"colour": "blue"}, CacheControl: aws.String("no-store"), ContentEncoding: aws.String("identity"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, text, h := s.send(t, raw{method: http.MethodHead, path: "/" + b + "/dir/obj", payload: emptySHA}); h.Get("X-Amz-Meta-Colour") != "blue" {
		t.Errorf("metadata: %v %s", h, text)
	}
	if got := mustGet(t, c, b, "dir/obj"); !bytes.Equal(got, body) {
		t.Error("another body came back")
	}
	head, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b, Key: aws.String("dir/obj")})
	if err != nil {
		t.Fatal(err)
	}
	if *head.ContentLength != 100_000 || *head.ContentType != "application/x-thing" || head.Metadata["colour"] != "blue" ||
		*head.ETag != *put.ETag || aws.ToString(head.ContentEncoding) != "identity" || aws.ToString(head.CacheControl) != "no-store" {
		t.Errorf("head: %+v", head)
	}
	res, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: &b, Key: aws.String("dir/obj"), Range: aws.String("bytes=10-19")})
	if err != nil {
		t.Fatal(err)
	}
	part, _ := io.ReadAll(res.Body)
	res.Body.Close()
	if !bytes.Equal(part, body[10:20]) || aws.ToString(res.ContentRange) != "bytes 10-19/100000" {
		t.Errorf("range: %d bytes, %s", len(part), aws.ToString(res.ContentRange))
	}
	mustPut(t, c, b, "empty", nil)
	if got := mustGet(t, c, b, "empty"); len(got) != 0 {
		t.Error("an empty object is not")
	}
	for range 2 {
		if _, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b, Key: aws.String("dir/obj")}); err != nil {
			t.Error(err)
		}
	}
	_, err = c.GetObject(ctx, &s3.GetObjectInput{Bucket: &b, Key: aws.String("dir/obj")})
	wantCode(t, err, "NoSuchKey")
	_, err = c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b, Key: aws.String("dir/obj")})
	wantCode(t, err, "NotFound")
	_, err = c.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("no-such-bucket"), Key: aws.String("x")})
	wantCode(t, err, "NoSuchBucket")
	_, err = c.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("no-such-bucket"), Key: aws.String("x"), Body: strings.NewReader("x")})
	wantCode(t, err, "NoSuchBucket")
}

func testKeys(t *testing.T, s *store) {
	c := s.sdk()
	b := mustBucket(t, c)
	keys := []string{
		"plain", "with space", "pl+us", "per%cent", "per%20cent", "ünïcode/日本語/🦉", "a=b/c=d e/part-0", "q?uestion", "hash#tag", "am&p;s", "semi;colon,comma",
		"quo'te\"s", "pa(ren)[br]{ace}", "ti~lde_und-dash.dot", "star*$!@:", "back\\slash", "new\nline", "dots..in..it", "trailing.", strings.Repeat("x", 200) + "/" + strings.Repeat("y", 200),
		"less<than>", "|pipe^", "`tick",
	}
	for _, key := range keys {
		mustPut(t, c, b, key, []byte(key))
	}
	for _, key := range keys {
		if got := mustGet(t, c, b, key); string(got) != key {
			t.Errorf("under %q is %q", key, got)
		}
	}
	var listed []string
	res, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &b, EncodingType: types.EncodingTypeUrl})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range res.Contents {
		key := *o.Key
		if res.EncodingType == types.EncodingTypeUrl {
			if key, err = url.QueryUnescape(key); err != nil {
				t.Errorf("listed %q: %v", *o.Key, err)
			}
		} else if s.gateway.cfg.Upstream.Embedded {
			t.Error("keys are not encoded")
		}
		listed = append(listed, key)
	}
	slices.Sort(keys)
	slices.Sort(listed)
	if !slices.Equal(keys, listed) {
		t.Errorf("listed %q,\nwant %q", listed, keys)
	}
	// What a path cannot express.
	mustPut(t, c, b, "double//slash", []byte("1"))
	if got := mustGet(t, c, b, "double//slash"); string(got) != "1" {
		t.Errorf("under double//slash is %q", got)
	}
	if !s.gateway.cfg.Upstream.Embedded {
		return
	}
	for _, key := range []string{"../other/x", "a/../../other/x", "a/../b", "./x", "..", ".", "a/..", ".sgwtmp/x", "x/.sgwtmp/multipart"} {
		_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &b, Key: &key, Body: strings.NewReader("x")})
		wantCode(t, err, "InvalidRequest")
		_, err = c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &b, Key: &key})
		wantCode(t, err, "NoSuchKey")
		if _, err = c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &b, Key: &key}); err != nil {
			t.Errorf("delete %q: %v", key, err)
		}
	}
	_, err = c.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: &b, Key: aws.String("copied"), CopySource: aws.String(b + "/../" + b + "/plain")})
	wantCode(t, err, "InvalidArgument")
	// A key below another key is the one thing files cannot do.
	_, err = c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &b, Key: aws.String("plain/below"), Body: strings.NewReader("x")})
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok || !strings.Contains(api.ErrorCode(), "ObjectParentIsFile") {
		t.Errorf("a key below another: %v", err)
	}
}

func testLists(t *testing.T, s *store) {
	c := s.sdk()
	ctx, b := t.Context(), mustBucket(t, c)
	var want []string
	for i := range 25 {
		key := fmt.Sprintf("p%d/k%02d", i%3, i)
		want = append(want, key)
		mustPut(t, c, b, key, []byte("x"))
	}
	slices.Sort(want)
	var got []string
	for p := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: &b, MaxKeys: aws.Int32(7)}); p.HasMorePages(); {
		page, err := p.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			got = append(got, *o.Key)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("v2 listed %q", got)
	}
	got = nil
	for marker := aws.String(""); ; {
		page, err := c.ListObjects(ctx, &s3.ListObjectsInput{Bucket: &b, MaxKeys: aws.Int32(7), Marker: marker})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			got = append(got, *o.Key)
		}
		if !aws.ToBool(page.IsTruncated) {
			break
		}
		marker = &got[len(got)-1]
	}
	if !slices.Equal(got, want) {
		t.Errorf("v1 listed %q", got)
	}
	page, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &b, Delimiter: aws.String("/")})
	if err != nil {
		t.Fatal(err)
	}
	var prefixes []string
	for _, p := range page.CommonPrefixes {
		prefixes = append(prefixes, *p.Prefix)
	}
	if !slices.Equal(prefixes, []string{"p0/", "p1/", "p2/"}) || len(page.Contents) != 0 {
		t.Errorf("prefixes: %q and %d objects", prefixes, len(page.Contents))
	}
	page, err = c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &b, Prefix: aws.String("p1/k1"), StartAfter: aws.String("p1/k12")})
	if err != nil || len(page.Contents) != 3 {
		t.Errorf("prefix and start: %d objects, %v", len(page.Contents), err)
	}
	_, err = c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String("no-such-bucket")})
	wantCode(t, err, "NoSuchBucket")
}

func testBuckets(t *testing.T, s *store) {
	c := s.sdk()
	ctx, b := t.Context(), mustBucket(t, c)
	if _, err := c.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &b}); err != nil {
		t.Error(err)
	}
	_, err := c.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: aws.String("no-such-bucket")})
	wantCode(t, err, "NotFound")
	mustPut(t, c, b, "x", nil)
	all, err := c.ListBuckets(ctx, &s3.ListBucketsInput{})
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, x := range all.Buckets {
		found = found || *x.Name == b
		if !validBucket(*x.Name) {
			t.Errorf("a bucket %q is listed", *x.Name)
		}
	}
	if !found {
		t.Errorf("%s is not listed", b)
	}
	if _, err := c.GetBucketLocation(ctx, &s3.GetBucketLocationInput{Bucket: &b}); err != nil {
		t.Error(err)
	}
	_, err = c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &b})
	wantCode(t, err, "BucketNotEmpty")
	if _, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b, Key: aws.String("x")}); err != nil {
		t.Error(err)
	}
	if _, err = c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &b}); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"_glaux", "UPPER", "a..b", "192.168.1.1", "ab"} {
		_, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &name})
		wantCode(t, err, "InvalidBucketName")
	}
	mine := mustBucket(t, c)
	if _, err := c.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &mine, ExpectedBucketOwner: aws.String(defaultAccount)}); err != nil {
		t.Errorf("with the account as the expected owner: %v", err)
	}
	_, err = c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &mine, ExpectedBucketOwner: aws.String("111122223333")})
	wantCode(t, err, "AccessDenied")
}

func testBulkDelete(t *testing.T, s *store) {
	c := s.sdk()
	ctx, b := t.Context(), mustBucket(t, c)
	for _, key := range []string{"dir/", "dir/a", "dir/b & c", "keep/x"} {
		mustPut(t, c, b, key, nil)
	}
	id := func(key string) types.ObjectIdentifier { return types.ObjectIdentifier{Key: &key} }
	s.rules.refuse(t, "s3:DeleteObject arn:aws:s3:::"+b+"/keep/x")
	res, err := c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &b, Delete: &types.Delete{Objects: []types.ObjectIdentifier{
		id("dir/"), id("dir/a"), id("not there"), id("keep/x"), id("../out"),
	}}})
	if err != nil {
		t.Fatal(err)
	}
	var deleted []string
	for _, d := range res.Deleted {
		deleted = append(deleted, *d.Key)
	}
	slices.Sort(deleted)
	if s.gateway.cfg.Upstream.Embedded && !slices.Equal(deleted, []string{"../out", "dir/", "dir/a", "not there"}) {
		t.Errorf("deleted %q, errors %+v", deleted, res.Errors)
	}
	denied := slices.ContainsFunc(res.Errors, func(e types.Error) bool { return *e.Key == "keep/x" && *e.Code == "AccessDenied" })
	if !denied {
		t.Errorf("the denied key: %+v", res.Errors)
	}
	mustGet(t, c, b, "keep/x")
	mustGet(t, c, b, "dir/b & c")
	if s.gateway.cfg.Upstream.Embedded {
		// A directory that others are below, and that is no object any more.
		res, err = c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &b, Delete: &types.Delete{Quiet: aws.Bool(true), Objects: []types.ObjectIdentifier{id("dir/")}}})
		if err != nil || len(res.Errors) != 0 || len(res.Deleted) != 0 {
			t.Errorf("a directory with something in it, quietly: %+v, %v", res, err)
		}
		if _, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b, Key: aws.String("dir/")}); err != nil {
			t.Errorf("a directory with something in it: %v", err)
		}
	}
	_, err = c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: aws.String("no-such-bucket"), Delete: &types.Delete{Objects: []types.ObjectIdentifier{id("x")}}})
	if err == nil && s.gateway.cfg.Upstream.Embedded {
		t.Error("objects of no bucket were deleted")
	}
	many := make([]types.ObjectIdentifier, 1001)
	for i := range many {
		many[i] = id(fmt.Sprint(i))
	}
	_, err = c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &b, Delete: &types.Delete{Objects: many}})
	wantCode(t, err, "MalformedXML")
}

func testCopy(t *testing.T, s *store) {
	c := s.sdk()
	ctx, b := t.Context(), mustBucket(t, c)
	mustPut(t, c, b, "from/ä b+c", []byte("copied"))
	source := url.PathEscape(b) + "/" + url.PathEscape("from/ä b+c")
	if _, err := c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &b, Key: aws.String("to/x"), CopySource: &source}); err != nil {
		t.Fatal(err)
	}
	if got := mustGet(t, c, b, "to/x"); string(got) != "copied" {
		t.Errorf("copied %q", got)
	}
	_, err := c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &b, Key: aws.String("to/y"), CopySource: aws.String(b + "/none")})
	wantCode(t, err, "NoSuchKey")
	s.rules.refuse(t, "s3:GetObject arn:aws:s3:::"+b+"/from/ä b+c")
	_, err = c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &b, Key: aws.String("to/z"), CopySource: &source})
	wantCode(t, err, "AccessDenied")
}

func testMultipart(t *testing.T, s *store) {
	c := s.sdk()
	ctx, b := t.Context(), mustBucket(t, c)
	key := aws.String("big/ünï")
	body := noise(11 << 20)
	up, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &b, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	var parts []types.CompletedPart
	for i, at := int32(1), 0; at < len(body); i, at = i+1, at+5<<20 {
		res, err := c.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: &b, Key: key, UploadId: up.UploadId, PartNumber: &i, Body: bytes.NewReader(body[at:min(at+5<<20, len(body))]),
		})
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, types.CompletedPart{ETag: res.ETag, PartNumber: &i, ChecksumCRC32: res.ChecksumCRC32})
	}
	listed, err := c.ListParts(ctx, &s3.ListPartsInput{Bucket: &b, Key: key, UploadId: up.UploadId})
	if err != nil || len(listed.Parts) != len(parts) {
		t.Errorf("%d parts listed, %v", len(listed.Parts), err)
	}
	uploads, err := c.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: &b})
	if err != nil || len(uploads.Uploads) != 1 {
		t.Errorf("%d uploads listed, %v", len(uploads.Uploads), err)
	}
	all, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &b, Delimiter: aws.String("/")})
	if err != nil || len(all.Contents)+len(all.CommonPrefixes) != 0 {
		t.Errorf("an unfinished upload shows: %+v %+v, %v", all.Contents, all.CommonPrefixes, err)
	}
	done, err := c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &b, Key: key, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.gateway.cfg.Upstream.Embedded && !strings.HasPrefix(aws.ToString(done.Location), s.url+"/"+b+"/") {
		t.Errorf("location %s", aws.ToString(done.Location))
	}
	if got := mustGet(t, c, b, *key); !bytes.Equal(got, body) {
		t.Error("another body came back")
	}
	up, err = c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &b, Key: aws.String("gone")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &b, Key: aws.String("gone"), UploadId: up.UploadId}); err != nil {
		t.Error(err)
	}
	_, err = c.ListParts(ctx, &s3.ListPartsInput{Bucket: &b, Key: aws.String("gone"), UploadId: up.UploadId})
	wantCode(t, err, "NoSuchUpload")
}

func testPresign(t *testing.T, s *store) {
	c := s.sdk()
	ctx, b := t.Context(), mustBucket(t, c)
	key := aws.String("a b/ü+")
	p := s3.NewPresignClient(c)
	put, err := p.PresignPutObject(ctx, &s3.PutObjectInput{Bucket: &b, Key: key, ContentType: aws.String("text/x")})
	if err != nil {
		t.Fatal(err)
	}
	do := func(method, link string, h http.Header, body string) (int, string, http.Header) {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx, method, link, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range h {
			if k != "Host" && k != "Content-Length" {
				req.Header[k] = v
			}
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(text), res.Header
	}
	if code, text, _ := do(http.MethodPut, put.URL, put.SignedHeader, "by link"); code != 200 {
		t.Fatalf("put: %d %s", code, text)
	}
	get, err := p.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &b, Key: key, ResponseContentType: aws.String("text/y")})
	if err != nil {
		t.Fatal(err)
	}
	if code, text, h := do(http.MethodGet, get.URL, nil, ""); code != 200 || text != "by link" || h.Get("Content-Type") != "text/y" {
		t.Errorf("get: %d %s %s", code, text, h.Get("Content-Type"))
	}
	if code, text, _ := do(http.MethodGet, strings.Replace(get.URL, "X-Amz-Expires=900", "X-Amz-Expires=901", 1), nil, ""); code != 403 || !strings.Contains(text, "<Code>SignatureDoesNotMatch<") {
		t.Errorf("with another life: %d %s", code, text)
	}
	if code, text, _ := do(http.MethodDelete, get.URL, nil, ""); code != 403 || !strings.Contains(text, "<Code>SignatureDoesNotMatch<") {
		t.Errorf("with another method: %d %s", code, text)
	}
}

func testConditions(t *testing.T, s *store) {
	c := s.sdk()
	ctx, b := t.Context(), mustBucket(t, c)
	key := aws.String("once")
	in := func() *s3.PutObjectInput {
		return &s3.PutObjectInput{Bucket: &b, Key: key, Body: strings.NewReader("x"), IfNoneMatch: aws.String("*")}
	}
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := c.PutObject(ctx, in()); err == nil {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d writers made the same object", won.Load())
	}
	_, err := c.PutObject(ctx, in())
	wantCode(t, err, "PreconditionFailed")
	head, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: &b, Key: key, IfMatch: head.ETag}); err != nil {
		t.Error(err)
	}
	_, err = c.GetObject(ctx, &s3.GetObjectInput{Bucket: &b, Key: key, IfNoneMatch: head.ETag})
	if err == nil || !strings.Contains(err.Error(), "304") {
		t.Errorf("not modified: %v", err)
	}
	_, err = c.GetObject(ctx, &s3.GetObjectInput{Bucket: &b, Key: key, IfMatch: aws.String(`"0123"`)})
	wantCode(t, err, "PreconditionFailed")
}

func testTagging(t *testing.T, s *store) {
	c := s.sdk()
	ctx, b := t.Context(), mustBucket(t, c)
	_, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: &b, Key: aws.String("x"), Body: strings.NewReader("x"), Tagging: aws.String("a=1&b=2")})
	if err != nil {
		t.Fatal(err)
	}
	tags, err := c.GetObjectTagging(ctx, &s3.GetObjectTaggingInput{Bucket: &b, Key: aws.String("x")})
	if err != nil || len(tags.TagSet) != 2 {
		t.Errorf("%+v, %v", tags, err)
	}
	if _, err := c.PutObjectTagging(ctx, &s3.PutObjectTaggingInput{Bucket: &b, Key: aws.String("x"), Tagging: &types.Tagging{
		TagSet: []types.Tag{{Key: aws.String("c"), Value: aws.String("3 ü")}},
	}}); err != nil {
		t.Error(err)
	}
	if _, err := c.DeleteObjectTagging(ctx, &s3.DeleteObjectTaggingInput{Bucket: &b, Key: aws.String("x")}); err != nil {
		t.Error(err)
	}
	s.rules.refuse(t, "s3:PutObjectTagging arn:aws:s3:::"+b+"/x")
	_, err = c.PutObject(ctx, &s3.PutObjectInput{Bucket: &b, Key: aws.String("x"), Body: strings.NewReader("x"), Tagging: aws.String("a=1")})
	wantCode(t, err, "AccessDenied")
}

func testLarge(t *testing.T, s *store) {
	c := s.sdk()
	b := mustBucket(t, c)
	body := noise(64 << 20)
	mustPut(t, c, b, "64M", body)
	res, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &b, Key: aws.String("64M")})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, res.Body); err != nil {
		t.Fatal(err)
	}
	if want := sha256.Sum256(body); !bytes.Equal(sum.Sum(nil), want[:]) {
		t.Error("another body came back")
	}
}
