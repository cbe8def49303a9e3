package awsapi

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/athena"
	"github.com/aws/aws-sdk-go-v2/service/athena/types"

	"glaux/internal/access"
	"glaux/internal/fault"
)

// gate is an authenticator that knows one word.
type gate struct{}

// Authenticate accepts everything but the header "Authorization: bad".
func (gate) Authenticate(r *http.Request, _ []byte, service string) (access.Caller, error) {
	if r.Header.Get("Authorization") == "bad" {
		return access.Caller{}, &fault.Error{Kind: fault.Unauthorized, Code: "UnrecognizedClientException", Message: "The security token included in the request is invalid."}
	}
	return access.Caller{Account: "000000000000", ARN: "arn:aws:iam::000000000000:root", UserID: "000000000000", AccessKeyID: service}, nil
}

// seen passes on the records of a dispatcher, which come after the replies.
type seen chan *Record

// Observe passes a record on.
func (s seen) Observe(r *Record) { s <- r }

// lines passes on what is written to a log, one line a call.
type lines chan string

// Write passes a line on.
func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// wire is a dispatcher under test behind a real server.
type wire struct {
	url  string
	seen seen
	log  lines
}

// record waits for the record of a request.
func (w *wire) record(t *testing.T, id string) *Record {
	t.Helper()
	for {
		select {
		case r := <-w.seen:
			if r.ID == id {
				return r
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("no record of request %s", id)
		}
	}
}

// line waits for the log line of a request.
func (w *wire) line(t *testing.T, id string) string {
	t.Helper()
	for {
		select {
		case l := <-w.log:
			if strings.Contains(l, id) {
				return l
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("no log line of request %s", id)
		}
	}
}

// newWire serves a few operations with a limit of 4096 bytes a body.
func newWire(t *testing.T) *wire {
	t.Helper()
	w := &wire{seen: make(seen, 1000), log: make(lines, 1000)}
	handlers := map[string]Handler{
		"ListWorkGroups": Handle(func(ctx context.Context, _ access.Caller, in *athena.ListWorkGroupsInput) (*athena.ListWorkGroupsOutput, error) {
			Annotate(ctx, slog.Int("max", int(aws.ToInt32(in.MaxResults))))
			return &athena.ListWorkGroupsOutput{NextToken: in.NextToken, WorkGroups: []types.WorkGroupSummary{{Name: aws.String("primary")}}}, nil
		}),
		"GetWorkGroup": Handle(func(_ context.Context, _ access.Caller, in *athena.GetWorkGroupInput) (*athena.GetWorkGroupOutput, error) {
			return nil, raised(*in.WorkGroup)
		}),
		"GetQueryExecution": Handle(func(context.Context, access.Caller, *athena.GetQueryExecutionInput) (*athena.GetQueryExecutionOutput, error) {
			return &athena.GetQueryExecutionOutput{}, nil
		}),
		"GetQueryResults": Handle(func(context.Context, access.Caller, *athena.GetQueryResultsInput) (*athena.GetQueryResultsOutput, error) {
			return &athena.GetQueryResultsOutput{}, nil
		}),
		"StartQueryExecution": Handle(func(_ context.Context, _ access.Caller, in *athena.StartQueryExecutionInput) (*athena.StartQueryExecutionOutput, error) {
			return &athena.StartQueryExecutionOutput{QueryExecutionId: aws.String(strings.Join(in.ExecutionParameters, "|"))}, nil
		}),
		"StartSession": Handle(func(context.Context, access.Caller, *athena.StartSessionInput) (*athena.StartSessionOutput, error) {
			return nil, nil
		}),
	}
	rows, err := Table(Athena, handlers)
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewJSON(rows, Options{Authenticator: gate{}, Log: slog.New(slog.NewJSONHandler(w.log, nil)), Observer: w.seen, MaxBody: 4096})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

// raised makes the failure that the name asks for.
func raised(name string) error {
	switch name {
	case "invalid":
		return fault.Invalidf("WorkGroup is not found.")
	case "plain":
		return fault.New(fault.Invalid, "no code")
	case "missing":
		return fault.New(fault.NotFound, "not here").About("arn:x")
	case "exists":
		return fault.New(fault.Exists, "already there")
	case "many":
		return &fault.Error{Kind: fault.TooMany, Code: "CONCURRENT_QUERY_LIMIT_EXCEEDED", Message: "too many"}
	case "slow":
		return fault.New(fault.Throttled, "Rate exceeded")
	case "denied":
		return fault.New(fault.Denied, "User: x is not authorized").Because(errors.New("policy y"))
	case "unsupported":
		return fault.New(fault.Unsupported, "not here")
	case "metadata":
		return &fault.Error{Kind: fault.Invalid, Code: "MetadataException", Message: "no such table"}
	case "panic":
		panic("secret of a panic")
	case "internal":
		return fault.New(fault.Internal, "secret of a fault")
	}
	return errors.New("secret of an error")
}

// answer is what came back.
type answer struct {
	status int
	body   string
	header http.Header
}

// post sends a body to an operation; headers override the usual ones, and an
// empty one is left out.
func (w *wire) post(t *testing.T, target, body string, headers ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", json11)
	r.Header.Set("X-Amz-Target", target)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
		if headers[i+1] == "" {
			r.Header.Del(headers[i])
		}
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, string(text), resp.Header}
}

// want compares an answer's status and body.
func (a answer) want(t *testing.T, status int, body string) {
	t.Helper()
	if a.status != status || a.body != body {
		t.Errorf("got  %d %s\nwant %d %s", a.status, a.body, status, body)
	}
}

// TestHeaders checks the exact header set.
func TestHeaders(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	for _, a := range []answer{w.post(t, "AmazonAthena.ListWorkGroups", "{}"), w.post(t, "AmazonAthena.GetWorkGroup", "{}")} {
		for name := range a.header {
			switch name {
			case "Date", "Content-Type", "Content-Length", "X-Amzn-Requestid":
			default:
				t.Errorf("unexpected header %s", name)
			}
		}
		if got := a.header.Get("Content-Type"); got != json11 {
			t.Errorf("Content-Type is %q", got)
		}
		if id := a.header.Get("X-Amzn-Requestid"); len(id) != 36 {
			t.Errorf("request id is %q", id)
		}
	}
}

// TestSerialization checks the texts for bodies of the wrong form.
func TestSerialization(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	for _, c := range []struct{ operation, body, message string }{
		{"ListWorkGroups", `{"MaxResults":"1"}`, "STRING_VALUE can not be converted to an Integer"},
		{"ListWorkGroups", `{"MaxResults":true}`, "TRUE_VALUE can not be converted to an Integer"},
		{"ListWorkGroups", `{"MaxResults":false}`, "FALSE_VALUE can not be converted to an Integer"},
		{"ListWorkGroups", `{"MaxResults":[1]}`, "Start of list found where not expected"},
		{"ListWorkGroups", `{"MaxResults":{"a":1}}`, "Start of structure or map found where not expected."},
		{"ListWorkGroups", `{"NextToken":1}`, "NUMBER_VALUE can not be converted to a String"},
		{"ListWorkGroups", `{"NextToken":1.5}`, "NUMBER_VALUE can not be converted to a String"},
		{"ListWorkGroups", `{"NextToken":true}`, "TRUE_VALUE can not be converted to a String"},
		{"GetQueryExecution", `{"QueryExecutionId":["x"]}`, "Start of list found where not expected"},
		{"GetQueryExecution", `{"QueryExecutionId":{"a":1}}`, "Start of structure or map found where not expected."},
		{"StartQueryExecution", `{"QueryString":"SELECT","ExecutionParameters":[1]}`, "NUMBER_VALUE can not be converted to a String"},
		{"StartQueryExecution", `{"QueryString":"SELECT","ExecutionParameters":"x"}`, "Expected list or null"},
		{"StartQueryExecution", `{"QueryString":"SELECT","ExecutionParameters":true}`, "Expected list or null"},
		{"StartQueryExecution", `{"QueryString":"SELECT","ExecutionParameters":{}}`, "Start of structure or map found where not expected."},
		{"StartQueryExecution", `{"QueryString":"SELECT","ResultConfiguration":"x"}`, "Expected null"},
		{"StartQueryExecution", `{"QueryString":"SELECT","ResultConfiguration":1}`, "Expected null"},
		{"StartQueryExecution", `{"QueryString":"SELECT","ResultConfiguration":[]}`, "Start of list found where not expected"},
		{"StartSession", `{"CopyWorkGroupTags":"true"}`, "STRING_VALUE can not be converted to a Boolean"},
		{"StartSession", `{"EngineConfiguration":{"SparkProperties":1}}`, "Expected map or null"},
		{"StartSession", `{"EngineConfiguration":{"SparkProperties":[]}}`, "Start of list found where not expected"},
		// A wrong type comes before any violation.
		{"ListWorkGroups", `{"NextToken":"","MaxResults":"1"}`, "STRING_VALUE can not be converted to an Integer"},
		{"GetQueryResults", `{"MaxResults":"1"}`, "STRING_VALUE can not be converted to an Integer"},
		{"ListWorkGroups", `[]`, "Start of list found where not expected"},
		// What is not JSON has no text.
		{"ListWorkGroups", ``, ""},
		{"ListWorkGroups", `{`, ""},
		{"ListWorkGroups", `null`, ""},
		{"ListWorkGroups", `"x"`, ""},
		{"ListWorkGroups", `1`, ""},
		{"ListWorkGroups", `{"MaxResults":1,}`, ""},
		{"ListWorkGroups", `{"MaxResults":01}`, ""},
		{"ListWorkGroups", `{"MaxResults":1.}`, ""},
		{"ListWorkGroups", `{"MaxResults":tru}`, ""},
		{"ListWorkGroups", `{} {}`, ""},
		{"ListWorkGroups", `{"a" 1}`, ""},
		{"ListWorkGroups", `{"a":"` + "\x01" + `"}`, ""},
		{"ListWorkGroups", `{"a":"` + "\xff" + `"}`, ""},
		{"ListWorkGroups", `{"a":"\x"}`, ""},
		{"ListWorkGroups", `{"a":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`, ""},
	} {
		want := `{"__type":"SerializationException"}`
		if c.message != "" {
			want = `{"__type":"SerializationException","Message":"` + c.message + `"}`
		}
		w.post(t, "AmazonAthena."+c.operation, c.body).want(t, 400, want)
	}
}

// TestTolerances checks what AWS lets pass.
func TestTolerances(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	const list = `"WorkGroups":[{"Name":"primary"}]}`
	for body, want := range map[string]string{
		`{}`:                                        `{` + list,
		` { "Foo" : {"a":[1,{"b":null}]} } `:        `{` + list,
		`{"MaxResults":null,"NextToken":null}`:      `{` + list,
		`{"MaxResults":1.9}`:                        `{` + list,
		`{"MaxResults":4e1}`:                        `{` + list,
		`{"nextToken":"x"}`:                         `{` + list, // names are case-sensitive
		`{"NextToken":"a\"\\\/\u00e9\ud83d\ude00"}`: `{"NextToken":"a\"\\/é😀",` + list,
		`{"NextToken":"x","NextToken":"y"}`:         `{"NextToken":"y",` + list,
	} {
		w.post(t, "AmazonAthena.ListWorkGroups", body).want(t, 200, want)
	}
	w.post(t, "AmazonAthena.StartQueryExecution", `{"QueryString":"x","ExecutionParameters":["a",null,"b"]}`).
		want(t, 200, `{"QueryExecutionId":"a|b"}`)
}

// TestViolations checks the texts of broken constraints.
func TestViolations(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	const must = " failed to satisfy constraint: Member must "
	for _, c := range []struct {
		operation, body string
		texts           []string
	}{
		{"GetQueryExecution", `{}`, []string{"Value null at 'queryExecutionId'" + must + "not be null"}},
		{"GetQueryExecution", `{"QueryExecutionId":null}`, []string{"Value null at 'queryExecutionId'" + must + "not be null"}},
		{"GetWorkGroup", `{}`, []string{"Value null at 'workGroup'" + must + "not be null"}},
		{"ListWorkGroups", `{"MaxResults":99999999999}`, []string{"Value at 'maxResults'" + must + "have value less than or equal to 50"}},
		{"ListWorkGroups", `{"MaxResults":-1e400}`, []string{"Value at 'maxResults'" + must + "have value greater than or equal to 1"}},
		{"ListWorkGroups", `{"MaxResults":0,"NextToken":""}`, []string{
			"Value at 'nextToken'" + must + "have length greater than or equal to 1",
			"Value at 'maxResults'" + must + "have value greater than or equal to 1",
		}},
		{"GetQueryResults", `{"QueryExecutionId":"x","MaxResults":100001}`, []string{"Value at 'maxResults'" + must + "have value less than or equal to 100000"}},
		{"StartQueryExecution", `{"QueryString":"x","ClientRequestToken":"short"}`, []string{"Value at 'clientRequestToken'" + must + "have length greater than or equal to 32"}},
		{"GetWorkGroup", `{"WorkGroup":"a b"}`, []string{"Value at 'workGroup'" + must + "satisfy regular expression pattern: [a-zA-Z0-9._-]{1,128}"}},
		{"StartQueryExecution", `{"QueryString":"x","ResultConfiguration":{"EncryptionConfiguration":{"EncryptionOption":"X"}}}`, []string{
			"Value at 'resultConfiguration.encryptionConfiguration.encryptionOption'" + must + "satisfy enum value set: [SSE_S3, SSE_KMS, CSE_KMS]",
		}},
		{"StartQueryExecution", `{"QueryString":"x","ExecutionParameters":[]}`, []string{"Value at 'executionParameters'" + must + "have length greater than or equal to 1"}},
		{"StartQueryExecution", `{"QueryString":"x","ExecutionParameters":["a",""]}`, []string{
			"Value at 'executionParameters'" + must + "satisfy constraint: [Member must have length less than or equal to 1024, Member must have length greater than or equal to 1]",
		}},
		{"StartSession", `{"WorkGroup":"w","EngineConfiguration":{"MaxConcurrentDpus":1},"Tags":[{"Key":"k"},{"Key":""}]}`, []string{
			"Value at 'engineConfiguration.maxConcurrentDpus'" + must + "have value greater than or equal to 2",
			"Value at 'tags.2.member.key'" + must + "have length greater than or equal to 1",
		}},
	} {
		s := ""
		if len(c.texts) > 1 {
			s = "s"
		}
		text := string(rune('0'+len(c.texts))) + " validation error" + s + " detected: " + strings.Join(c.texts, "; ")
		w.post(t, "AmazonAthena."+c.operation, c.body).
			want(t, 400, `{"__type":"InvalidRequestException","AthenaErrorCode":"INVALID_INPUT","ErrorCode":"INVALID_INPUT","Message":"`+text+`"}`)
	}
}

// TestTargets checks requests that name no operation.
func TestTargets(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	for _, target := range []string{"AmazonAthena.Nope", "Nope", "ListWorkGroups", "amazonathena.listworkgroups", "AmazonAthena.", "AWSGlue.Nope", ""} {
		w.post(t, target, "{}").want(t, 400, `{"__type":"UnknownOperationException"}`)
	}
	for _, kind := range []string{"application/x-amz-json-1.0", "text/plain", ""} {
		a := w.post(t, "AmazonAthena.ListWorkGroups", "{}", "Content-Type", kind)
		a.want(t, 404, "<UnknownOperationException/>\n")
		if got := a.header.Get("Content-Type"); got != "text/xml" {
			t.Errorf("%q: Content-Type is %q", kind, got)
		}
	}
	w.post(t, "AmazonAthena.ListWorkGroups", "{}", "Content-Type", "Application/X-Amz-Json-1.1; charset=utf-8").
		want(t, 200, `{"WorkGroups":[{"Name":"primary"}]}`)
	w.post(t, "AmazonAthena.ListWorkGroups", "{}", "Content-Type", "application/json").
		want(t, 200, `{"Output":{"WorkGroups":[{"Name":"primary"}]},"Version":"1.0"}`)
	w.post(t, "AmazonAthena.ListWorkGroups", "[]", "Content-Type", "application/json").
		want(t, 400, `{"Output":{"__type":"SerializationException","Message":"Start of list found where not expected"},"Version":"1.0"}`)
}

// TestNotImplemented checks known operations without a handler: refused by
// name, but only once the caller is known.
func TestNotImplemented(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	for target, name := range map[string]string{
		"AmazonAthena.CreateNotebook":                 "athena:CreateNotebook",
		"AmazonAthena.CreateSystemTableConfiguration": "athena:CreateSystemTableConfiguration", // no Go type yet
		"AWSGlue.CreateSession":                       "glue:CreateSession",
	} {
		w.post(t, target, "{}").want(t, 501, `{"__type":"NotImplementedException","Message":"`+name+` is not implemented"}`)
	}
	w.post(t, "AWSGlue.CreateSession", "{}", "Authorization", "bad").
		want(t, 400, `{"__type":"UnrecognizedClientException","message":"The security token included in the request is invalid."}`)
}

// TestFaults checks the one crossing from faults to exceptions.
func TestFaults(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	for name, want := range map[string]struct {
		status int
		body   string
	}{
		"invalid":     {400, `{"__type":"InvalidRequestException","AthenaErrorCode":"INVALID_INPUT","ErrorCode":"INVALID_INPUT","Message":"WorkGroup is not found."}`},
		"plain":       {400, `{"__type":"InvalidRequestException","Message":"no code"}`},
		"missing":     {400, `{"__type":"ResourceNotFoundException","Message":"not here","ResourceName":"arn:x"}`},
		"exists":      {400, `{"__type":"SessionAlreadyExistsException","Message":"already there"}`},
		"many":        {400, `{"__type":"TooManyRequestsException","Message":"too many","Reason":"CONCURRENT_QUERY_LIMIT_EXCEEDED"}`},
		"slow":        {400, `{"__type":"ThrottlingException","Message":"Rate exceeded"}`},
		"denied":      {400, `{"__type":"AccessDeniedException","Message":"User: x is not authorized"}`},
		"unsupported": {501, `{"__type":"NotImplementedException","Message":"not here"}`},
		"metadata":    {400, `{"__type":"MetadataException","Message":"no such table"}`},
	} {
		w.post(t, "AmazonAthena.GetWorkGroup", `{"WorkGroup":"`+name+`"}`).want(t, want.status, want.body)
	}
}

// TestInternal checks that the caller of a failing or panicking operation
// learns the request's id and nothing more, and the log learns all.
func TestInternal(t *testing.T) {
	t.Parallel()
	for name, secret := range map[string]string{"panic": "secret of a panic", "internal": "secret of a fault", "other": "secret of an error"} {
		w := newWire(t)
		a := w.post(t, "AmazonAthena.GetWorkGroup", `{"WorkGroup":"`+name+`"}`)
		id := a.header.Get("X-Amzn-Requestid")
		a.want(t, 500, `{"__type":"InternalServerException","Message":"Internal error, request `+id+`"}`)
		r := w.record(t, id)
		if r.Cause == nil || !strings.Contains(r.Cause.Error(), secret) {
			t.Errorf("%s: record is %+v", name, r)
		}
	}
	w := newWire(t)
	if a := w.post(t, "AmazonAthena.StartSession", `{"WorkGroup":"x","EngineConfiguration":{}}`); a.status != 500 {
		t.Errorf("neither output nor error answers %d %s", a.status, a.body)
	}
}

// TestOversize checks that a body beyond the limit is refused, with and
// without a declared length.
func TestOversize(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	const refused = `{"__type":"RequestEntityTooLargeException","Message":"Request body must not be longer than 4096 bytes"}`
	big := `{"NextToken":"` + strings.Repeat("x", 8192) + `"}`
	w.post(t, "AmazonAthena.ListWorkGroups", big).want(t, 413, refused)

	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url, io.MultiReader(strings.NewReader(big)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", json11)
	r.Header.Set("X-Amz-Target", "AmazonAthena.ListWorkGroups")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	answer{resp.StatusCode, string(text), nil}.want(t, 413, refused)
}

// TestHandles checks which requests belong to the dispatcher.
func TestHandles(t *testing.T) {
	t.Parallel()
	d, err := NewJSON(nil, Options{Authenticator: gate{}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method, path, kind, target string
		want                       bool
	}{
		{"POST", "/", json11, "AmazonAthena.GetWorkGroup", true},
		{"POST", "/", "", "Nope", true},
		{"POST", "/", json11, "", true},
		{"POST", "/", "application/x-amz-json-1.0", "", true},
		{"POST", "/", "application/json", "", false},
		{"POST", "/bucket", json11, "", false},
		{"GET", "/", "", "", false},
		{"POST", "/", "application/x-www-form-urlencoded", "", false},
	} {
		r := httptest.NewRequest(c.method, c.path, nil)
		r.Header.Set("Content-Type", c.kind)
		r.Header.Set("X-Amz-Target", c.target)
		if got := d.Handles(r); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// TestGone checks that a client that goes away is not logged as a failure.
func TestGone(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	rows, err := Table(Athena, map[string]Handler{
		"GetWorkGroup": Handle(func(ctx context.Context, _ access.Caller, _ *athena.GetWorkGroupInput) (*athena.GetWorkGroupOutput, error) {
			cancel()
			return nil, ctx.Err()
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	s := make(seen, 1)
	d, err := NewJSON(rows, Options{Authenticator: gate{}, Log: slog.New(slog.DiscardHandler), Observer: s})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader(`{"WorkGroup":"w"}`))
	r.Header.Set("Content-Type", json11)
	r.Header.Set("X-Amz-Target", "AmazonAthena.GetWorkGroup")
	d.ServeHTTP(httptest.NewRecorder(), r)
	if rec := <-s; rec.Status != statusGone {
		t.Errorf("record is %+v", rec)
	}
}

// TestRecord checks what the log and the observer learn of a request.
func TestRecord(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	a := w.post(t, "AmazonAthena.ListWorkGroups", `{"MaxResults":7}`)
	id := a.header.Get("X-Amzn-Requestid")
	r := w.record(t, id)
	if r.Service != Athena || r.Operation != "ListWorkGroups" ||
		r.Status != 200 || r.Code != "" || r.BytesIn != 16 || r.BytesOut != int64(len(a.body)) || r.Duration <= 0 ||
		r.Caller.ARN != "arn:aws:iam::000000000000:root" {
		t.Errorf("record is %+v", r)
	}
	line := w.line(t, id)
	for _, part := range []string{`"operation":"ListWorkGroups"`, `"max":7`, `"status":200`} {
		if !strings.Contains(line, part) {
			t.Errorf("log lacks %s: %s", part, line)
		}
	}
	a = w.post(t, "AmazonAthena.ListWorkGroups", "[]")
	if r := w.record(t, a.header.Get("X-Amzn-Requestid")); r.Code != "SerializationException" || r.Status != 400 {
		t.Errorf("record is %+v", r)
	}
}
