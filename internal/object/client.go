package object

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// Errors of the client, to be found with errors.Is.
var (
	// ErrNotFound says that the bucket or the object does not exist.
	ErrNotFound = errors.New("no such object")
	// ErrDenied says that the upstream refuses the configured credentials
	// this object or bucket.
	ErrDenied = errors.New("access denied by the object store")
)

const (
	// partSize is the size of the parts of an upload; objects up to twice
	// this size are put in one request.
	partSize = 16 << 20
	// clientTries is how often a request is tried, with growing pauses.
	clientTries = 4
	// clientPause is the longest of the pauses.
	clientPause = time.Second
)

// URI names an object, or a bucket when Key is empty.
type URI struct{ Bucket, Key string }

// String returns s3://bucket/key.
func (u URI) String() string { return "s3://" + u.Bucket + "/" + u.Key }

// Join returns the URI with key behind its own, a slash between the two.
func (u URI) Join(key string) URI {
	if u.Key == "" || strings.HasSuffix(u.Key, "/") {
		return URI{u.Bucket, u.Key + key}
	}
	return URI{u.Bucket, u.Key + "/" + key}
}

// ParseURI reads s3://bucket/key, s3://bucket/ or s3://bucket. The key is taken
// as it stands; nothing in it is decoded. s3a:// and s3n:// are not accepted.
func ParseURI(text string) (URI, error) {
	rest, ok := strings.CutPrefix(text, "s3://")
	bucket, key, _ := strings.Cut(rest, "/")
	if !ok || !validBucket(bucket) {
		return URI{}, fmt.Errorf("cannot read %q as s3://bucket/key", text)
	}
	return URI{bucket, key}, nil
}

// Info describes an object.
type Info struct {
	Size        int64     // bytes
	Modified    time.Time // UTC
	ETag        string    // with its quotes
	ContentType string
}

// Client reads and writes objects for the server itself, straight at the
// upstream, with the upstream's credentials: whoever uses it has decided
// before. It is safe for concurrent use. Errors say what could not be done and
// to which object.
type Client struct {
	s3        *s3.Client
	transport *http.Transport
	region    string
	embedded  bool
}

// NewClient makes a client for the upstream. Close releases its connections.
func NewClient(up Upstream) (*Client, error) {
	if err := up.Validate(); err != nil {
		return nil, err
	}
	transport := up.transport()
	credentials := aws.Credentials{AccessKeyID: up.AccessKey, SecretAccessKey: up.Secret, SessionToken: up.Token}
	client := s3.New(s3.Options{
		BaseEndpoint: aws.String(strings.TrimSuffix(up.Endpoint, "/")),
		Region:       up.region(),
		UsePathStyle: true,
		HTTPClient:   &http.Client{Transport: transport},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return credentials, nil
		}),
		// Integrity is the transport's here; a checksum would only cost a
		// second pass over every body.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts, o.MaxBackoff = clientTries, clientPause
		}),
	})
	return &Client{s3: client, transport: transport, region: up.region(), embedded: up.Embedded}, nil
}

// Close closes the idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// EnsureBucket makes the bucket unless it is there.
func (c *Client) EnsureBucket(ctx context.Context, bucket string) error {
	if !validBucket(bucket) {
		return fmt.Errorf("cannot make bucket %q: it is not a valid bucket name", bucket)
	}
	in := &s3.CreateBucketInput{Bucket: &bucket}
	if c.region != defaultRegion {
		in.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(c.region)}
	}
	_, err := c.s3.CreateBucket(ctx, in)
	if err == nil {
		return nil
	}
	switch codeOf(err) {
	case "BucketAlreadyOwnedByYou":
		return nil
	case "BucketAlreadyExists", "AccessDenied": // perhaps ours all the same
		if _, head := c.s3.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &bucket}); head == nil {
			return nil
		}
	}
	return named("make bucket", URI{Bucket: bucket}, err)
}

