package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// S3 is the signing name of the one service whose paths are encoded once.
const S3 = "s3"

// scratch holds the buffers of one canonical request.
type scratch struct {
	buf   []byte
	pairs [][2]string
}

// newScratches makes the pool of a Keys.
func newScratches() *sync.Pool {
	return &sync.Pool{New: func() any { return &scratch{buf: make([]byte, 0, 2048)} }}
}

// appendCanonical appends the canonical request: method, path, query without
// the signature itself, signed headers and payload hash.
func (c *scratch) appendCanonical(b []byte, r *http.Request, service string, headers []string, payload string) []byte {
	b = append(b, r.Method...)
	b = append(b, '\n')
	b = appendPath(b, r, service)
	b = append(b, '\n')
	b = c.appendQuery(b, r.URL.RawQuery)
	b = append(b, '\n')
	for _, name := range headers {
		b = append(b, name...)
		b = append(b, ':')
		b = appendHeader(b, r, name)
		b = append(b, '\n')
	}
	b = append(b, '\n')
	for i, name := range headers {
		if i > 0 {
			b = append(b, ';')
		}
		b = append(b, name...)
	}
	b = append(b, '\n')
	return append(b, payload...)
}

// appendPath appends the canonical path. S3 encodes the path once, whatever
// the client sent on the wire, and keeps every slash and dot. Other services
// encode what is on the wire once more, after dot segments and empty segments
// have been taken out.
func appendPath(b []byte, r *http.Request, service string) []byte {
	if service == S3 {
		if r.URL.Path == "" {
			return append(b, '/')
		}
		return appendEncoded(b, r.URL.Path, true)
	}
	path := r.URL.EscapedPath()
	if path == "" || path == "/" {
		return append(b, '/')
	}
	return appendEncoded(b, normalized(path), true)
}

// normalized removes empty and dot segments; a final slash stays.
func normalized(path string) string {
	if !strings.Contains(path, "//") && !strings.Contains(path, "/.") {
		return path
	}
	var out []string
	for part := range strings.SplitSeq(path, "/") {
		switch part {
		case "", ".":
		case "..":
			if len(out) > 0 {
				out = out[:len(out)-1]
			}
		default:
			out = append(out, part)
		}
	}
	clean := "/" + strings.Join(out, "/")
	if len(out) > 0 && strings.HasSuffix(path, "/") {
		clean += "/"
	}
	return clean
}

// appendQuery appends the canonical query: every parameter but the signature,
// encoded, sorted by name and then by value.
func (c *scratch) appendQuery(b []byte, raw string) []byte {
	if raw == "" {
		return b
	}
	c.pairs = c.pairs[:0]
	for raw != "" {
		var part string
		part, raw, _ = strings.Cut(raw, "&")
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		if name == "X-Amz-Signature" {
			continue
		}
		c.pairs = append(c.pairs, [2]string{encoded(name), encoded(value)})
	}
	slices.SortStableFunc(c.pairs, func(x, y [2]string) int {
		if n := strings.Compare(x[0], y[0]); n != 0 {
			return n
		}
		return strings.Compare(x[1], y[1])
	})
	for i, p := range c.pairs {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(b, p[0]...)
		b = append(b, '=')
		b = append(b, p[1]...)
	}
	clear(c.pairs)
	return b
}

// encoded returns one part of a query, decoded and encoded again by the rules
// of the signature. A plus stands for a space; a percent sign that starts no
// escape stands for itself.
func encoded(part string) string {
	plain := true
	for i := range len(part) {
		if !unreserved(part[i]) {
			plain = false
			break
		}
	}
	if plain {
		return part
	}
	decoded := make([]byte, 0, len(part))
	for i := 0; i < len(part); i++ {
		switch c := part[i]; {
		case c == '+':
			decoded = append(decoded, ' ')
		case c == '%' && i+2 < len(part) && isHex(part[i+1]) && isHex(part[i+2]):
			decoded = append(decoded, unhex(part[i+1])<<4|unhex(part[i+2]))
			i += 2
		default:
			decoded = append(decoded, c)
		}
	}
	return string(appendEncoded(make([]byte, 0, len(decoded)+16), string(decoded), false))
}

// appendEncoded appends text with every byte but the unreserved ones (and, in
// a path, slashes) as %XX in upper case.
func appendEncoded(b []byte, text string, path bool) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(text) {
		c := text[i]
		if unreserved(c) || (path && c == '/') {
			b = append(b, c)
		} else {
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return b
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.' || c == '~'
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c >= 'a':
		return c - 'a' + 10
	}
	return c - 'A' + 10
}

// appendHeader appends the canonical value of a header: all values joined by
// commas, each trimmed and with runs of spaces made one. What net/http takes
// out of the header map is put back.
func appendHeader(b []byte, r *http.Request, name string) []byte {
	if name == "host" {
		if r.Host != "" {
			return append(b, r.Host...)
		}
		return append(b, r.URL.Host...)
	}
	values, ok := r.Header[canonicalName(name)]
	if !ok {
		switch name {
		case "content-length":
			return strconv.AppendInt(b, max(r.ContentLength, 0), 10)
		case "transfer-encoding":
			return append(b, strings.Join(r.TransferEncoding, ",")...)
		}
		values = r.Header[name]
	}
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendCollapsed(b, strings.Trim(v, " \t"))
	}
	return b
}

// appendCollapsed appends text with every run of spaces made one space.
func appendCollapsed(b []byte, text string) []byte {
	if !strings.Contains(text, "  ") {
		return append(b, text...)
	}
	for i := range len(text) {
		if text[i] != ' ' || text[i-1] != ' ' { // text is trimmed, so i > 0 at a space
			b = append(b, text[i])
		}
	}
	return b
}

// canonicalName is the spelling net/http files a header under. The frequent
// names are listed because the general way allocates.
func canonicalName(name string) string {
	switch name {
	case "amz-sdk-invocation-id":
		return "Amz-Sdk-Invocation-Id"
	case "amz-sdk-request":
		return "Amz-Sdk-Request"
	case "content-length":
		return "Content-Length"
	case "content-type":
		return "Content-Type"
	case "x-amz-content-sha256":
		return "X-Amz-Content-Sha256"
	case "x-amz-date":
		return "X-Amz-Date"
	case "x-amz-security-token":
		return "X-Amz-Security-Token"
	case "x-amz-target":
		return "X-Amz-Target"
	}
	return textproto.CanonicalMIMEHeaderKey(name)
}

// appendStringToSign appends what the signing key signs for a canonical request.
func appendStringToSign(b []byte, amzDate, date, region, service string, canonical []byte) []byte {
	sum := sha256.Sum256(canonical)
	b = append(b, Algorithm+"\n"...)
	b = append(b, amzDate...)
	b = append(b, '\n')
	b = append(b, date...)
	b = append(b, '/')
	b = append(b, region...)
	b = append(b, '/')
	b = append(b, service...)
	b = append(b, '/')
	b = append(b, terminator...)
	b = append(b, '\n')
	return hex.AppendEncode(b, sum[:])
}
