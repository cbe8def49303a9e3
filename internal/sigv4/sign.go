package sigv4

import (
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Credentials sign requests. Token is empty for long-lived keys.
type Credentials struct{ AccessKeyID, SecretAccessKey, Token string }

// Sign signs r in its headers for the service and region, at the present
// time. payload is the hex SHA-256 of the body or, for S3, one of the values
// that are not a hash. It replaces X-Amz-Date, X-Amz-Content-Sha256,
// X-Amz-Security-Token and Authorization. Host and every X-Amz- and
// Content- header that r has by now are signed, except Content-Length.
func (k *Keys) Sign(r *http.Request, cred Credentials, service, region, payload string) {
	now := time.Now().UTC()
	amzDate := now.Format(isoBasic)
	h := r.Header
	h.Del("Authorization")
	h.Set("X-Amz-Date", amzDate)
	h.Del("X-Amz-Security-Token")
	if cred.Token != "" {
		h.Set("X-Amz-Security-Token", cred.Token)
	}
	if service == S3 {
		h.Set("X-Amz-Content-Sha256", payload)
	}
	headers := make([]string, 1, 8)
	headers[0] = "host"
	for name := range h {
		if strings.HasPrefix(name, "X-Amz-") || (strings.HasPrefix(name, "Content-") && name != "Content-Length") {
			headers = append(headers, strings.ToLower(name))
		}
	}
	slices.Sort(headers)

	date := amzDate[:8]
	key := k.key(scope{cred.SecretAccessKey, date, region, service})
	c := k.scratches.Get().(*scratch) //nolint:forcetypeassert // the pool holds nothing else
	defer k.scratches.Put(c)
	c.buf = c.appendCanonical(c.buf[:0], r, service, headers, payload)
	end := len(c.buf)
	c.buf = appendStringToSign(c.buf, amzDate, date, region, service, c.buf)
	sum := mac(key[:], c.buf[end:])
	h.Set("Authorization", Algorithm+" Credential="+cred.AccessKeyID+"/"+date+"/"+region+"/"+service+"/"+terminator+
		", SignedHeaders="+strings.Join(headers, ";")+", Signature="+hex.EncodeToString(sum[:]))
}
