package workgroup_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"glaux/internal/fault"
	. "glaux/internal/workgroup"
)

// readBack is a configuration as it is read back after a creation and updates.
func readBack(t *testing.T, f fixture, first Config, updates ...ConfigUpdate) string {
	t.Helper()
	f.mustCreate(t, Creation{Name: "w", Config: first})
	for _, u := range updates {
		wantNil(t, f.Update(t.Context(), root, "w", Update{Config: &u}))
	}
	w, err := f.Get(t.Context(), root, "w")
	wantNil(t, err)
	b, err := json.Marshal(w.Config)
	wantNil(t, err)
	return string(b)
}

func TestUpdateConfig(t *testing.T) {
	on := func() *Monitoring {
		return &Monitoring{
			CloudWatch: &CloudWatchLogging{Enabled: true, LogGroup: ptr("g"), StreamPrefix: ptr("p"), LogTypes: map[string][]string{"SPARK_DRIVER": {}, "SPARK_EXECUTOR": {"STDOUT"}}},
			Managed:    &ManagedLogging{Enabled: true, KMSKey: ptr("k")},
			S3:         &S3Logging{Enabled: true, LogLocation: ptr("s3://bkt/l"), KMSKey: ptr("k")},
		}
	}
	off := func() *Monitoring {
		return &Monitoring{CloudWatch: &CloudWatchLogging{LogGroup: ptr("g")}, Managed: &ManagedLogging{KMSKey: ptr("k")}, S3: &S3Logging{}}
	}
	allOn := `{"CloudWatch":{"Enabled":true,"LogGroup":"g","StreamPrefix":"p","LogTypes":{"SPARK_DRIVER":[],"SPARK_EXECUTOR":["STDOUT"]}},` +
		`"Managed":{"Enabled":true,"KMSKey":"k"},"S3":{"Enabled":true,"KMSKey":"k","LogLocation":"s3://bkt/l"}}`
	result := &ResultConfig{OutputLocation: "s3://bkt", EncryptionOption: "SSE_KMS", KMSKey: "k", ExpectedBucketOwner: account, ACL: "BUCKET_OWNER_FULL_CONTROL"}
	for _, c := range []struct {
		what    string
		first   Config
		updates []ConfigUpdate
		want    string
	}{
		{"nothing given", Config{}, []ConfigUpdate{{}}, `{"SelectedEngine":"AUTO"}`},
		{"switches", Config{Enforce: ptr(true), PublishMetrics: ptr(true)},
			[]ConfigUpdate{{Enforce: ptr(false), RequesterPays: ptr(true), MinimumEncryption: ptr(true)}},
			`{"Enforce":false,"PublishMetrics":true,"RequesterPays":true,"SelectedEngine":"AUTO","MinimumEncryption":true}`},
		{"cutoff", Config{}, []ConfigUpdate{{BytesScannedCutoff: ptr[int64](1e7)}}, `{"BytesScannedCutoff":10000000,"SelectedEngine":"AUTO"}`},
		{"cutoff removed", Config{BytesScannedCutoff: ptr[int64](1e7)}, []ConfigUpdate{{RemoveBytesScannedCutoff: true}}, `{"SelectedEngine":"AUTO"}`},
		{"cutoff removed and given", Config{}, []ConfigUpdate{{BytesScannedCutoff: ptr[int64](1e7), RemoveBytesScannedCutoff: true}}, `{"SelectedEngine":"AUTO"}`},
		{"content key", Config{}, []ConfigUpdate{{ContentKMSKey: ptr("k")}}, `{"SelectedEngine":"AUTO","ContentKMSKey":"k"}`},
		{"content key removed", Config{ContentKMSKey: ptr("k")}, []ConfigUpdate{{RemoveContentKMSKey: true}}, `{"SelectedEngine":"AUTO"}`},
		{"SQL engine", Config{}, []ConfigUpdate{{SelectedEngine: EngineSQL}}, `{"SelectedEngine":"Athena engine version 3"}`},
		{"role and additional configuration", pyspark(Config{}), []ConfigUpdate{{ExecutionRole: role + "2", AdditionalConfig: ptr("{}")}},
			`{"SelectedEngine":"PySpark engine version 3","AdditionalConfig":"{}","ExecutionRole":"` + role + `2"}`},
		{"engine configuration is replaced", pyspark(Config{Engine: &EngineConfig{MaxConcurrentDPUs: ptr[int32](5), SparkProperties: map[string]string{"spark.a": "1"}}}),
			[]ConfigUpdate{{Engine: &EngineConfig{SparkProperties: map[string]string{"spark.b": "2"}}}},
			`{"SelectedEngine":"PySpark engine version 3","ExecutionRole":"` + role + `","Engine":{"SparkProperties":{"spark.b":"2"}}}`},
		{"result configuration", Config{}, []ConfigUpdate{{Result: &ResultUpdate{OutputLocation: ptr("s3://bkt/x"), EncryptionOption: ptr("SSE_S3"), ExpectedBucketOwner: ptr(account), ACL: ptr("A")}}},
			`{"Result":{"OutputLocation":"s3://bkt/x","EncryptionOption":"SSE_S3","ExpectedBucketOwner":"` + account + `","ACL":"A"},"SelectedEngine":"AUTO"}`},
		{"result configuration kept", Config{Result: result}, []ConfigUpdate{{Result: &ResultUpdate{OutputLocation: ptr("s3://ckt")}}},
			`{"Result":{"OutputLocation":"s3://ckt","EncryptionOption":"SSE_KMS","KMSKey":"k","ExpectedBucketOwner":"` + account + `","ACL":"BUCKET_OWNER_FULL_CONTROL"},"SelectedEngine":"AUTO"}`},
		{"encryption replaced with its key", Config{Result: result}, []ConfigUpdate{{Result: &ResultUpdate{EncryptionOption: ptr("SSE_S3"), RemoveACL: true, RemoveExpectedBucketOwner: true}}},
			`{"Result":{"OutputLocation":"s3://bkt","EncryptionOption":"SSE_S3"},"SelectedEngine":"AUTO"}`},
		{"all of the result configuration removed", Config{Result: result}, []ConfigUpdate{{Result: &ResultUpdate{
			OutputLocation: ptr("s3://ckt"), RemoveOutputLocation: true, RemoveEncryption: true, RemoveExpectedBucketOwner: true, RemoveACL: true,
		}}}, `{"Result":{},"SelectedEngine":"AUTO"}`},
		{"managed results", Config{}, []ConfigUpdate{{ManagedResults: &ManagedResultsUpdate{Enabled: ptr(true), KMSKey: ptr("k")}}},
			`{"ManagedResults":{"Enabled":true,"KMSKey":"k"},"SelectedEngine":"AUTO"}`},
		{"managed results' key removed", Config{ManagedResults: &ManagedResults{Enabled: true, KMSKey: ptr("k")}}, []ConfigUpdate{{ManagedResults: &ManagedResultsUpdate{RemoveKMSKey: true}}},
			`{"ManagedResults":{"Enabled":true},"SelectedEngine":"AUTO"}`},
		{"from a location to managed results", Config{Result: &ResultConfig{OutputLocation: "s3://bkt"}},
			[]ConfigUpdate{{Result: &ResultUpdate{RemoveOutputLocation: true}, ManagedResults: &ManagedResultsUpdate{Enabled: ptr(true)}}},
			`{"Result":{},"ManagedResults":{"Enabled":true},"SelectedEngine":"AUTO"}`},
		{"access grants", Config{}, []ConfigUpdate{{ResultsAccessGrants: &ResultsAccessGrants{Enabled: true, AuthenticationType: "DIRECTORY_IDENTITY"}}},
			`{"SelectedEngine":"AUTO","ResultsAccessGrants":{"Enabled":true,"AuthenticationType":"DIRECTORY_IDENTITY"}}`},
		{"monitoring on", Config{Monitoring: on()}, nil, `{"SelectedEngine":"AUTO","Monitoring":` + allOn + `}`},
		{"monitoring turned on", Config{}, []ConfigUpdate{{Monitoring: on()}}, `{"SelectedEngine":"AUTO","Monitoring":` + allOn + `}`},
		{"monitoring turned off", Config{Monitoring: on()}, []ConfigUpdate{{Monitoring: off()}}, `{"SelectedEngine":"AUTO","Monitoring":{"Managed":{"Enabled":false}}}`},
		{"monitoring off from the beginning", Config{Monitoring: off()}, nil, `{"SelectedEngine":"AUTO","Monitoring":{"Managed":{"Enabled":false}}}`},
		{"monitoring off, then not given", Config{Monitoring: off()}, []ConfigUpdate{{Enforce: ptr(true)}}, `{"Enforce":true,"SelectedEngine":"AUTO","Monitoring":{"Managed":{"Enabled":false}}}`},
	} {
		t.Run(c.what, func(t *testing.T) {
			if got := readBack(t, newFixture(t), c.first, c.updates...); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestUpdateRefuses(t *testing.T) {
	for _, c := range []struct {
		what, name string
		u          ConfigUpdate
		text       string
	}{
		{"SQL to Spark", "primary", ConfigUpdate{SelectedEngine: EnginePySpark, ExecutionRole: role}, "The analytics engine of a WorkGroup cannot be changed between Athena SQL and Apache Spark."},
		{"Spark to SQL", "spark35", ConfigUpdate{SelectedEngine: EngineAuto}, "The analytics engine of a WorkGroup cannot be changed between Athena SQL and Apache Spark."},
		{"v3 to 3.5", "spark", ConfigUpdate{SelectedEngine: EngineSpark35}, "The engine version of a WorkGroup cannot be changed from PySpark engine version 3 to Apache Spark version 3.5."},
		{"3.5 to v3", "spark35", ConfigUpdate{SelectedEngine: EnginePySpark}, "The engine version of a WorkGroup cannot be changed from Apache Spark version 3.5 to PySpark engine version 3."},
		{"an unknown engine", "primary", ConfigUpdate{SelectedEngine: "Athena engine version 1"}, "Engine version Athena engine version 1 is not supported."},
		{"a bad location", "spark", ConfigUpdate{Result: &ResultUpdate{OutputLocation: ptr("s3//x")}}, "outputLocation is not a valid S3 path."},
		{"a location on the way up", "spark", ConfigUpdate{Result: &ResultUpdate{OutputLocation: ptr("s3://bkt/x/..")}}, "outputLocation is not a valid S3 path."},
		{"KMS without key", "spark", ConfigUpdate{Result: &ResultUpdate{EncryptionOption: ptr("CSE_KMS")}}, "kmsKey is null or empty"},
		{"managed results beside a location", "primary", ConfigUpdate{ManagedResults: &ManagedResultsUpdate{Enabled: ptr(true)}}, "Managed query results cannot be enabled together with an output location."},
		{"properties on 3.5", "spark35", ConfigUpdate{Engine: &EngineConfig{SparkProperties: map[string]string{"spark.a": "b"}}}, "SparkProperties is not supported for Apache Spark version 3.5; use Classifications."},
	} {
		t.Run(c.what, func(t *testing.T) {
			f := newFixture(t)
			before, err := f.Get(t.Context(), root, c.name)
			wantNil(t, err)
			wantFault(t, f.Update(t.Context(), root, c.name, Update{Description: ptr("changed"), Config: &c.u}), fault.Invalid, c.text)
			after, err := f.Get(t.Context(), root, c.name)
			wantNil(t, err)
			if after.Version != before.Version || after.Description != before.Description {
				t.Fatalf("a refused update changed something: %+v", after)
			}
		})
	}
}

func TestUpdateRest(t *testing.T) {
	f := newFixture(t)
	f.mustCreate(t, Creation{Name: "w", Description: "first"})
	wantNil(t, f.Update(t.Context(), root, "w", Update{State: Disabled}))
	w, _ := f.Get(t.Context(), root, "w")
	if w.State != Disabled || w.Description != "first" {
		t.Fatalf("got %+v", w)
	}
	wantNil(t, f.Update(t.Context(), root, "w", Update{Description: ptr(""), State: Enabled}))
	w, _ = f.Get(t.Context(), root, "w")
	if w.State != Enabled || w.Description != "" {
		t.Fatalf("got %+v", w)
	}
}

func TestTagging(t *testing.T) {
	f := newFixture(t)
	arn := home.Workgroup("spark")
	list := func() string {
		t.Helper()
		all, next, err := f.Tags(t.Context(), root, arn, Page{})
		wantNil(t, err)
		var b strings.Builder
		for _, tag := range all {
			b.WriteString(tag.Key + "=" + tag.Value + " ")
		}
		return b.String() + next
	}
	wantNil(t, f.Tag(t.Context(), root, arn, []Tag{{"b", "1"}, {"a", ""}, {"Team Name", "x@y"}}))
	wantNil(t, f.Tag(t.Context(), root, arn, []Tag{{"b", "2"}}))
	if got := list(); got != "Team Name=x@y a= b=2 " {
		t.Fatalf("got %q", got)
	}
	wantNil(t, f.Untag(t.Context(), root, arn, []string{"a", "nobody"}))
	if got := list(); got != "Team Name=x@y b=2 " {
		t.Fatalf("got %q", got)
	}
	inherited, err := f.WorkgroupTags(t.Context(), account, "spark")
	wantNil(t, err)
	if len(inherited) != 2 {
		t.Fatalf("got %v", inherited)
	}
	part, next, err := f.Tags(t.Context(), root, arn, Page{Size: 1})
	wantNil(t, err)
	rest, end, err := f.Tags(t.Context(), root, arn, Page{Size: 1, Token: next})
	wantNil(t, err)
	if part[0].Key != "Team Name" || rest[0].Key != "b" || end != "" {
		t.Fatalf("pages %v, %v and %q", part, rest, end)
	}
	_, _, err = f.Tags(t.Context(), root, home.Workgroup("primary"), Page{Token: next})
	wantFault(t, err, fault.Invalid, "The nextPageToken is malformed: "+next)

	wantFault(t, f.Tag(t.Context(), root, arn, tags(49)), fault.Invalid, "A resource can have at most 50 tags.")
	wantNil(t, f.Tag(t.Context(), root, arn, tags(48)))
	wantNil(t, f.Tag(t.Context(), root, arn, []Tag{{"b", "3"}}))
	wantFault(t, f.Tag(t.Context(), root, arn, []Tag{{"c", ""}}), fault.Invalid, "A resource can have at most 50 tags.")
	wantFault(t, f.Tag(t.Context(), root, arn, []Tag{{"aws:x", ""}}), fault.Invalid, "aws: prefixed tag key names are not allowed for external use.")
	if err := f.Untag(t.Context(), root, arn, []string{""}); fault.Of(err) != fault.Invalid {
		t.Fatalf("got error %v", err)
	}
}

func TestTagsOfNothing(t *testing.T) {
	f := newFixture(t)
	for _, arn := range []string{
		home.Workgroup("nobody"), home.Session("spark", "nobody"), home.Workgroup(""), home.Workgroup("spark") + "/session/",
		home.Workgroup("spark") + "/x", "arn:aws:athena:us-east-1:000000000000:datacatalog/x",
		"arn:aws:athena:eu-west-1:000000000000:workgroup/spark", "arn:aws:athena:us-east-1:111111111111:workgroup/spark", "spark",
	} {
		_, _, err := f.Tags(t.Context(), root, arn, Page{})
		for _, err := range []error{err, f.Tag(t.Context(), root, arn, tags(1)), f.Untag(t.Context(), root, arn, []string{"k"})} {
			wantFault(t, err, fault.NotFound, "Resource "+arn+" is not found.")
			if f, ok := errors.AsType[*fault.Error](err); !ok || f.Resource != arn {
				t.Fatalf("the failure does not name %q: %+v", arn, f)
			}
		}
	}
}
