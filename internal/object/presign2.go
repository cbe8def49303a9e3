package object

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the older signature's
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"glaux/internal/access"
)

// Presigned URLs of the older form (AWSAccessKeyId, Expires, Signature in the
// query): what boto3 and the AWS CLI make for us-east-1 unless told otherwise,
// and what S3 accepts there. Nothing but presigned URLs is accepted in it.

// oldPresigned reports whether a query has the older form.
func oldPresigned(q url.Values) bool {
	return q.Has("AWSAccessKeyId") && q.Has("Signature") && q.Has("Expires") && !q.Has("X-Amz-Signature")
}

// oldSigned returns the query parameters that the older signature covers.
func oldSigned() []string {
	return []string{
		"accelerate", "acl", "cors", "defaultObjectAcl", "delete", "lifecycle", "location", "logging", "notification", "partNumber",
		"policy", "replication", "requestPayment", "response-cache-control", "response-content-disposition",
		"response-content-encoding", "response-content-language", "response-content-type", "response-expires", "restore",
		"select", "select-type", "storageClass", "tagging", "torrent", "uploadId", "uploads", "versionId", "versioning", "versions", "website",
	}
}

// oldSignature verifies a presigned URL of the older form and takes its own
// parameters out of query.
func oldSignature(g *Gateway, r *http.Request, query url.Values) (access.Caller, *failure) {
	id, expires, signature := query.Get("AWSAccessKeyId"), query.Get("Expires"), query.Get("Signature")
	token := query.Get("x-amz-security-token")
	until, err := strconv.ParseInt(expires, 10, 64)
	if err != nil {
		return access.Caller{}, fail("AccessDenied", "Invalid date (should be seconds since epoch): "+expires)
	}
	secret, who, _, err := g.cfg.Auth.Lookup(id, token)
	if err != nil {
		return access.Caller{}, refused(err, true)
	}
	if time.Now().After(time.Unix(until, 0)) {
		return access.Caller{}, fail("AccessDenied", "Request has expired")
	}
	amz, ok := amzHeaders(r, query)
	if !ok {
		return access.Caller{}, fail("InvalidRequest", "A header that begins with x-amz- is given twice.")
	}
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write([]byte(g.oldText(r, query, amz, expires)))
	if got, err := base64.StdEncoding.DecodeString(signature); err != nil || !hmac.Equal(got, mac.Sum(nil)) {
		return access.Caller{}, fail("SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. Check your key and signing method.")
	}
	for _, name := range []string{"AWSAccessKeyId", "Expires", "Signature"} {
		query.Del(name)
	}
	return who, nil
}

// amzHeaders returns the x-amz- headers of a request by their names in lower
// case, those included that SDKs move to the query. It reports false when one
// is given in two places, of which one could be signed and the other obeyed.
func amzHeaders(r *http.Request, query url.Values) (map[string]string, bool) {
	amz := map[string]string{}
	for name, values := range r.Header {
		if strings.HasPrefix(name, "X-Amz-") {
			amz[strings.ToLower(name)] = strings.Join(values, ",")
		}
	}
	for name, values := range query {
		if low := strings.ToLower(name); strings.HasPrefix(low, "x-amz-") {
			if _, twice := amz[low]; twice || len(values) > 1 {
				return nil, false
			}
			amz[low] = values[0]
		}
	}
	return amz, true
}

// oldText returns the text that the older signature is made over.
func (g *Gateway) oldText(r *http.Request, query url.Values, amz map[string]string, expires string) string {
	var b strings.Builder
	b.WriteString(r.Method + "\n" + r.Header.Get("Content-Md5") + "\n" + r.Header.Get("Content-Type") + "\n" + expires + "\n")
	names := make([]string, 0, len(amz))
	for name := range amz {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		b.WriteString(name + ":" + strings.TrimSpace(amz[name]) + "\n")
	}
	bucket, key, host := g.locate(r)
	if host != r.Host { // virtual-host style: the path is the key alone
		b.WriteString("/" + bucket)
		key = "/" + encodeKey(key)
		b.WriteString(key)
	} else {
		b.WriteString(r.URL.EscapedPath())
	}
	sep := "?"
	for _, name := range oldSigned() {
		values, ok := query[name]
		if !ok {
			continue
		}
		b.WriteString(sep + name)
		if sep = "&"; values[0] != "" {
			b.WriteString("=" + values[0])
		}
	}
	return b.String()
}
