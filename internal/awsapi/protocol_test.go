package awsapi

import (
	"archive/zip"
	"io"
	"maps"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// The Smithy project publishes test cases of the protocol. Those of requests
// are decoded into the shapes below, which are written by hand after its
// model; those of replies too, since they hold values the requests do not.

// kitchenSink is the shape of most cases.
type kitchenSink struct {
	Blob                []byte
	Boolean             *bool
	Double              *float64
	EmptyStruct         *struct{}
	Float               *float32
	HttpdateTimestamp   *time.Time
	Integer             *int32
	Iso8601Timestamp    *time.Time
	JsonValue           *string //nolint:revive // spelled as on the wire
	ListOfLists         [][]string
	ListOfMapsOfStrings []map[string]string
	ListOfStrings       []string
	ListOfStructs       []valued
	Long                *int64
	MapOfListsOfStrings map[string][]string
	MapOfMaps           map[string]map[string]string
	MapOfStrings        map[string]string
	MapOfStructs        map[string]valued
	RecursiveList       []kitchenSink
	RecursiveMap        map[string]kitchenSink
	RecursiveStruct     *kitchenSink
	SimpleStruct        *valued
	String              *string
	StructWithJsonName  *valued //nolint:revive // spelled as on the wire
	Timestamp           *time.Time
	UnixTimestamp       *time.Time
}

type valued struct{ Value *string }

type (
	scalars struct {
		FloatValue  *float32
		DoubleValue *float64
	}
	enums struct {
		FooEnum1, FooEnum2, FooEnum3 fooEnum
		FooEnumList, FooEnumSet      []fooEnum
		FooEnumMap                   map[string]fooEnum
	}
	fooEnum  string
	intEnums struct {
		IntEnum1, IntEnum2, IntEnum3 int32
		IntEnumList, IntEnumSet      []int32
		IntEnumMap                   map[string]int32
	}
	nulls       struct{ String *string }
	sparseNulls struct {
		SparseStringList []*string
		SparseStringMap  map[string]*string
	}
	documents struct{ InlineDocument anyDocument }
	contents  struct{ Value *int32 }
	labelled  struct{ Label *string }
	dated     struct{ Datetime *time.Time }
	unions    struct{ Contents myUnion }
)

// anyDocument is an interface for documents, as the SDK has one.
type anyDocument interface{ document() any }

type freeDocument struct{ value any }

func (d freeDocument) document() any { return d.value }

// myUnion is a union, as the SDK makes them.
type myUnion interface{ isMyUnion() }

type (
	myUnionMemberStringValue    struct{ Value string }
	myUnionMemberBooleanValue   struct{ Value bool }
	myUnionMemberNumberValue    struct{ Value int32 }
	myUnionMemberBlobValue      struct{ Value []byte }
	myUnionMemberTimestampValue struct{ Value time.Time }
	myUnionMemberEnumValue      struct{ Value fooEnum }
	myUnionMemberListValue      struct{ Value []string }
	myUnionMemberMapValue       struct{ Value map[string]string }
	myUnionMemberStructureValue struct{ Value greeting }
	greeting                    struct{ Hi *string }
)

func (*myUnionMemberStringValue) isMyUnion()    {}
func (*myUnionMemberBooleanValue) isMyUnion()   {}
func (*myUnionMemberNumberValue) isMyUnion()    {}
func (*myUnionMemberBlobValue) isMyUnion()      {}
func (*myUnionMemberTimestampValue) isMyUnion() {}
func (*myUnionMemberEnumValue) isMyUnion()      {}
func (*myUnionMemberListValue) isMyUnion()      {}
func (*myUnionMemberMapValue) isMyUnion()       {}
func (*myUnionMemberStructureValue) isMyUnion() {}

// smithyRules is what the model would say about the shapes above: members
// with a small first letter, and times written as text.
func smithyRules() *model {
	small := func(names ...string) *rule {
		r := new(rule)
		for _, n := range names {
			r.Members = append(r.Members, []string{n})
		}
		return r
	}
	m := &model{Shapes: map[string]*rule{
		"iso":       {Time: "iso8601"},
		"http":      {Time: "rfc822"},
		"sink":      {Members: [][]string{{"HttpdateTimestamp", "http"}, {"Iso8601Timestamp", "iso"}}},
		"dated":     {Members: [][]string{{"datetime", "iso"}}},
		"scalars":   small("floatValue", "doubleValue"),
		"enums":     small("fooEnum1", "fooEnum2", "fooEnum3", "fooEnumList", "fooEnumSet", "fooEnumMap"),
		"intEnums":  small("intEnum1", "intEnum2", "intEnum3", "intEnumList", "intEnumSet", "intEnumMap"),
		"nulls":     small("string"),
		"sparse":    small("sparseStringList", "sparseStringMap"),
		"documents": small("inlineDocument"),
		"contents":  small("value"),
		"labelled":  small("label"),
		"greeting":  small("hi"),
		"unions":    {Members: [][]string{{"contents", "myUnion"}}},
		"myUnion":   {Members: [][]string{{"stringValue"}, {"booleanValue"}, {"numberValue"}, {"blobValue"}, {"timestampValue"}, {"enumValue"}, {"listValue"}, {"mapValue"}, {"structureValue", "greeting"}}},
	}}
	return m
}

// smithyShapes gives the type and rule an operation's input and output have.
func smithyShapes() map[string]nodeKey {
	return map[string]nodeKey{
		"KitchenSinkOperation":             {reflect.TypeFor[kitchenSink](), "sink"},
		"SimpleScalarProperties":           {reflect.TypeFor[scalars](), "scalars"},
		"JsonEnums":                        {reflect.TypeFor[enums](), "enums"},
		"JsonIntEnums":                     {reflect.TypeFor[intEnums](), "intEnums"},
		"NullOperation":                    {reflect.TypeFor[nulls](), "nulls"},
		"SparseNullsOperation":             {reflect.TypeFor[sparseNulls](), "sparse"},
		"PutAndGetInlineDocuments":         {reflect.TypeFor[documents](), "documents"},
		"ContentTypeParameters":            {reflect.TypeFor[contents](), "contents"},
		"EndpointWithHostLabelOperation":   {reflect.TypeFor[labelled](), "labelled"},
		"EndpointOperation":                {reflect.TypeFor[struct{}](), ""},
		"EmptyOperation":                   {reflect.TypeFor[struct{}](), ""},
		"HostWithPathOperation":            {reflect.TypeFor[struct{}](), ""},
		"OperationWithOptionalInputOutput": {reflect.TypeFor[valued](), ""},
		"JsonUnions":                       {reflect.TypeFor[unions](), "unions"},
		"datetime-offsets":                 {reflect.TypeFor[dated](), "dated"},
		"fractional-seconds":               {reflect.TypeFor[dated](), "dated"},
		"kitchen-sink":                     {reflect.TypeFor[kitchenSink](), "sink"},
		"json-structs":                     {reflect.TypeFor[scalars](), "scalars"},
		"documents":                        {reflect.TypeFor[documents](), "documents"},
		"unions":                           {reflect.TypeFor[unions](), "unions"},
	}
}

// excluded lists the cases that are not run, each with its reason.
func excluded() map[string]string {
	const (
		noInput  = "an operation without input; every operation of Athena and Glue has one, and AWS refuses an empty body"
		noOutput = "an operation without output; every operation of Athena and Glue has one"
		client   = "about how a client reads an error; the server writes them, which TestErrorSnapshots checks"
		endpoint = "about the host a client chooses"
		compress = "request compression, which neither service's model has"
	)
	return map[string]string{
		"json_1_1_service_supports_empty_payload_for_no_input_shape": noInput,
		"sends_requests_to_slash":                                    noInput,
		"includes_x_amz_target_and_content_type":                     noInput,
		"json_1_1_service_responds_with_no_payload":                  noOutput,
		"AwsJson11InvalidGreetingError":                              client,
		"AwsJson11ComplexError":                                      client,
		"AwsJson11EmptyComplexError":                                 client,
		"AwsJson11FooErrorUsingXAmznErrorType":                       client,
		"AwsJson11FooErrorUsingXAmznErrorTypeWithUri":                client,
		"AwsJson11FooErrorUsingXAmznErrorTypeWithUriAndNamespace":    client,
		"AwsJson11FooErrorUsingCode":                                 client,
		"AwsJson11FooErrorUsingCodeAndNamespace":                     client,
		"AwsJson11FooErrorUsingCodeUriAndNamespace":                  client,
		"AwsJson11FooErrorWithDunderType":                            client,
		"AwsJson11FooErrorWithDunderTypeAndNamespace":                client,
		"AwsJson11FooErrorWithDunderTypeAndDifferentNamespace":       client,
		"AwsJson11FooErrorWithDunderTypeUriAndNamespace":             client,
		"AwsJson11FooErrorWithNestedTypeProperty":                    client,
		"MachinelearningPredictEndpoint":                             endpoint,
		"SDKAppliedContentEncoding_awsJson1_1":                       compress,
		"SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_1":    compress,
		"AwsJson11StructuresDontSerializeNullValues":                 "how a client leaves out what is null; its body is decoded by the case for servers",
		"AwsJson11ServersDontSerializeNullStructureValues":           "how a server leaves out what is null; the SDK's Serialize does",
		"handles_empty_output_shape":                                 noOutput,
		"handles_unexpected_json_output":                             noOutput,
		"parses_the_request_id_from_the_response":                    "a header that the dispatcher's tests check",
	}
}

// protocolTests returns the published files by name, from where make puts them.
func protocolTests(t *testing.T) map[string]string {
	t.Helper()
	name := filepath.Join("..", "..", "build", "cache", "smithy", "smithy-aws-protocol-tests-1.74.1.jar")
	z, err := zip.OpenReader(name)
	if err != nil {
		t.Fatalf("cannot open the protocol tests: %v\nmake test fetches them; or: mvn -B dependency:copy -Dartifact=software.amazon.smithy:smithy-aws-protocol-tests:1.74.1 -DoutputDirectory=build/cache/smithy", err)
	}
	defer func() { _ = z.Close() }() // read only
	files := map[string]string{}
	for _, f := range z.File {
		if !strings.HasPrefix(f.Name, "META-INF/smithy/awsJson1_1/") || !strings.HasSuffix(f.Name, ".smithy") {
			continue
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimSuffix(filepath.Base(f.Name), ".smithy")] = string(text)
	}
	return files
}

func TestProtocol(t *testing.T) {
	t.Parallel()
	left := excluded()
	ran := map[string]bool{}
	for file, text := range protocolTests(t) {
		requests, replies, err := smithyCases(text)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, c := range slices.Concat(requests, replies) {
			id, _ := c["id"].(string)
			if _, ok := excluded()[id]; ok {
				delete(left, id)
				continue
			}
			ran[id] = true
			t.Run(file+"/"+id, func(t *testing.T) { runProtocolCase(t, file, c) })
		}
	}
	for id := range left {
		t.Errorf("%s is excluded but does not exist", id)
	}
	if len(ran) < 80 {
		t.Errorf("ran %d cases, the release has more: %v", len(ran), slices.Sorted(maps.Keys(ran)))
	}
}

// runProtocolCase decodes the body of a case and compares with its parameters.
func runProtocolCase(t *testing.T, file string, c map[string]any) {
	headers, _ := c["headers"].(map[string]any)
	target, _ := headers["X-Amz-Target"].(string)
	_, operation, ok := strings.Cut(target, ".")
	if !ok {
		operation = file
	}
	shape, ok := smithyShapes()[operation]
	if !ok {
		shape, ok = smithyShapes()[operationByID(c)]
	}
	if !ok {
		t.Fatalf("no shape for %s in %s", operation, file)
	}
	open := []Open{
		Document(func(v any) anyDocument { return freeDocument{v} }),
		Union[myUnion](&myUnionMemberStringValue{}, &myUnionMemberBooleanValue{}, &myUnionMemberNumberValue{},
			&myUnionMemberBlobValue{}, &myUnionMemberTimestampValue{}, &myUnionMemberEnumValue{}, &myUnionMemberListValue{},
			&myUnionMemberMapValue{}, &myUnionMemberStructureValue{}),
	}
	b := &builder{model: smithyRules(), open: open, made: map[nodeKey]*node{}}
	codec := &codec{root: b.node(shape.typ, shape.shape)}
	codec.once.Do(func() {})

	body, _ := c["body"].(string)
	v := reflect.New(shape.typ).Elem()
	if err := codec.decode([]byte(body), v); err != nil {
		t.Fatalf("cannot decode %s: %q", body, err)
	}
	params, _ := c["params"].(map[string]any)
	wantValue(t, operation, v, codec.root, params)
}

// operationByID tells apart the cases of replies that share a file.
func operationByID(c map[string]any) string {
	switch id, _ := c["id"].(string); id {
	case "AwsJson11Enums":
		return "JsonEnums"
	case "AwsJson11IntEnums":
		return "JsonIntEnums"
	case "AwsJson11StructuresDontDeserializeNullValues":
		return "NullOperation"
	case "AwsJson11SparseMapsDeserializeNullValues", "AwsJson11SparseListsDeserializeNull":
		return "SparseNullsOperation"
	}
	return ""
}

// wantValue compares a decoded value with a case's parameter.
func wantValue(t *testing.T, where string, v reflect.Value, n *node, want any) {
	t.Helper()
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			if want != nil {
				t.Errorf("%s is absent, want %v", where, want)
			}
			return
		}
		v = v.Elem()
	}
	switch n.kind {
	case kindStruct:
		members, _ := want.(map[string]any)
		for _, f := range n.fields {
			if w, ok := members[f.name]; ok {
				wantValue(t, where+"."+f.name, v.FieldByIndex(f.at), f.node, w)
			} else if !v.FieldByIndex(f.at).IsZero() {
				t.Errorf("%s.%s is %v, want it absent", where, f.name, v.FieldByIndex(f.at))
			}
		}
	case kindUnion:
		members, _ := want.(map[string]any)
		for _, f := range n.fields {
			if w, ok := members[f.name]; ok {
				if got := v.Elem().Elem().Type(); got != f.as {
					t.Fatalf("%s is a %s, want %s", where, got, f.as)
				}
				wantValue(t, where+"."+f.name, v.Elem().Elem().FieldByIndex(f.at), f.node, w)
			}
		}
	case kindList:
		items, _ := want.([]any)
		if v.IsNil() || v.Len() != len(items) {
			t.Fatalf("%s is %v, want %v", where, v, want)
		}
		for i, w := range items {
			wantValue(t, where, v.Index(i), n.item, w)
		}
	case kindMap:
		entries, _ := want.(map[string]any)
		if v.IsNil() || v.Len() != len(entries) {
			t.Fatalf("%s is %v, want %v", where, v, want)
		}
		for k, w := range entries {
			wantValue(t, where+"."+k, v.MapIndex(reflect.ValueOf(k)), n.item, w)
		}
	default:
		wantScalar(t, where, v, want)
	}
}

// wantScalar compares a value that has no parts.
func wantScalar(t *testing.T, where string, v reflect.Value, want any) {
	t.Helper()
	var got any
	switch x := v.Interface().(type) {
	case time.Time:
		w, isInt := want.(int64)
		if f, ok := want.(float64); ok && !isInt {
			got, want = float64(x.UnixMilli())/1000, f
		} else {
			got, want = x.Unix(), w
		}
	case []byte:
		got = string(x)
	case anyDocument:
		got = x.document()
	default:
		switch v.Kind() {
		case reflect.String:
			got = v.String()
		case reflect.Bool:
			got = v.Bool()
		case reflect.Int32, reflect.Int64:
			got = v.Int()
		default:
			got, want = v.Float(), named2float(want)
			if f, _ := want.(float64); math.IsNaN(f) {
				got, want = math.IsNaN(v.Float()), true
			}
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s is %v (%T), want %v (%T)", where, got, got, want, want)
	}
}

// named2float reads a parameter of a floating-point member.
func named2float(want any) any {
	switch want {
	case "NaN":
		return math.NaN()
	case "Infinity":
		return math.Inf(1)
	case "-Infinity":
		return math.Inf(-1)
	}
	return want
}
