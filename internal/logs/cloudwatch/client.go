// Package cloudwatch appends events to CloudWatch Logs elsewhere: AWS's, or
// whatever speaks the same. It does for such a place what logs.Store does for
// the own one.
package cloudwatch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/smithy-go"

	"glaux/internal/logs"
)

// Config says where the other place is and who we are there.
type Config struct {
	Endpoint  string // base URL, http or https
	Region    string // that signatures name
	AccessKey string
	SecretKey string
	// Dir holds the marks, which the other place has no room for: a file a
	// stream. It is made when missing.
	Dir string
	Log *slog.Logger
}

// Client appends events. It is safe for concurrent use; appends to one stream
// are the caller's to order.
type Client struct {
	api       *cloudwatchlogs.Client
	transport *http.Transport
	dir       string
	log       *slog.Logger
}

const (
	// tries is how often a request is sent, with growing pauses; a longer
	// outage is for whoever appends to sit out.
	tries = 3
	pause = time.Second
	// request is how long one may take.
	request = 30 * time.Second
	// oldMark is when a mark is no longer of use: its session has ended, and
	// with it what could be sent again.
	oldMark = 90 * 24 * time.Hour
	// spread is below the day that one batch may span.
	spread = 23 * time.Hour
)

// Open returns a client and forgets marks that nobody needs any more.
func Open(c Config) (*Client, error) {
	if u, err := url.Parse(c.Endpoint); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("cannot use a CloudWatch Logs endpoint %q: it must be an http or https URL", c.Endpoint)
	}
	if c.AccessKey == "" || c.SecretKey == "" {
		return nil, errors.New("cannot use a CloudWatch Logs endpoint without an access key and a secret")
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the directory of log marks: %w", err)
	}
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("cannot read the directory of log marks: %w", err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > oldMark {
			os.Remove(filepath.Join(c.Dir, e.Name()))
		}
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 8, IdleConnTimeout: time.Minute,
		TLSHandshakeTimeout: request, ResponseHeaderTimeout: request,
	}
	keys := aws.Credentials{AccessKeyID: c.AccessKey, SecretAccessKey: c.SecretKey}
	api := cloudwatchlogs.New(cloudwatchlogs.Options{
		BaseEndpoint: &c.Endpoint, Region: c.Region,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return keys, nil }),
		HTTPClient:  &http.Client{Transport: transport, Timeout: request},
		Retryer:     retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = tries, pause }),
	})
	return &Client{api: api, transport: transport, dir: c.Dir, log: c.Log}, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Append adds events to a stream and makes group and stream when they are
// missing, as logs.Store does. The mark is kept once all of them have been
// taken: an append that failed may have arrived in part, so that doing it again
// repeats events. What the other place rejects as too old or too new is lost,
// and said in the log. An error that wraps logs.ErrRefused is not mended by
// trying again.
func (c *Client) Append(ctx context.Context, group, stream string, events []logs.Event, mark string) error {
	events = slices.Clone(logs.Fit(events))
	slices.SortStableFunc(events, func(a, b logs.Event) int { return a.Time.Compare(b.Time) })
	for len(events) > 0 {
		n := batchLen(events)
		if err := c.put(ctx, group, stream, events[:n]); err != nil {
			return err
		}
		events = events[n:]
	}
	if mark == "" {
		return nil
	}
	if err := c.keep(group, stream, mark); err != nil {
		return fmt.Errorf("cannot keep the mark of log stream %q: %w", stream, err)
	}
	return nil
}

// batchLen is how many of the events, which are in order, fit into one batch.
func batchLen(events []logs.Event) int {
	size := 0
	for i := range events {
		size += len(events[i].Message) + logs.EventOverhead
		if i == logs.MaxBatch || i > 0 && (size > logs.MaxBatchBytes || events[i].Time.Sub(events[0].Time) > spread) {
			return i
		}
	}
	return len(events)
}

// put sends one batch, and makes group and stream if need be.
func (c *Client) put(ctx context.Context, group, stream string, events []logs.Event) error {
	in := &cloudwatchlogs.PutLogEventsInput{LogGroupName: &group, LogStreamName: &stream, LogEvents: make([]types.InputLogEvent, len(events))}
	for i := range events {
		in.LogEvents[i] = types.InputLogEvent{Timestamp: aws.Int64(events[i].Time.UnixMilli()), Message: &events[i].Message}
	}
	out, err := c.api.PutLogEvents(ctx, in)
	if _, missing := errors.AsType[*types.ResourceNotFoundException](err); missing {
		if err = c.create(ctx, group, stream); err == nil {
			out, err = c.api.PutLogEvents(ctx, in)
		}
	}
	if err != nil {
		return failed(err, group, stream)
	}
	if r := out.RejectedLogEventsInfo; r != nil {
		lost := int(max(aws.ToInt32(r.TooOldLogEventEndIndex), aws.ToInt32(r.ExpiredLogEventEndIndex)))
		if r.TooNewLogEventStartIndex != nil {
			lost += len(events) - int(*r.TooNewLogEventStartIndex)
		}
		c.log.Warn("log events were rejected as too old or too new", "group", group, "stream", stream, "lost", lost, "of", len(events))
	}
	return nil
}

// EnsureGroup makes a group unless it is there.
func (c *Client) EnsureGroup(ctx context.Context, group string) error {
	if err := c.createGroup(ctx, group); err != nil {
		return failed(err, group, "")
	}
	return nil
}

func (c *Client) createGroup(ctx context.Context, group string) error {
	_, err := c.api.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &group})
	if _, exists := errors.AsType[*types.ResourceAlreadyExistsException](err); err != nil && !exists {
		return err
	}
	return nil
}

// create makes the group and the stream; both may be there.
func (c *Client) create(ctx context.Context, group, stream string) error {
	if err := c.createGroup(ctx, group); err != nil {
		return err
	}
	_, err := c.api.CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: &group, LogStreamName: &stream})
	if _, exists := errors.AsType[*types.ResourceAlreadyExistsException](err); err != nil && !exists {
		return err
	}
	return nil
}

// failed says what could not be done, and whether it ever can.
func failed(err error, group, stream string) error {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		switch api.ErrorCode() {
		case "InvalidParameterException", "ValidationException", "OperationAbortedException":
			err = errors.Join(logs.ErrRefused, err)
		}
	}
	return fmt.Errorf("cannot append to log stream %q of group %q: %w", stream, group, err)
}

// file is where a stream's mark lies.
func (c *Client) file(group, stream string) string {
	sum := sha256.Sum256([]byte(group + "\x00" + stream))
	return filepath.Join(c.dir, hex.EncodeToString(sum[:16]))
}

// Mark returns the mark that was appended to the stream last; empty when there
// is none.
func (c *Client) Mark(_ context.Context, group, stream string) (string, error) {
	text, err := os.ReadFile(c.file(group, stream))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("cannot read the mark of log stream %q: %w", stream, err)
	}
	return string(text), nil
}

// keep replaces a mark atomically.
func (c *Client) keep(group, stream, mark string) error {
	f, err := os.CreateTemp(c.dir, ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // nothing is there after the rename
	_, err = f.WriteString(mark)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), c.file(group, stream))
}
