package awsapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/athena"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/glue/document"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
)

// glueOpen says what the interface types of Glue's inputs can hold.
func glueOpen() []Open {
	return []Open{
		Union[types.SearchFilterClause](
			&types.SearchFilterClauseMemberAndAllFilters{}, &types.SearchFilterClauseMemberAttributeFilter{},
			&types.SearchFilterClauseMemberMapFilter{}, &types.SearchFilterClauseMemberOrAnyFilters{}),
		Union[types.SearchFilterValue](&types.SearchFilterValueMemberLongValue{}, &types.SearchFilterValueMemberStringValue{}),
		Union[types.SearchMapFilterValue](&types.SearchMapFilterValueMemberStringValue{}),
		Union[types.TableOptimizerVpcConfiguration](&types.TableOptimizerVpcConfigurationMemberGlueConnectionName{}),
		Document(func(v any) document.Interface { return document.NewLazyDocument(v) }),
	}
}

// sdkOperation is one operation as the SDK's client has it.
type sdkOperation struct {
	name    string
	in, out reflect.Type
}

// sdkOperations lists the operations of an SDK client by its methods.
func sdkOperations(client reflect.Type) []sdkOperation {
	var ops []sdkOperation
	for i := range client.NumMethod() {
		m := client.Method(i)
		if m.Type.NumIn() < 3 || m.Type.NumOut() != 2 || m.Type.In(2).Kind() != reflect.Pointer {
			continue
		}
		ops = append(ops, sdkOperation{m.Name, m.Type.In(2).Elem(), m.Type.Out(0).Elem()})
	}
	return ops
}

// moduleDir returns the directory of a module's source.
func moduleDir(t *testing.T, module string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		t.Fatalf("cannot find module %s: %v", module, err)
	}
	return strings.TrimSpace(string(out))
}

// snapshot is one of the SDK's frozen wire examples.
type snapshot struct {
	status int
	body   []byte
}

// readSnapshot reads a snapshot: a first line, headers, an empty line, the body.
func readSnapshot(t *testing.T, name string) snapshot {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	first, rest, _ := bytes.Cut(text, []byte("\n"))
	status, _ := strconv.Atoi(strings.TrimSpace(string(first))) // a request has no status
	rest = bytes.TrimPrefix(rest, []byte("\n"))
	_, body, ok := bytes.Cut(rest, []byte("\n\n"))
	if !ok {
		t.Fatalf("%s has no body", name)
	}
	return snapshot{status, body}
}

// asJSON reads JSON for comparison.
func asJSON(t *testing.T, text []byte) any {
	t.Helper()
	var v any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("cannot read %s: %v", text, err)
	}
	return v
}

