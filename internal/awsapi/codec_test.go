package awsapi

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/athena"
	"github.com/aws/aws-sdk-go-v2/service/athena/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/glue"
)

// TestModels checks that the tables are the pinned model's: all operations,
// and every pattern runs.
func TestModels(t *testing.T) {
	t.Parallel()
	for service, want := range map[string]int{Athena: 75, Glue: 314, Logs: 118, IAM: 180, STS: 11} {
		if got := len(operations(service)); got < want || (service != STS && got != want) {
			t.Errorf("%s has %d operations, want %d", service, got, want)
		}
		m, err := modelOf(service)
		if err != nil {
			t.Fatal(err)
		}
		for name, r := range m.Shapes {
			if r.Pattern != "" {
				r.matches(name) // panics on a pattern that does not compile
			}
		}
	}
	for _, s := range sdks() {
		for _, op := range sdkOperations(s.client) {
			if !slices.Contains(operations(s.service), op.name) {
				t.Errorf("%s.%s is in the SDK but not in the model", s.service, op.name)
			}
		}
	}
}

// TestPatterns checks the patterns that had to be rewritten.
func TestPatterns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		service, shape, text string
		want                 bool
	}{
		{Athena, "NotebookName", "my notebook é 😀", true},
		{Athena, "NotebookName", "a/b", false},
		{Athena, "NotebookName", "a:b", false},
		{Athena, "NotebookName", `a\b`, false},
		{Athena, "NotebookName", "a\nb", false},
		{Athena, "KeyString", "😀\t", true},
		{Athena, "KeyString", "\x01", false},
		{Glue, "CatalogNameString", "cat", true},
		{Glue, "CatalogNameString", "a.b", false},
		{Glue, "CatalogNameString", "a/b", false},
		{Glue, "CatalogNameString", "aws:x", false},
		{Glue, "AssetTypeName", "Table1", true},
		{Glue, "AssetTypeName", "_1", true},
		{Glue, "AssetTypeName", "__", false},
		{Glue, "AssetTypeName", "1a", false},
		{Athena, "WorkGroupName", "a b", false},
		{Athena, "WorkGroupName", "a\n", false},
	} {
		m, err := modelOf(c.service)
		if err != nil {
			t.Fatal(err)
		}
		r := m.Shapes[c.shape]
		if r == nil {
			t.Fatalf("%s has no shape %s", c.service, c.shape)
		}
		if got := r.matches(c.text); got != c.want {
			t.Errorf("%s %q: %v, want %v", c.shape, c.text, got, c.want)
		}
	}
}

