package object

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	defaultRegion  = "us-east-1"
	defaultAccount = "000000000000"
)

// Upstream is the S3 store behind the gateway and the client: the embedded
// server (see Child.Upstream) or an external endpoint.
type Upstream struct {
	Endpoint  string // base URL, http or https, without a path; addressed path-style
	AccessKey string // access key id that requests are signed with
	Secret    string // its secret key
	Token     string // session token of temporary credentials; usually empty
	Region    string // us-east-1 if empty

	// Dial, if set, makes the connections instead of the network (the
	// embedded server's Unix socket).
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Embedded says that the upstream is the embedded server, whose
	// deviations from S3 the gateway mends.
	Embedded bool
}

// Validate reports what is missing or malformed.
func (u Upstream) Validate() error {
	_, err := u.base()
	if u.AccessKey == "" || u.Secret == "" {
		err = errors.Join(err, errors.New("cannot use an S3 endpoint without an access key and a secret"))
	}
	return err
}

// base returns the parsed endpoint.
func (u Upstream) base() (*url.URL, error) {
	base, err := url.Parse(u.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("cannot read the S3 endpoint: %w", err)
	}
	if base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.Path != "" && base.Path != "/" || base.RawQuery != "" {
		return nil, fmt.Errorf("cannot use the S3 endpoint %q: it is http:// or https://, a host and nothing behind it", u.Endpoint)
	}
	return base, nil
}

// region returns the region to sign for.
func (u Upstream) region() string {
	if u.Region == "" {
		return defaultRegion
	}
	return u.Region
}

// transport returns a connection pool for the upstream. Bodies pass as they
// are: it neither asks for compression nor undoes it.
func (u Upstream) transport() *http.Transport {
	dial := u.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	}
	return &http.Transport{
		DialContext:           dial,
		MaxIdleConns:          256,
		MaxIdleConnsPerHost:   256,
		IdleConnTimeout:       55 * time.Second,
		DisableCompression:    true,
		ForceAttemptHTTP2:     false,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		WriteBufferSize:       64 << 10,
		ReadBufferSize:        64 << 10,
	}
}