// wantJSON compares two JSON texts by content.
func wantJSON(t *testing.T, got, want []byte) {
	t.Helper()
	if !reflect.DeepEqual(asJSON(t, got), asJSON(t, want)) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// encoded encodes an SDK value.
func encoded(t *testing.T, v any) []byte {
	t.Helper()
	s, ok := v.(smithy.Serializable)
	if !ok {
		t.Fatalf("%T cannot be encoded", v)
	}
	e := newEncoder()
	defer e.release()
	if err := e.encode(s, false); err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(e.buf)
}

// sdks are the two services with what differs between them.
func sdks() []struct {
	service, module string
	client          reflect.Type
	operations      int
} {
	return []struct {
		service, module string
		client          reflect.Type
		operations      int
	}{
		{Athena, "github.com/aws/aws-sdk-go-v2/service/athena", reflect.TypeFor[*athena.Client](), 70},
		{Glue, "github.com/aws/aws-sdk-go-v2/service/glue", reflect.TypeFor[*glue.Client](), 306},
	}
}

// TestRequestSnapshots decodes the SDK's example of every request and encodes
// it again: nothing may be lost. The examples' placeholder values break
// constraints, which is not what is looked at here.
func TestRequestSnapshots(t *testing.T) {
	t.Parallel()
	for _, s := range sdks() {
		dir := moduleDir(t, s.module)
		ops := sdkOperations(s.client)
		if len(ops) < s.operations {
			t.Errorf("%s: found %d operations, want at least %d", s.service, len(ops), s.operations)
		}
		for _, op := range ops {
			t.Run(s.service+"/"+op.name, func(t *testing.T) {
				t.Parallel()
				snap := readSnapshot(t, filepath.Join(dir, "request_snapshot", op.name+".request.snap"))
				in := reflect.New(op.in)
				err := newCodec(op.in, glueOpen()).decode(snap.body, in.Elem())
				if _, ok := errors.AsType[*violationError](err); err != nil && !ok {
					t.Fatalf("cannot decode %s: %v", snap.body, err)
				}
				wantJSON(t, encoded(t, in.Interface()), snap.body)
			})
		}
	}
}

// TestResponseSnapshots lets the SDK's client read the SDK's example of every
// reply and encodes what it has read: the same must come out.
func TestResponseSnapshots(t *testing.T) {
	t.Parallel()
	for _, s := range sdks() {
		dir := moduleDir(t, s.module)
		for _, op := range sdkOperations(s.client) {
			t.Run(s.service+"/"+op.name, func(t *testing.T) {
				t.Parallel()
				snap := readSnapshot(t, filepath.Join(dir, "response_snapshot", op.name+".response.snap"))
				client := clientReading(s.service, snap)
				results := client.MethodByName(op.name).Call([]reflect.Value{reflect.ValueOf(t.Context()), reflect.New(op.in)})
				if err, _ := results[1].Interface().(error); err != nil {
					t.Fatalf("cannot read %s: %v", snap.body, err)
				}
				wantJSON(t, encoded(t, results[0].Interface()), snap.body)
			})
		}
	}
}

// roundTrip is a transport made of a function.
type roundTrip func(*http.Request) (*http.Response, error)

// Do answers a request.
func (f roundTrip) Do(r *http.Request) (*http.Response, error) { return f(r) }

// clientReading returns an SDK client whose every call gets the snapshot.
func clientReading(service string, s snapshot) reflect.Value {
	transport := roundTrip(func(r *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: s.status, Request: r, ContentLength: int64(len(s.body)),
			Header: http.Header{"Content-Type": {json11}}, Body: io.NopCloser(bytes.NewReader(s.body)),
		}, nil
	})
	noChecks := func(stack *middleware.Stack) error {
		_, err := stack.Initialize.Remove("OperationInputValidation")
		return ignoreAbsent(err)
	}
	config := aws.Config{
		Region: "us-east-1", HTTPClient: transport, BaseEndpoint: aws.String("http://localhost"),
		Credentials: aws.AnonymousCredentials{}, RetryMaxAttempts: 1,
		APIOptions: []func(*middleware.Stack) error{noChecks},
	}
	if service == Glue {
		return reflect.ValueOf(glue.NewFromConfig(config))
	}
	return reflect.ValueOf(athena.NewFromConfig(config))
}

// ignoreAbsent forgives that an operation has no validation to remove.
func ignoreAbsent(error) error { return nil }

// TestErrorSnapshots compares the exceptions of faults with the SDK's
// examples: the same members, and what the service adds.
func TestErrorSnapshots(t *testing.T) {
	t.Parallel()
	dir := moduleDir(t, "github.com/aws/aws-sdk-go-v2/service/athena")
	for _, x := range []exception{
		{name: "InternalServerException", message: "__Message__"},
		{name: "InvalidRequestException", message: "__Message__", code: "__AthenaErrorCode__"},
		{name: "MetadataException", message: "__Message__"},
		{name: "ResourceNotFoundException", message: "__Message__", resource: "__ResourceName__"},
		{name: "SessionAlreadyExistsException", message: "__Message__"},
		{name: "TooManyRequestsException", message: "__Message__", reason: "CONCURRENT_QUERY_LIMIT_EXCEEDED"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			snap := readSnapshot(t, filepath.Join(dir, "response_snapshot", x.name+".error.snap"))
			want, _ := asJSON(t, snap.body).(map[string]any)
			if x.code != "" {
				want["ErrorCode"] = x.code // sent by the service, missing in the model
			}
			if got := asJSON(t, x.json(false)); !reflect.DeepEqual(got, any(want)) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}
