package athenaapi

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"glaux/internal/access"
	"glaux/internal/awsapi"
	"glaux/internal/ident"
	"glaux/internal/session"
	"glaux/internal/store/storetest"
	"glaux/internal/workgroup"
)

const (
	account = "000000000000"
	role    = "arn:aws:iam::000000000000:role/spark"
)

// anyone lets everybody in as root and allows everything.
type anyone struct{}

func (anyone) Authenticate(*http.Request, []byte, string) (access.Caller, error) {
	return access.Caller{Account: account, ARN: "arn:aws:iam::000000000000:root", UserID: account}, nil
}

func (anyone) Decide(context.Context, access.Caller, string, string) error { return nil }

// client sends requests to the operations on workgroups.
type client struct {
	dispatcher *awsapi.JSON
	store      *storetest.Memory
}

func newClient(tb testing.TB, workgroups workgroup.Store, defaults bool) *client {
	tb.Helper()
	c := &client{}
	if workgroups == nil {
		c.store = storetest.NewMemory()
		workgroups = c.store
	}
	home := ident.Home{Partition: "aws", Region: "us-east-1", Account: account}
	pages := ident.NewPages([]byte("0123456789abcdef"))
	api := &API{Home: home, Pages: pages, Workgroups: workgroup.New(workgroups, anyone{}, home, pages)}
	if defaults {
		if err := workgroup.CreateDefaults(tb.Context(), workgroups, workgroup.Defaults(account, "s3://results", role)); err != nil {
			tb.Fatal(err)
		}
	}
	rows, err := awsapi.Table(awsapi.Athena, api.workgroupHandlers())
	if err != nil {
		tb.Fatal(err)
	}
	c.dispatcher, err = awsapi.NewJSON(rows, awsapi.Options{Authenticator: anyone{}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// call sends one request and returns status and body.
func (c *client) call(tb testing.TB, operation, body string) (int, string) {
	tb.Helper()
	r := httptest.NewRequestWithContext(tb.Context(), http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonAthena."+operation)
	w := httptest.NewRecorder()
	c.dispatcher.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// want sends one request and fails unless the reply is as wanted: JSON is
// compared by meaning, not by the order of members.
func (c *client) want(t *testing.T, operation, body string, status int, reply string) {
	t.Helper()
	code, got := c.call(t, operation, body)
	if code != status || canonical(t, got) != canonical(t, reply) {
		t.Errorf("%s %s\n got %d %s\nwant %d %s", operation, body, code, got, status, reply)
	}
}

func canonical(t *testing.T, text string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("cannot read %q: %v", text, err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// refusal is the body of an InvalidRequestException.
func refusal(message string) string {
	b, _ := json.Marshal(map[string]string{
		"__type": "InvalidRequestException", "AthenaErrorCode": "INVALID_INPUT", "ErrorCode": "INVALID_INPUT", "Message": message,
	})
	return string(b)
}

// everything is a configuration with every member that a Spark workgroup reads back.
const everything = `{
	"AdditionalConfiguration": "{\"a\":1}",
	"BytesScannedCutoffPerQuery": 10000000,
	"CustomerContentEncryptionConfiguration": {"KmsKey": "arn:aws:kms:us-east-1:000000000000:key/c"},
	"EnableMinimumEncryptionConfiguration": true,
	"EnforceWorkGroupConfiguration": true,
	"EngineConfiguration": {
		"AdditionalConfigs": {"x": "y"}, "CoordinatorDpuSize": 1, "DefaultExecutorDpuSize": 1, "MaxConcurrentDpus": 20,
		"SparkProperties": {"spark.a": "b"}, "Classifications": [{"Name": "spark-defaults", "Properties": {"spark.c": "d"}}]
	},
	"EngineVersion": {"SelectedEngineVersion": "PySpark engine version 3", "EffectiveEngineVersion": "PySpark engine version 3"},
	"ExecutionRole": "` + role + `",
	"IdentityCenterConfiguration": {"EnableIdentityCenter": false, "IdentityCenterInstanceArn": "arn:aws:sso:::instance/ssoins-1234567890abcdef"},
	"ManagedQueryResultsConfiguration": {"Enabled": false, "EncryptionConfiguration": {"KmsKey": "arn:aws:kms:us-east-1:000000000000:key/m"}},
	"MonitoringConfiguration": {
		"CloudWatchLoggingConfiguration": {"Enabled": true, "LogGroup": "/team/logs", "LogStreamNamePrefix": "p", "LogTypes": {"SPARK_DRIVER": [], "SPARK_EXECUTOR": ["STDOUT", "STDERR"]}},
		"ManagedLoggingConfiguration": {"Enabled": true, "KmsKey": "arn:aws:kms:us-east-1:000000000000:key/l"},
		"S3LoggingConfiguration": {"Enabled": true, "KmsKey": "arn:aws:kms:us-east-1:000000000000:key/s", "LogLocation": "s3://logs/here"}
	},
	"PublishCloudWatchMetricsEnabled": true,
	"QueryResultsS3AccessGrantsConfiguration": {"AuthenticationType": "DIRECTORY_IDENTITY", "CreateUserLevelPrefix": true, "EnableS3AccessGrants": true},
	"RequesterPaysEnabled": true,
	"ResultConfiguration": {
		"AclConfiguration": {"S3AclOption": "BUCKET_OWNER_FULL_CONTROL"}, "ExpectedBucketOwner": "000000000000",
		"EncryptionConfiguration": {"EncryptionOption": "SSE_KMS", "KmsKey": "arn:aws:kms:us-east-1:000000000000:key/r"}, "OutputLocation": "s3://results/w/"
	}
}`

// bare is the configuration that GetWorkGroup shows when nothing was set.
const bare = `"EnableMinimumEncryptionConfiguration":false,"EnforceWorkGroupConfiguration":false,"PublishCloudWatchMetricsEnabled":false,
	"RequesterPaysEnabled":false,"ResultConfiguration":{},"EngineVersion":{"EffectiveEngineVersion":"Athena engine version 3","SelectedEngineVersion":"AUTO"}`

func TestWorkGroupReadBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // time stands still at 2000-01-01
		c := newClient(t, nil, false)
		c.want(t, "CreateWorkGroup", `{"Name":"bare"}`, 200, `{}`)
		c.want(t, "GetWorkGroup", `{"WorkGroup":"bare"}`, 200,
			`{"WorkGroup":{"Name":"bare","State":"ENABLED","CreationTime":946684800,"Configuration":{`+bare+`}}}`)
		c.want(t, "CreateWorkGroup", `{"Name":"full","Description":"all of it","Configuration":`+everything+`,"Tags":[{"Key":"k","Value":"v"},{"Key":"j"}]}`, 200, `{}`)
		c.want(t, "GetWorkGroup", `{"WorkGroup":"full"}`, 200,
			`{"WorkGroup":{"Name":"full","State":"ENABLED","Description":"all of it","CreationTime":946684800,"Configuration":`+everything+`}}`)
		c.want(t, "ListTagsForResource", `{"ResourceARN":"arn:aws:athena:us-east-1:000000000000:workgroup/full"}`, 200,
			`{"Tags":[{"Key":"j","Value":""},{"Key":"k","Value":"v"}]}`)
		c.want(t, "ListWorkGroups", `{}`, 200, `{"WorkGroups":[
			{"Name":"bare","State":"ENABLED","Description":"","CreationTime":946684800,"EngineVersion":{"SelectedEngineVersion":"AUTO","EffectiveEngineVersion":"Athena engine version 3"}},
			{"Name":"full","State":"ENABLED","Description":"all of it","CreationTime":946684800,"EngineVersion":{"SelectedEngineVersion":"PySpark engine version 3","EffectiveEngineVersion":"PySpark engine version 3"}}]}`)
		// An empty EngineVersion selects nothing; the effective one is not the caller's to say.
		c.want(t, "CreateWorkGroup", `{"Name":"auto","Configuration":{"EngineVersion":{"EffectiveEngineVersion":"PySpark engine version 3"}}}`, 200, `{}`)
		c.want(t, "GetWorkGroup", `{"WorkGroup":"auto"}`, 200,
			`{"WorkGroup":{"Name":"auto","State":"ENABLED","CreationTime":946684800,"Configuration":{`+bare+`}}}`)
	})
}

func TestUpdateWorkGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, nil, false)
		update := func(updates string) {
			t.Helper()
			c.want(t, "UpdateWorkGroup", `{"WorkGroup":"w","ConfigurationUpdates":`+updates+`}`, 200, `{}`)
		}
		get := func(want string) {
			t.Helper()
			c.want(t, "GetWorkGroup", `{"WorkGroup":"w"}`, 200, `{"WorkGroup":{"Name":"w","State":"ENABLED","CreationTime":946684800,"Configuration":{`+want+`}}}`)
		}
		c.want(t, "CreateWorkGroup", `{"Name":"w"}`, 200, `{}`)
		update(`{"BytesScannedCutoffPerQuery":10000000,"ResultConfigurationUpdates":{"OutputLocation":"s3://results/w","ExpectedBucketOwner":"000000000000",
			"EncryptionConfiguration":{"EncryptionOption":"SSE_S3"},"AclConfiguration":{"S3AclOption":"BUCKET_OWNER_FULL_CONTROL"}},
			"CustomerContentEncryptionConfiguration":{"KmsKey":"arn:aws:kms:us-east-1:000000000000:key/c"}}`)
		get(`"BytesScannedCutoffPerQuery":10000000,"CustomerContentEncryptionConfiguration":{"KmsKey":"arn:aws:kms:us-east-1:000000000000:key/c"},` +
			strings.Replace(bare, `"ResultConfiguration":{}`, `"ResultConfiguration":{"OutputLocation":"s3://results/w","ExpectedBucketOwner":"000000000000",
				"EncryptionConfiguration":{"EncryptionOption":"SSE_S3"},"AclConfiguration":{"S3AclOption":"BUCKET_OWNER_FULL_CONTROL"}}`, 1))
		update(`{"RemoveBytesScannedCutoffPerQuery":true,"RemoveCustomerContentEncryptionConfiguration":true,"ResultConfigurationUpdates":{
			"RemoveOutputLocation":true,"RemoveExpectedBucketOwner":true,"RemoveEncryptionConfiguration":true,"RemoveAclConfiguration":true},
			"ManagedQueryResultsConfigurationUpdates":{"Enabled":true,"EncryptionConfiguration":{"KmsKey":"arn:aws:kms:us-east-1:000000000000:key/m"}}}`)
		get(bare + `,"ManagedQueryResultsConfiguration":{"Enabled":true,"EncryptionConfiguration":{"KmsKey":"arn:aws:kms:us-east-1:000000000000:key/m"}}`)
		update(`{"ManagedQueryResultsConfigurationUpdates":{"Enabled":false,"RemoveEncryptionConfiguration":true},"MonitoringConfiguration":{
			"CloudWatchLoggingConfiguration":{"Enabled":false,"LogGroup":"g"},"ManagedLoggingConfiguration":{"Enabled":false},"S3LoggingConfiguration":{"Enabled":false}}}`)
		get(bare + `,"ManagedQueryResultsConfiguration":{"Enabled":false},"MonitoringConfiguration":{"ManagedLoggingConfiguration":{"Enabled":false}}`)

		c.want(t, "UpdateWorkGroup", `{"WorkGroup":"w","State":"DISABLED","Description":"off"}`, 200, `{}`)
		c.want(t, "ListWorkGroups", `{}`, 200, `{"WorkGroups":[{"Name":"w","State":"DISABLED","Description":"off","CreationTime":946684800,
			"EngineVersion":{"SelectedEngineVersion":"AUTO","EffectiveEngineVersion":"Athena engine version 3"}}]}`)
	})
}

