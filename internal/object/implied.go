package object

import (
	"net/http"
	"strings"
)

// implied returns the further actions that the headers of a request ask for:
// what a header sets must be allowed like the request that would set it alone.
func implied(t target, h http.Header) []string {
	var actions []string
	need := func(action string, asked bool) {
		if asked {
			actions = append(actions, action)
		}
	}
	has := func(name string) bool { return h.Get(name) != "" }
	acl := has("X-Amz-Acl")
	for name := range h {
		acl = acl || strings.HasPrefix(name, "X-Amz-Grant-")
	}
	switch {
	case t.action == "s3:CreateBucket":
		need("s3:PutBucketAcl", acl)
		need("s3:PutBucketObjectLockConfiguration", has("X-Amz-Bucket-Object-Lock-Enabled"))
		need("s3:PutBucketOwnershipControls", has("X-Amz-Object-Ownership"))
	case t.action == "s3:PutObject" && t.sub != "uploadId":
		need("s3:PutObjectAcl", acl)
		need("s3:PutObjectTagging", has("X-Amz-Tagging"))
		need("s3:PutObjectRetention", has("X-Amz-Object-Lock-Mode") || has("X-Amz-Object-Lock-Retain-Until-Date"))
		need("s3:PutObjectLegalHold", has("X-Amz-Object-Lock-Legal-Hold"))
	}
	need("s3:BypassGovernanceRetention", bypasses(h))
	return actions
}

// bypasses reports whether a request asks to override a retention.
func bypasses(h http.Header) bool {
	return strings.EqualFold(h.Get("X-Amz-Bypass-Governance-Retention"), "true")
}

// clientKeys refuses encryption under keys that the client sends along, which
// the embedded server would pass over: the object would lie open, and reading
// it would need no key.
func (c *call) clientKeys(h http.Header) *failure {
	if !c.g.cfg.Upstream.Embedded {
		return nil
	}
	for name := range h {
		if strings.HasPrefix(name, "X-Amz-Server-Side-Encryption-Customer-") || strings.HasPrefix(name, "X-Amz-Copy-Source-Server-Side-Encryption-Customer-") {
			return fail("NotImplemented", "This store does not encrypt objects under keys of the client.")
		}
	}
	return nil
}
