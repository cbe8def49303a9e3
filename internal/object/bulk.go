package object

import (
	"bytes"
	"crypto/md5" //nolint:gosec // S3's Content-MD5
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"strconv"

	"glaux/internal/sigv4"
)

const (
	bulkBody = 4 << 20 // bytes of a bulk delete: 1,000 keys of 1,024 bytes, escaped
	bulkKeys = 1000    // S3's limit
	// directoryNotEmpty is what the embedded server says of a key that ends
	// in a slash and has others below it. On S3 such a key is nothing special.
	directoryNotEmpty = "ErrDirectoryNotEmpty"
)

// bulkObject names one object of a bulk delete.
type bulkObject struct {
	Key              string
	VersionID        string `xml:"VersionId,omitempty"`
	ETag             string `xml:",omitempty"`
	LastModifiedTime string `xml:",omitempty"`
	Size             string `xml:",omitempty"`
}

// bulkRequest is the document of a bulk delete.
type bulkRequest struct {
	XMLName xml.Name     `xml:"Delete"`
	Objects []bulkObject `xml:"Object"`
	Quiet   bool         `xml:",omitempty"`
}

// bulkDeleted reports one object that is gone.
type bulkDeleted struct {
	Key                   string
	VersionID             string `xml:"VersionId,omitempty"`
	DeleteMarker          string `xml:",omitempty"`
	DeleteMarkerVersionID string `xml:"DeleteMarkerVersionId,omitempty"`
}

// bulkError reports one object that is not.
type bulkError struct {
	Key       string
	VersionID string `xml:"VersionId,omitempty"`
	Code      string
	Message   string
}

// bulkResult answers a bulk delete.
type bulkResult struct {
	XMLName xml.Name      `xml:"http://s3.amazonaws.com/doc/2006-03-01/ DeleteResult"`
	Deleted []bulkDeleted `xml:"Deleted"`
	Errors  []bulkError   `xml:"Error"`
}

// deleteMany answers a bulk delete: every key is decided for itself, and the
// embedded server's deviations are mended.
func (c *call) deleteMany(h http.Header) *failure {
	req, f := c.readBulk()
	if f != nil {
		return f
	}
	var result bulkResult
	var forward []bulkObject
	asked := map[string]string{} // key as the upstream knows it → as the client wrote it
	for _, o := range req.Objects {
		key, ok := c.g.upstreamKey(o.Key)
		if !ok {
			key = o.Key
		}
		action := "s3:DeleteObject"
		if o.VersionID != "" {
			action = versioned(action)
		}
		f := c.allow(action, arn(c.t.bucket, key))
		if f == nil && bypasses(h) {
			f = c.allow("s3:BypassGovernanceRetention", arn(c.t.bucket, key))
		}
		if f != nil {
			if f.code != "AccessDenied" {
				return f
			}
			result.Errors = append(result.Errors, bulkError{o.Key, o.VersionID, f.code, "Access Denied"})
			continue
		}
		if !ok { // a key that cannot exist is gone already
			result.Deleted = append(result.Deleted, bulkDeleted{Key: o.Key, VersionID: o.VersionID})
			continue
		}
		asked[key] = o.Key
		o.Key = key
		forward = append(forward, o)
	}
	if len(forward) > 0 {
		answer, done, f := c.sendBulk(h, forward)
		if f != nil || done {
			return f
		}
		for _, d := range answer.Deleted {
			d.Key = asked[d.Key]
			result.Deleted = append(result.Deleted, d)
		}
		for _, e := range answer.Errors {
			e.Key = asked[e.Key]
			if c.g.cfg.Upstream.Embedded && e.Code == directoryNotEmpty {
				result.Deleted = append(result.Deleted, bulkDeleted{Key: e.Key, VersionID: e.VersionID})
				continue
			}
			result.Errors = append(result.Errors, e)
		}
	}
	if req.Quiet {
		result.Deleted = nil
	}
	text, err := xml.Marshal(result)
	if err != nil {
		return fail("InternalError", "We encountered an internal error. Please try again.").because(err)
	}
	text = append([]byte(xml.Header), text...)
	out := c.w.Header()
	out.Set("Content-Type", "application/xml")
	out.Set("Content-Length", strconv.Itoa(len(text)))
	c.rec.Status = http.StatusOK
	c.w.WriteHeader(http.StatusOK)
	n, _ := c.w.Write(text) // the client is gone if this fails
	c.rec.BytesOut = int64(n)
	return nil
}

// readBulk reads and checks the document of a bulk delete.
func (c *call) readBulk() (*bulkRequest, *failure) {
	malformed := fail("MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema")
	from := io.Reader(c.r.Body)
	if c.body != nil {
		from = c.body
	}
	text, err := io.ReadAll(io.LimitReader(from, bulkBody+1))
	if err != nil {
		return nil, readFailure(err)
	}
	if len(text) > bulkBody {
		return nil, malformed
	}
	if want := c.r.Header.Get("Content-Md5"); want != "" {
		sum := md5.Sum(text) //nolint:gosec // as above
		if want != base64.StdEncoding.EncodeToString(sum[:]) {
			return nil, fail("BadDigest", "The Content-MD5 you specified did not match what we received.")
		}
	}
	var req bulkRequest
	if err := xml.Unmarshal(text, &req); err != nil || len(req.Objects) == 0 || len(req.Objects) > bulkKeys {
		return nil, malformed
	}
	for _, o := range req.Objects {
		if o.Key == "" {
			return nil, malformed
		}
	}
	return &req, nil
}

// readFailure says why a body could not be read.
func readFailure(err error) *failure {
	if sigv4.ReasonOf(err) != sigv4.Unknown {
		return refused(err, false)
	}
	return fail("IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header.").because(err)
}

// sendBulk deletes the objects at the upstream. done says that the upstream's
// refusal of the whole has been passed on to the client.
func (c *call) sendBulk(h http.Header, objects []bulkObject) (*bulkResult, bool, *failure) {
	text, err := xml.Marshal(bulkRequest{Objects: objects})
	if err != nil {
		return nil, false, fail("InternalError", "We encountered an internal error. Please try again.").because(err)
	}
	for name := range h {
		if name == "Content-Encoding" || name == "X-Amz-Sdk-Checksum-Algorithm" || len(name) > 15 && name[:15] == "X-Amz-Checksum-" {
			h.Del(name) // about the client's document
		}
	}
	digest := md5.Sum(text) //nolint:gosec // as above
	h.Set("Content-Md5", base64.StdEncoding.EncodeToString(digest[:]))
	h.Set("Content-Type", "application/xml")
	sum := sha256.Sum256(text)
	res, f := c.send(http.MethodPost, c.t, h, &guarded{from: bytes.NewReader(text)}, int64(len(text)), hex.EncodeToString(sum[:]))
	if f != nil {
		return nil, false, f
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, true, c.reply(res)
	}
	answer, err := io.ReadAll(io.LimitReader(res.Body, 2*bulkBody))
	if err != nil {
		return nil, false, fail("ServiceUnavailable", "The object store cannot be reached. Please try again.").because(err)
	}
	var result struct { // with or without a name space
		Deleted []bulkDeleted `xml:"Deleted"`
		Errors  []bulkError   `xml:"Error"`
	}
	if err := xml.Unmarshal(answer, &result); err != nil {
		return nil, false, fail("InternalError", "We encountered an internal error. Please try again.").because(errors.Join(errors.New("cannot read the upstream's answer to a bulk delete"), err))
	}
	return &bulkResult{Deleted: result.Deleted, Errors: result.Errors}, false, nil
}