func TestWorkGroupRefusals(t *testing.T) {
	c := newClient(t, nil, true)
	notFound := func(arn string) string {
		return `{"__type":"ResourceNotFoundException","ResourceName":"` + arn + `","Message":"Resource ` + arn + ` is not found."}`
	}
	arn := "arn:aws:athena:us-east-1:000000000000:workgroup/nobody"
	for _, r := range []struct {
		operation, body, message string
	}{
		{"GetWorkGroup", `{"WorkGroup":"nobody"}`, "WorkGroup is not found."},
		{"UpdateWorkGroup", `{"WorkGroup":"nobody"}`, "WorkGroup is not found."},
		{"DeleteWorkGroup", `{"WorkGroup":"nobody"}`, "WorkGroup is not found."},
		{"DeleteWorkGroup", `{"WorkGroup":"primary","RecursiveDeleteOption":true}`, "The primary workgroup cannot be deleted."},
		{"CreateWorkGroup", `{"Name":"primary"}`, "WorkGroup is already created"},
		{"CreateWorkGroup", `{"Name":"spark"}`, "WorkGroup is already created"},
		{"CreateWorkGroup", `{"Name":"new","Tags":[]}`, "Tags provided upon WorkGroup creation must not be empty"},
		{"CreateWorkGroup", `{"Name":"new","Configuration":{"EngineVersion":{"SelectedEngineVersion":"PySpark engine version 3"}}}`, "executionRole is null or empty"},
		{"UpdateWorkGroup", `{"WorkGroup":"spark","ConfigurationUpdates":{"EngineVersion":{"SelectedEngineVersion":"AUTO"}}}`,
			"The analytics engine of a WorkGroup cannot be changed between Athena SQL and Apache Spark."},
		{"ListWorkGroups", `{"NextToken":"abc"}`, "The nextPageToken is malformed: abc"},
		{"ListEngineVersions", `{"NextToken":"abc"}`, "The nextPageToken is malformed: abc"},
		{"ListTagsForResource", `{"ResourceARN":"arn:aws:athena:us-east-1:000000000000:workgroup/spark","NextToken":"abc"}`, "The nextPageToken is malformed: abc"},
		{"GetWorkGroup", `{}`, "1 validation error detected: Value null at 'workGroup' failed to satisfy constraint: Member must not be null"},
	} {
		c.want(t, r.operation, r.body, 400, refusal(r.message))
	}
	c.want(t, "ListTagsForResource", `{"ResourceARN":"`+arn+`"}`, 400, notFound(arn))
	c.want(t, "TagResource", `{"ResourceARN":"`+arn+`","Tags":[{"Key":"k"}]}`, 400, notFound(arn))
	c.want(t, "UntagResource", `{"ResourceARN":"`+arn+`","TagKeys":["k"]}`, 400, notFound(arn))
}

