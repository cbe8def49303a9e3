package object

import (
	"net"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
)

// bucketForm is what the name of a bucket looks like. The names of our own
// pages (/_glaux/…) do not.
var bucketForm = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// validBucket reports whether S3 allows the name.
func validBucket(name string) bool {
	return bucketForm.MatchString(name) && !strings.Contains(name, "..") && net.ParseIP(name) == nil
}

// Virtual reports whether a request names its bucket in its host: such a
// request is for the object store, whatever its path and form look like.
func (g *Gateway) Virtual(r *http.Request) bool {
	bucket, _, host := g.locate(r)
	return host != r.Host && validBucket(bucket)
}

// locate finds bucket and key of a request, path-style or virtual-host style,
// and the host without the bucket.
func (g *Gateway) locate(r *http.Request) (bucket, key, host string) {
	rest := strings.TrimPrefix(r.URL.Path, "/")
	host = r.Host
	name, port := host, ""
	if h, p, err := net.SplitHostPort(host); err == nil {
		name, port = h, ":"+p
	}
	name = strings.ToLower(name)
	if !strings.HasPrefix(host, "[") && net.ParseIP(name) == nil {
		for _, base := range g.hosts {
			before, ok := strings.CutSuffix(name, "."+base)
			if !ok {
				continue
			}
			before = strings.TrimSuffix("."+before, ".s3."+g.region) // both as if a dot stood in front,
			before = strings.TrimSuffix(before, ".s3")               // so that s3 alone is no bucket
			if before = strings.TrimPrefix(before, "."); before == "" {
				break
			}
			return before, rest, strings.TrimPrefix(name, before+".") + port
		}
	}
	bucket, key, _ = strings.Cut(rest, "/")
	return bucket, key, host
}

// internalName is a directory the embedded server keeps in every bucket.
const internalName = ".sgwtmp"

// plainKey returns the key under which the embedded server finds an object:
// its keys are paths, in which repeated slashes are one. Keys with a segment
// that a path cannot have ("." or "..") or that is the server's own have none.
func plainKey(key string) (string, bool) {
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "." || segment == ".." || segment == internalName || strings.ContainsRune(segment, 0) {
			return "", false
		}
	}
	clean := strings.TrimPrefix(path.Clean("/"+key), "/")
	if clean == "" {
		return "", false // slashes only
	}
	if strings.HasSuffix(key, "/") {
		clean += "/"
	}
	return clean, true
}

// upstreamKey returns the key under which the upstream finds an object, and
// whether it can have it at all. Segments that a path cannot have are refused
// for every upstream: one that took the request's path for a file's would
// reach another object, or another bucket, than was decided on.
func upstreamKey(key string, embedded bool) (string, bool) {
	if embedded {
		return plainKey(key)
	}
	return key, URI{Key: key}.Possible()
}

// Possible reports whether an object, or others below it, can have the key, in
// whichever store.
func (u URI) Possible() bool {
	for segment := range strings.SplitSeq(u.Key, "/") {
		if segment == "." || segment == ".." {
			return false
		}
	}
	return true
}

func (g *Gateway) upstreamKey(key string) (string, bool) {
	return upstreamKey(key, g.cfg.Upstream.Embedded)
}

// copySource reads X-Amz-Copy-Source: bucket/key, perhaps with a slash in
// front and ?versionId=… behind, URL-encoded.
func copySource(header string) (bucket, key, version string, ok bool) {
	source, version, _ := strings.Cut(header, "?versionId=")
	source, err := url.PathUnescape(source)
	if err != nil {
		return "", "", "", false
	}
	bucket, key, ok = strings.Cut(strings.TrimPrefix(source, "/"), "/")
	return bucket, key, version, ok && key != "" && validBucket(bucket)
}

// encodeKey encodes a path as S3's signatures do: everything but unreserved
// characters and slashes.
func encodeKey(key string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	b.Grow(len(key))
	for i := range len(key) {
		switch c := key[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == '~', c == '/':
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		}
	}
	return b.String()
}