// PutBytes writes a small object in one request.
func (c *Client) PutBytes(ctx context.Context, to URI, body []byte, contentType string) error {
	return c.Put(ctx, to, bytes.NewReader(body), int64(len(body)), contentType)
}

// Put writes an object of size bytes, read from the beginning of body. A large
// one goes in parts and appears once it is complete; when it fails nothing is
// left behind. contentType may be empty.
func (c *Client) Put(ctx context.Context, to URI, body io.ReadSeeker, size int64, contentType string) error {
	return c.PutEncrypted(ctx, to, body, size, contentType, Encryption{})
}

// Encryption is what an object store is asked for with an object.
type Encryption struct {
	Option string // "SSE_S3" or "SSE_KMS"; anything else asks for none
	KMSKey string // for SSE_KMS; empty: the store's own
}

// headers are the S3 members that ask for it. The embedded store has no keys
// and is not asked.
func (c *Client) headers(e Encryption) (types.ServerSideEncryption, *string) {
	switch {
	case c.embedded:
	case e.Option == "SSE_S3":
		return types.ServerSideEncryptionAes256, nil
	case e.Option == "SSE_KMS":
		return types.ServerSideEncryptionAwsKms, optional(e.KMSKey)
	}
	return "", nil
}

// Resource returns the ARN on which access to an object is decided, the same
// one that the gateway decides on; false for what no object can be.
func (c *Client) Resource(u URI) (string, bool) {
	key, ok := upstreamKey(u.Key, c.embedded)
	return arn(u.Bucket, key), ok && key != ""
}

// PutEncrypted is Put with the encryption to ask for.
func (c *Client) PutEncrypted(ctx context.Context, to URI, body io.ReadSeeker, size int64, contentType string, e Encryption) error {
	if to.Key == "" {
		return fmt.Errorf("cannot write %s: it names no object", to)
	}
	if _, ok := c.Resource(to); !ok { // it could end up elsewhere than was decided on
		return fmt.Errorf("cannot write %s: no object can have the key: %w", to, ErrDenied)
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return named("read what is written to", to, err)
	}
	if size > 2*partSize {
		return c.putParts(ctx, to, body, size, contentType, e)
	}
	sse, key := c.headers(e)
	_, err := c.s3.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &to.Bucket, Key: &to.Key, Body: body, ContentLength: &size, ContentType: optional(contentType),
		ServerSideEncryption: sse, SSEKMSKeyId: key,
	}, unsignedBody)
	if err != nil {
		return named("write", to, err)
	}
	return nil
}

// PutFile writes the file at path as an object.
func (c *Client) PutFile(ctx context.Context, to URI, path, contentType string) error {
	f, err := os.Open(path)
	if err != nil {
		return named("write", to, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return named("write", to, err)
	}
	return c.Put(ctx, to, f, info.Size(), contentType)
}

// putParts writes an object in parts, one after the other: they come from one
// reader, and memory stays that of a copy buffer.
func (c *Client) putParts(ctx context.Context, to URI, body io.Reader, size int64, contentType string, e Encryption) error {
	sse, key := c.headers(e)
	made, err := c.s3.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: &to.Bucket, Key: &to.Key, ContentType: optional(contentType), ServerSideEncryption: sse, SSEKMSKeyId: key,
	})
	if err != nil {
		return named("write", to, err)
	}
	err = c.uploadParts(ctx, to, made.UploadId, body, size)
	if err == nil {
		return nil
	}
	// The parts are taken away even when ctx has ended: nobody else will.
	aside, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	_, abort := c.s3.AbortMultipartUpload(aside, &s3.AbortMultipartUploadInput{Bucket: &to.Bucket, Key: &to.Key, UploadId: made.UploadId})
	return named("write", to, errors.Join(err, abort))
}