// TestActions checks IAM actions that are not named after their operation.
func TestActions(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"GetTable":                           "glue:GetTable",
		"GetColumnStatisticsForTable":        "glue:GetTable",
		"UpdateColumnStatisticsForPartition": "glue:UpdatePartition",
		"DeleteColumnStatisticsForTable":     "glue:DeleteTable",
	} {
		if got := action(Glue, name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	rows, err := Table(Athena, nil)
	if err != nil || len(rows) != 75 || rows[0].Action != "athena:"+rows[0].Name {
		t.Errorf("got %d rows, %v", len(rows), err)
	}
	if _, err := Table(Athena, map[string]Handler{"Nope": nil}); err == nil {
		t.Error("a handler for an unknown operation was accepted")
	}
	if _, err := Table("s3", nil); err == nil {
		t.Error("a table for an unknown service was made")
	}
}

// TestViolationsOfGlue checks that Glue repeats the offending value, and names
// members the way its model spells them.
func TestViolationsOfGlue(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"DatabaseName":"d","TableInput":{"Name":""}}`:                        "1 validation error detected: Value '' at 'tableInput.name' failed to satisfy constraint: Member must have length greater than or equal to 1",
		`{"DatabaseName":"d","TableInput":{"Name":"\u0001"}}`:                  "1 validation error detected: Value '\x01' at 'tableInput.name' failed to satisfy constraint: Member must satisfy regular expression pattern: " + glueName,
		`{"DatabaseName":"d","TableInput":{"Name":"n","Parameters":{"":"v"}}}`: "1 validation error detected: Value at 'tableInput.parameters' failed to satisfy constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 255, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: " + glueName + "]",
	} {
		err := newCodec(reflect.TypeFor[glue.CreateTableInput](), glueOpen()).decode([]byte(body), reflect.New(reflect.TypeFor[glue.CreateTableInput]()).Elem())
		if err == nil || err.Error() != want {
			t.Errorf("%s\ngot  %v\nwant %s", body, err, want)
		}
	}
}

const glueName = `[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\t]*`

// TestLongLists checks that lists grow, whatever their items are, and that
// members spelled with a small first letter are found.
func TestLongLists(t *testing.T) {
	t.Parallel()
	c := newCodec(reflect.TypeFor[cloudwatchlogs.PutLogEventsInput](), nil)
	var in cloudwatchlogs.PutLogEventsInput
	const n = 1000
	body := `{"logGroupName":"g","logStreamName":"s","logEvents":[` +
		strings.TrimSuffix(strings.Repeat(`{"timestamp":1,"message":"m"},`, n), ",") + `]}`
	if err := c.decode([]byte(body), reflect.ValueOf(&in).Elem()); err != nil {
		t.Fatal(err)
	}
	if len(in.LogEvents) != n || aws.ToString(in.LogEvents[n-1].Message) != "m" {
		t.Errorf("%d events", len(in.LogEvents))
	}
	c = newCodec(reflect.TypeFor[cloudwatchlogs.FilterLogEventsInput](), nil)
	var filter cloudwatchlogs.FilterLogEventsInput
	if err := c.decode([]byte(`{"logStreamNames":["a",null,"b","c","d",null,"e","f"]}`), reflect.ValueOf(&filter).Elem()); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(filter.LogStreamNames, ""); got != "abcdef" {
		t.Errorf("names are %s", got)
	}
}

// TestTimes checks that times have at most three decimals.
func TestTimes(t *testing.T) {
	t.Parallel()
	for want, at := range map[string]time.Time{
		"0":             time.Unix(0, 0),
		"-1.5":          time.UnixMilli(-1500),
		"946684800":     time.Unix(946684800, 0),
		"946684800.1":   time.Unix(946684800, 100_000_000),
		"946684800.012": time.Unix(946684800, 12_345_678),
	} {
		if got := string(appendEpoch(nil, at)); got != want {
			t.Errorf("%v is %s, want %s", at, got, want)
		}
	}
}

// TestStrings checks that every string comes back as it was.
func TestStrings(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "plain", "\"\\\n\r\t\b\f\x00\x1f\x7f", "é😀\u2028", strings.Repeat("ab\n", 5000)} {
		var back string
		text := appendQuoted(nil, s)
		if err := json.Unmarshal(text, &back); err != nil || back != s {
			t.Errorf("%q became %s, %v", s, text, err)
		}
		in := new(athena.GetWorkGroupInput)
		err := newCodec(reflect.TypeFor[athena.GetWorkGroupInput](), nil).decode([]byte(`{"WorkGroup":`+string(text)+`}`), reflect.ValueOf(in).Elem())
		if _, ok := errors.AsType[*violationError](err); err != nil && !ok || aws.ToString(in.WorkGroup) != s {
			t.Errorf("%q came back as %q, %v", s, aws.ToString(in.WorkGroup), err)
		}
	}
	if got := string(appendQuoted(nil, "a\xffb")); got != "\"a\uFFFDb\"" {
		t.Errorf("got %s", got)
	}
}

// FuzzDecode looks for bodies that break the decoder, and for bodies that it
// and encoding/json judge differently.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"WorkGroup":"w","EngineConfiguration":{"MaxConcurrentDpus":2,"SparkProperties":{"a":"b"},"Classifications":[{"Name":"n","Properties":{"k":"v"}}]}}`,
		`{"Tags":[null,{"Key":"\ud83d\ude00"}],"CopyWorkGroupTags":true,"SessionIdleTimeoutInMinutes":1e2}`,
		`{"MonitoringConfiguration":{"CloudWatchLoggingConfiguration":{"LogTypes":{"a":["x"]}}}}`,
		`[]`, `{`, `{"a":-0.0e-1}`, `"\u00"`,
	} {
		f.Add([]byte(s))
	}
	codec := newCodec(reflect.TypeFor[athena.StartSessionInput](), nil)
	f.Fuzz(func(t *testing.T, body []byte) {
		in := new(athena.StartSessionInput)
		err := codec.decode(body, reflect.ValueOf(in).Elem())
		s, malformed := errors.AsType[*serializationError](err)
		if err == nil && (in.WorkGroup == nil || in.EngineConfiguration == nil) {
			t.Error("a required member is missing")
		}
		if !malformed && !json.Valid(body) {
			t.Errorf("accepted %q", body)
		}
		if malformed && s.message == "" && json.Valid(body) && body[0] == '{' && len(body) < maxDepth && !slices.Contains(body, 0xff) {
			var m map[string]json.RawMessage
			if json.Unmarshal(body, &m) == nil && len(m) == 0 {
				t.Errorf("refused %q", body)
			}
		}
		if err != nil {
			return
		}
		again := new(athena.StartSessionInput)
		e := newEncoder()
		defer e.release()
		if err := e.encode(in, false); err != nil {
			t.Fatal(err)
		}
		if err := codec.decode(e.buf, reflect.ValueOf(again).Elem()); err != nil || !reflect.DeepEqual(in, again) {
			t.Errorf("%q became %q: %v", body, e.buf, err)
		}
	})
}