func TestDeleteWorkGroupAndTags(t *testing.T) {
	c := newClient(t, nil, true)
	s := session.Session{Key: "k", ID: "11111111-2222-3333-4444-555555555555", Account: account, Face: session.Athena, Workgroup: "spark", Desired: session.Idle, State: session.Idle}
	if _, _, err := c.store.CreateSession(t.Context(), session.Creation{Session: s}); err != nil {
		t.Fatal(err)
	}
	of := `"ResourceARN":"arn:aws:athena:us-east-1:000000000000:workgroup/spark/session/11111111-2222-3333-4444-555555555555"`
	c.want(t, "TagResource", `{`+of+`,"Tags":[{"Key":"b","Value":"2"},{"Key":"a","Value":"1"}]}`, 200, `{}`)
	c.want(t, "ListTagsForResource", `{`+of+`}`, 200, `{"Tags":[{"Key":"a","Value":"1"},{"Key":"b","Value":"2"}]}`)
	c.want(t, "UntagResource", `{`+of+`,"TagKeys":["a","b"]}`, 200, `{}`)
	c.want(t, "ListTagsForResource", `{`+of+`}`, 200, `{"Tags":[]}`)
	c.want(t, "DeleteWorkGroup", `{"WorkGroup":"spark"}`, 400, refusal("WorkGroup spark is not empty"))
	c.want(t, "DeleteWorkGroup", `{"WorkGroup":"spark35"}`, 200, `{}`)
	c.want(t, "DeleteWorkGroup", `{"WorkGroup":"spark35"}`, 400, refusal("WorkGroup is not found."))
}

