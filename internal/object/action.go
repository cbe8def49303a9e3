package object

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// subresource is a query parameter that makes a request mean something else
// than its method says.
type subresource struct {
	name    string
	actions map[string]string // IAM action by method; a method that is absent is refused
}

// on makes an action table: method, action, method, action, …
func on(pairs ...string) map[string]string {
	m := make(map[string]string, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

// bucketSubresources returns what a bucket has. A parameter in no list of this
// file never reaches the upstream, so that none can mean there what was not
// decided here.
func bucketSubresources() []subresource {
	get, put, del, post := http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodPost
	return []subresource{
		{"accelerate", on(get, "s3:GetAccelerateConfiguration", put, "s3:PutAccelerateConfiguration")},
		{"acl", on(get, "s3:GetBucketAcl", put, "s3:PutBucketAcl")},
		{"analytics", on(get, "s3:GetAnalyticsConfiguration", put, "s3:PutAnalyticsConfiguration", del, "s3:PutAnalyticsConfiguration")},
		{"cors", on(get, "s3:GetBucketCORS", put, "s3:PutBucketCORS", del, "s3:PutBucketCORS")},
		{"delete", on(post, "s3:DeleteObject")}, // decided per key
		{"encryption", on(get, "s3:GetEncryptionConfiguration", put, "s3:PutEncryptionConfiguration", del, "s3:PutEncryptionConfiguration")},
		{"intelligent-tiering", on(get, "s3:GetIntelligentTieringConfiguration", put, "s3:PutIntelligentTieringConfiguration", del, "s3:PutIntelligentTieringConfiguration")},
		{"inventory", on(get, "s3:GetInventoryConfiguration", put, "s3:PutInventoryConfiguration", del, "s3:PutInventoryConfiguration")},
		{"lifecycle", on(get, "s3:GetLifecycleConfiguration", put, "s3:PutLifecycleConfiguration", del, "s3:PutLifecycleConfiguration")},
		{"location", on(get, "s3:GetBucketLocation")},
		{"logging", on(get, "s3:GetBucketLogging", put, "s3:PutBucketLogging")},
		{"metrics", on(get, "s3:GetMetricsConfiguration", put, "s3:PutMetricsConfiguration", del, "s3:PutMetricsConfiguration")},
		{"notification", on(get, "s3:GetBucketNotification", put, "s3:PutBucketNotification")},
		{"object-lock", on(get, "s3:GetBucketObjectLockConfiguration", put, "s3:PutBucketObjectLockConfiguration")},
		{"ownershipControls", on(get, "s3:GetBucketOwnershipControls", put, "s3:PutBucketOwnershipControls", del, "s3:PutBucketOwnershipControls")},
		{"policy", on(get, "s3:GetBucketPolicy", put, "s3:PutBucketPolicy", del, "s3:DeleteBucketPolicy")},
		{"policyStatus", on(get, "s3:GetBucketPolicyStatus")},
		{"publicAccessBlock", on(get, "s3:GetBucketPublicAccessBlock", put, "s3:PutBucketPublicAccessBlock", del, "s3:PutBucketPublicAccessBlock")},
		{"replication", on(get, "s3:GetReplicationConfiguration", put, "s3:PutReplicationConfiguration", del, "s3:PutReplicationConfiguration")},
		{"requestPayment", on(get, "s3:GetBucketRequestPayment", put, "s3:PutBucketRequestPayment")},
		{"tagging", on(get, "s3:GetBucketTagging", put, "s3:PutBucketTagging", del, "s3:PutBucketTagging")},
		{"uploads", on(get, "s3:ListBucketMultipartUploads")},
		{"versioning", on(get, "s3:GetBucketVersioning", put, "s3:PutBucketVersioning")},
		{"versions", on(get, "s3:ListBucketVersions")},
		{"website", on(get, "s3:GetBucketWebsite", put, "s3:PutBucketWebsite", del, "s3:DeleteBucketWebsite")},
	}
}

// objectSubresources returns what an object has.
func objectSubresources() []subresource {
	get, put, del, post := http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodPost
	return []subresource{
		{"acl", on(get, "s3:GetObjectAcl", put, "s3:PutObjectAcl")},
		{"attributes", on(get, "s3:GetObjectAttributes")},
		{"legal-hold", on(get, "s3:GetObjectLegalHold", put, "s3:PutObjectLegalHold")},
		{"restore", on(post, "s3:RestoreObject")},
		{"retention", on(get, "s3:GetObjectRetention", put, "s3:PutObjectRetention")},
		{"select", on(post, "s3:GetObject")},
		{"tagging", on(get, "s3:GetObjectTagging", put, "s3:PutObjectTagging", del, "s3:DeleteObjectTagging")},
		{"uploadId", on(get, "s3:ListMultipartUploadParts", put, "s3:PutObject", post, "s3:PutObject", del, "s3:AbortMultipartUpload")},
		{"uploads", on(post, "s3:PutObject")},
	}
}

// parameters returns the query parameters that choose nothing and are passed
// on. Any other is dropped, as S3 does with what it does not know.
func parameters() []string {
	return []string{
		"bucket-region", "continuation-token", "delimiter", "encoding-type", "fetch-owner", "id", "key-marker",
		"list-type", "marker", "max-buckets", "max-keys", "max-parts", "max-uploads", "part-number-marker",
		"partNumber", "prefix", "response-cache-control", "response-content-disposition",
		"response-content-encoding", "response-content-language", "response-content-type", "response-expires",
		"select-type", "start-after", "upload-id-marker", "version-id-marker", "versionId", "x-id",
	}
}

// rules are the tables above in the form requests are looked up in.
type rules struct {
	bucket, object map[string]map[string]string
	parameters     map[string]bool
}

func newRules() rules {
	r := rules{map[string]map[string]string{}, map[string]map[string]string{}, map[string]bool{}}
	for _, s := range bucketSubresources() {
		r.bucket[s.name] = s.actions
	}
	for _, s := range objectSubresources() {
		r.object[s.name] = s.actions
	}
	for _, p := range parameters() {
		r.parameters[p] = true
	}
	return r
}

// target is what a request is about.
type target struct {
	bucket, key string
	sub         string // the subresource; empty if none
	action      string // IAM action
	query       url.Values
}

// resource returns the ARN the action is decided on.
func (t target) resource() string { return arn(t.bucket, t.key) }

// arn names a bucket, an object, or, without a bucket, everything.
func arn(bucket, key string) string {
	switch {
	case bucket == "":
		return "*"
	case key == "":
		return "arn:aws:s3:::" + bucket
	}
	return "arn:aws:s3:::" + bucket + "/" + key
}

// classify finds the IAM action of a request on bucket and key and drops the
// query parameters that have no meaning.
func (r rules) classify(method, bucket, key string, query url.Values) (target, *failure) {
	t := target{bucket: bucket, key: key, query: url.Values{}}
	table := r.bucket
	switch {
	case bucket == "" || method == http.MethodHead:
		table = nil // a HEAD is about the thing itself, whatever its query says
	case key != "":
		table = r.object
	}
	var subs []string
	for name, values := range query {
		switch {
		case table[name] != nil:
			subs = append(subs, name)
			t.query[name] = values[:1]
		case r.parameters[name]:
			t.query[name] = values[:1]
		}
	}
	if len(subs) > 1 {
		slices.Sort(subs)
		return t, fail("InvalidArgument", "Conflicting query string parameters: "+strings.Join(subs, ", "))
	}
	refused := fail("MethodNotAllowed", "The specified method is not allowed against this resource.")
	if len(subs) == 1 {
		t.sub = subs[0]
		if t.sub == "uploadId" && t.query.Get("uploadId") == "" {
			// Some stores take it for a request without the parameter, which
			// is another action.
			return t, fail("NoSuchUpload", "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.")
		}
		if t.action = table[t.sub][method]; t.action == "" {
			return t, refused
		}
	} else if t.action = plainAction(method, bucket, key); t.action == "" {
		return t, refused
	}
	if t.query.Get("versionId") != "" {
		t.action = versioned(t.action)
	}
	return t, nil
}

// plainAction is the action of a request without a subresource.
func plainAction(method, bucket, key string) string {
	switch {
	case bucket == "":
		return on(http.MethodGet, "s3:ListAllMyBuckets")[method]
	case key == "":
		return on(http.MethodGet, "s3:ListBucket", http.MethodHead, "s3:ListBucket",
			http.MethodPut, "s3:CreateBucket", http.MethodDelete, "s3:DeleteBucket")[method]
	}
	return on(http.MethodGet, "s3:GetObject", http.MethodHead, "s3:GetObject",
		http.MethodPut, "s3:PutObject", http.MethodDelete, "s3:DeleteObject")[method]
}

// versioned is the action for one version of an object, where IAM tells the
// two apart.
func versioned(action string) string {
	switch action {
	case "s3:GetObject", "s3:DeleteObject", "s3:GetObjectTagging", "s3:PutObjectTagging", "s3:DeleteObjectTagging",
		"s3:GetObjectAcl", "s3:PutObjectAcl", "s3:GetObjectAttributes":
		return strings.Replace(action, "Object", "ObjectVersion", 1)
	}
	return action
}