// TestUndecodable checks that inputs which no JSON can fill are reported.
func TestUndecodable(t *testing.T) {
	t.Parallel()
	type channel struct{ C chan int }
	if err := newCodec(reflect.TypeFor[channel](), nil).decode([]byte("{}"), reflect.ValueOf(new(channel)).Elem()); err == nil || !strings.Contains(err.Error(), "chan int") {
		t.Errorf("got %v", err)
	}
	err := newCodec(reflect.TypeFor[unions](), nil).decode([]byte("{}"), reflect.ValueOf(new(unions)).Elem())
	if err == nil || !strings.Contains(err.Error(), "myUnion") {
		t.Errorf("got %v", err)
	}
}

// workGroupOutput is a reply of usual size.
func workGroupOutput() *athena.GetWorkGroupOutput {
	now := time.UnixMilli(1_795_000_000_123)
	return &athena.GetWorkGroupOutput{WorkGroup: &types.WorkGroup{
		Name: aws.String("primary"), State: types.WorkGroupStateEnabled, CreationTime: &now, Description: aws.String("a work group"),
		Configuration: &types.WorkGroupConfiguration{
			EnforceWorkGroupConfiguration: aws.Bool(true), PublishCloudWatchMetricsEnabled: aws.Bool(false), RequesterPaysEnabled: aws.Bool(false),
			EngineVersion:       &types.EngineVersion{EffectiveEngineVersion: aws.String("PySpark engine version 3"), SelectedEngineVersion: aws.String("AUTO")},
			ResultConfiguration: &types.ResultConfiguration{OutputLocation: aws.String("s3://bucket/prefix/")},
			ExecutionRole:       aws.String("arn:aws:iam::000000000000:role/glaux-session"),
		},
	}}
}

func BenchmarkDecodeGetWorkGroup(b *testing.B) {
	benchmarkDecode[athena.GetWorkGroupInput](b, `{"WorkGroup":"primary"}`)
}

func BenchmarkDecodeStartSession(b *testing.B) {
	benchmarkDecode[athena.StartSessionInput](b, `{"WorkGroup":"spark","Description":"d","ClientRequestToken":"00000000-0000-0000-0000-000000000000","EngineConfiguration":{"CoordinatorDpuSize":1,"MaxConcurrentDpus":4,"DefaultExecutorDpuSize":1,"SparkProperties":{"spark.sql.shuffle.partitions":"8"}},"SessionIdleTimeoutInMinutes":20}`)
}

// benchmarkDecode measures reading one body.
func benchmarkDecode[In any](b *testing.B, body string) {
	codec := newCodec(reflect.TypeFor[In](), nil)
	b.ReportAllocs()
	for b.Loop() {
		if err := codec.decode([]byte(body), reflect.ValueOf(new(In)).Elem()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeGetWorkGroup(b *testing.B) {
	out := workGroupOutput()
	b.ReportAllocs()
	for b.Loop() {
		e := newEncoder()
		if err := e.encode(out, false); err != nil {
			b.Fatal(err)
		}
		e.release()
	}
}