func TestListPages(t *testing.T) {
	c := newClient(t, nil, true)
	var names []string
	token := ""
	for {
		body := `{"MaxResults":2` + token + `}`
		code, reply := c.call(t, "ListWorkGroups", body)
		var page struct {
			WorkGroups []struct{ Name string }
			NextToken  *string
		}
		if err := json.Unmarshal([]byte(reply), &page); err != nil || code != 200 {
			t.Fatalf("%s: %d %s", body, code, reply)
		}
		for _, w := range page.WorkGroups {
			names = append(names, w.Name)
		}
		if page.NextToken == nil {
			break
		}
		token = `,"NextToken":"` + *page.NextToken + `"`
	}
	if got := strings.Join(names, " "); got != "primary spark spark35" {
		t.Fatalf("got %s", got)
	}
	c.want(t, "ListEngineVersions", `{"MaxResults":10}`, 200, `{"EngineVersions":[
		{"SelectedEngineVersion":"AUTO","EffectiveEngineVersion":"Athena engine version 3"},
		{"SelectedEngineVersion":"Athena engine version 3","EffectiveEngineVersion":"Athena engine version 3"},
		{"SelectedEngineVersion":"PySpark engine version 3","EffectiveEngineVersion":"PySpark engine version 3"},
		{"SelectedEngineVersion":"Apache Spark version 3.5","EffectiveEngineVersion":"Apache Spark version 3.5"}]}`)
}
