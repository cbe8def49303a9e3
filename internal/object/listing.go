package object

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// listingMax bounds a listing that is rewritten: 1,000 keys of 1,024 bytes,
// every one escaped, and what stands around them.
const listingMax = 16 << 20

// isListing reports whether the reply to the request names keys, which clients
// may ask for URL-encoded.
func (t target) isListing() bool {
	switch t.action {
	case "s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads":
		return true
	}
	return false
}

// replyEncoded passes on a listing of the embedded server with its keys
// URL-encoded. The server ignores that wish; SDK for Java v1 decodes without
// looking, and every client needs it for keys that XML cannot hold.
func (c *call) replyEncoded(res *http.Response) *failure {
	text, err := io.ReadAll(io.LimitReader(res.Body, listingMax+1))
	if err != nil || len(text) > listingMax {
		return fail("ServiceUnavailable", "The object store cannot be reached. Please try again.").because(err)
	}
	text = encodeListing(text)
	h := c.w.Header()
	copyReply(h, res.Header)
	h.Set("Content-Length", strconv.Itoa(len(text)))
	c.rec.Status = res.StatusCode
	c.w.WriteHeader(res.StatusCode)
	n, _ := c.w.Write(text) // the client is gone if this fails
	c.rec.BytesOut = int64(n)
	return nil
}

// encodeListing URL-encodes the elements of a listing that hold keys or parts
// of keys, and says so in it.
func encodeListing(text []byte) []byte {
	var out bytes.Buffer
	out.Grow(len(text) + len(text)/8)
	root := !bytes.Contains(text, []byte("<EncodingType>")) // the next start tag is the root's, and says nothing yet
	for {
		open := bytes.IndexByte(text, '<')
		if open < 0 {
			break
		}
		end := bytes.IndexByte(text[open:], '>')
		if end < 0 {
			break
		}
		tag := text[open+1 : open+end]
		out.Write(text[:open+end+1])
		text = text[open+end+1:]
		if len(tag) == 0 || tag[0] == '/' || tag[0] == '?' || tag[0] == '!' || tag[len(tag)-1] == '/' {
			continue
		}
		if root {
			root = false
			out.WriteString("<EncodingType>url</EncodingType>")
			continue
		}
		if !holdsKey(string(tag)) && string(tag) != "EncodingType" {
			continue
		}
		value := text
		if i := bytes.IndexByte(text, '<'); i >= 0 {
			value = text[:i]
		}
		text = text[len(value):]
		if string(tag) == "EncodingType" {
			out.WriteString("url")
			continue
		}
		out.WriteString(encodeKey(unescape(string(value))))
	}
	out.Write(text)
	return out.Bytes()
}

// holdsKey reports whether S3 encodes the content of an element of a listing.
func holdsKey(element string) bool {
	switch element {
	case "Key", "Prefix", "Delimiter", "Marker", "NextMarker", "StartAfter", "KeyMarker", "NextKeyMarker":
		return true
	}
	return false
}

// unescape undoes the escapes of XML in the text of an element.
func unescape(text string) string {
	if !strings.Contains(text, "&") {
		return text
	}
	var plain string
	if err := xml.Unmarshal([]byte("<t>"+text+"</t>"), &plain); err != nil {
		return text
	}
	return plain
}