func (c *Client) uploadParts(ctx context.Context, to URI, upload *string, body io.Reader, size int64) error {
	// At most 9,000 parts, so that the largest object fits S3's 10,000.
	length := max(int64(partSize), (size+8999)/9000)
	from, seekable := body.(io.ReaderAt)
	var parts []types.CompletedPart
	var buf []byte
	for at, number := int64(0), int32(1); at < size; at, number = at+length, number+1 {
		n := min(length, size-at)
		var part io.ReadSeeker
		if seekable {
			part = io.NewSectionReader(from, at, n)
		} else {
			if buf == nil {
				buf = make([]byte, length)
			}
			if _, err := io.ReadFull(body, buf[:n]); err != nil {
				return err
			}
			part = bytes.NewReader(buf[:n])
		}
		res, err := c.s3.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: &to.Bucket, Key: &to.Key, UploadId: upload, PartNumber: &number, Body: part, ContentLength: &n,
		}, unsignedBody)
		if err != nil {
			return err
		}
		parts = append(parts, types.CompletedPart{ETag: res.ETag, PartNumber: aws.Int32(number)})
	}
	_, err := c.s3.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &to.Bucket, Key: &to.Key, UploadId: upload, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	return err
}

// Get opens an object for reading. The caller closes the reader. It fails with
// ErrNotFound if there is no such object.
func (c *Client) Get(ctx context.Context, from URI) (io.ReadCloser, Info, error) {
	res, err := c.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: &from.Bucket, Key: &from.Key})
	if err != nil {
		return nil, Info{}, named("read", from, err)
	}
	return res.Body, Info{
		Size: aws.ToInt64(res.ContentLength), Modified: aws.ToTime(res.LastModified).UTC(), ETag: aws.ToString(res.ETag), ContentType: aws.ToString(res.ContentType),
	}, nil
}

// GetFrom opens an object for reading from a byte offset to its end. At or
// behind the end there is nothing to read, which is no error.
func (c *Client) GetFrom(ctx context.Context, from URI, offset int64) (io.ReadCloser, error) {
	if offset <= 0 {
		body, _, err := c.Get(ctx, from)
		return body, err
	}
	res, err := c.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: &from.Bucket, Key: &from.Key, Range: aws.String(fmt.Sprintf("bytes=%d-", offset))})
	if codeOf(err) == "InvalidRange" {
		return http.NoBody, nil
	}
	if err != nil {
		return nil, named("read", from, err)
	}
	return res.Body, nil
}

// GetBytes reads an object that has at most limit bytes.
func (c *Client) GetBytes(ctx context.Context, from URI, limit int64) ([]byte, error) {
	body, _, err := c.Get(ctx, from)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err != nil {
		return nil, named("read", from, err)
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("cannot read %s: it is longer than %d bytes", from, limit)
	}
	return text, nil
}

// Head describes an object, or fails with ErrNotFound.
func (c *Client) Head(ctx context.Context, of URI) (Info, error) {
	res, err := c.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &of.Bucket, Key: &of.Key})
	if err != nil {
		return Info{}, named("look at", of, err)
	}
	return Info{
		Size: aws.ToInt64(res.ContentLength), Modified: aws.ToTime(res.LastModified).UTC(), ETag: aws.ToString(res.ETag), ContentType: aws.ToString(res.ContentType),
	}, nil
}

// Delete removes an object. One that is not there is no error.
func (c *Client) Delete(ctx context.Context, of URI) error {
	_, err := c.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &of.Bucket, Key: &of.Key})
	if err != nil && !(c.embedded && codeOf(err) == directoryNotEmpty) {
		return named("delete", of, err)
	}
	return nil
}

// unsignedBody leaves the body out of the signature, so that it is read once.
func unsignedBody(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
}

// optional returns nil for an empty text.
func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// codeOf returns S3's code for an error of the SDK, or "".
func codeOf(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return ""
}

// named says what could not be done with which object.
func named(what string, u URI, err error) error {
	switch codeOf(err) {
	case "NoSuchKey", "NoSuchBucket", "NotFound":
		err = fmt.Errorf("%w (%w)", ErrNotFound, err)
	case "AccessDenied", "Forbidden":
		err = fmt.Errorf("%w (%w)", ErrDenied, err)
	}
	return fmt.Errorf("cannot %s %s: %w", what, u, err)
}
