package workgroup_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"glaux/internal/access"
	"glaux/internal/fault"
	"glaux/internal/ident"
	"glaux/internal/session"
	"glaux/internal/store/storetest"
	. "glaux/internal/workgroup"
)

const (
	account = "000000000000"
	role    = "arn:aws:iam::000000000000:role/spark"
)

var (
	home = ident.Home{Partition: "aws", Region: "us-east-1", Account: account}
	root = access.Caller{Account: account, ARN: "arn:aws:iam::000000000000:root", UserID: account}
)

// decider allows everything but the actions in denied, and writes down what it was asked.
type decider struct {
	denied string

	mu    sync.Mutex
	asked []string
}

func (d *decider) Decide(_ context.Context, _ access.Caller, action, resource string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, action+" "+resource)
	if action == d.denied {
		return fault.New(fault.Denied, "no")
	}
	return nil
}

// ender ends sessions by asking them to, in the store.
type ender struct {
	store *storetest.Memory
	err   error
}

func (e ender) EndWorkgroup(ctx context.Context, account, name string) error {
	if e.err != nil {
		return e.err
	}
	live, err := e.store.Sessions(ctx, session.Query{Account: account, Workgroup: name})
	for _, s := range live {
		if _, err := e.store.UpdateSession(ctx, s.Key, func(s *session.Session) error { s.Desired = session.Ended; return nil }); err != nil {
			return err
		}
	}
	return err
}

type fixture struct {
	*Manager
	store  *storetest.Memory
	access *decider
}

// newFixture is a manager over the default workgroups.
func newFixture(t *testing.T) fixture {
	t.Helper()
	f := fixture{store: storetest.NewMemory(), access: &decider{}}
	f.Manager = New(f.store, f.access, home, ident.NewPages([]byte("0123456789abcdef")))
	f.EndSessionsWith(ender{store: f.store})
	if err := CreateDefaults(t.Context(), f.store, Defaults(account, "s3://results", role)); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f fixture) mustCreate(t *testing.T, c Creation) Workgroup {
	t.Helper()
	if err := f.Create(t.Context(), root, c); err != nil {
		t.Fatalf("Create %q: %v", c.Name, err)
	}
	w, err := f.Get(t.Context(), root, c.Name)
	if err != nil {
		t.Fatalf("Get %q: %v", c.Name, err)
	}
	return w
}

// wantFault fails unless err is a fault of the kind with the text.
func wantFault(t *testing.T, err error, kind fault.Kind, text string) {
	t.Helper()
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Kind != kind || f.Message != text {
		t.Fatalf("got error %v, want %q of kind %d", err, text, kind)
	}
	if kind == fault.Invalid && f.Code != fault.CodeInvalidInput {
		t.Fatalf("code %q of %q", f.Code, text)
	}
}

func wantNil(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func spark35(c Config) Config { c.SelectedEngine, c.ExecutionRole = EngineSpark35, role; return c }
func pyspark(c Config) Config { c.SelectedEngine, c.ExecutionRole = EnginePySpark, role; return c }

func ptr[T any](v T) *T { return &v }

func tags(n int) []Tag {
	all := make([]Tag, n)
	for i := range all {
		all[i] = Tag{Key: fmt.Sprintf("k%02d", i), Value: "v"}
	}
	return all
}

func TestCreateRefuses(t *testing.T) {
	const (
		keyRule = " is not valid: 1 to 128 letters, digits, spaces and + - = . _ : / @ are allowed."
		valRule = " is not valid: at most 256 letters, digits, spaces and + - = . _ : / @ are allowed."
	)
	for _, c := range []struct {
		what string
		in   Creation
		text string
	}{
		{"primary", Creation{Name: "primary"}, "WorkGroup is already created"},
		{"a name that is there", Creation{Name: "spark"}, "WorkGroup is already created"},
		{"empty tags", Creation{Tags: []Tag{}}, "Tags provided upon WorkGroup creation must not be empty"},
		{"51 tags", Creation{Tags: tags(51)}, "A resource can have at most 50 tags."},
		{"a tag twice", Creation{Tags: []Tag{{Key: "a"}, {Key: "a"}}}, "Tag key a is given more than once."},
		{"a reserved tag", Creation{Tags: []Tag{{Key: "AWS:x"}}}, "aws: prefixed tag key names are not allowed for external use."},
		{"an empty tag key", Creation{Tags: []Tag{{Key: ""}}}, "Tag key " + keyRule},
		{"a long tag key", Creation{Tags: []Tag{{Key: strings.Repeat("é", 129)}}}, "Tag key " + strings.Repeat("é", 129) + keyRule},
		{"a tag key with a star", Creation{Tags: []Tag{{Key: "a*"}}}, "Tag key a*" + keyRule},
		{"a long tag value", Creation{Tags: []Tag{{Key: "a", Value: strings.Repeat("v", 257)}}}, "The value of tag a" + valRule},
		{"a tag value with a newline", Creation{Tags: []Tag{{Key: "a", Value: "\n"}}}, "The value of tag a" + valRule},
		{"an unknown engine", Creation{Config: Config{SelectedEngine: "Athena engine version 2"}}, "Engine version Athena engine version 2 is not supported."},
		{"Spark without a role", Creation{Config: Config{SelectedEngine: EnginePySpark}}, "executionRole is null or empty"},
		{"Spark 3.5 without a role", Creation{Config: Config{SelectedEngine: EngineSpark35}}, "executionRole is null or empty"},
		{"an identity center without a role", Creation{Config: Config{IdentityCenter: &IdentityCenter{Enabled: ptr(true)}}}, "executionRole is null or empty"},
		{"a location that is none", Creation{Config: Config{Result: &ResultConfig{OutputLocation: "/tmp"}}}, "outputLocation is not a valid S3 path."},
		{"a location without bucket", Creation{Config: Config{Result: &ResultConfig{OutputLocation: "s3:///a"}}}, "outputLocation is not a valid S3 path."},
		{"a location on the way up", Creation{Config: Config{Result: &ResultConfig{OutputLocation: "s3://bkt/../x"}}}, "outputLocation is not a valid S3 path."},
		{"a location that goes nowhere", Creation{Config: Config{Result: &ResultConfig{OutputLocation: "s3://bkt/x/./"}}}, "outputLocation is not a valid S3 path."},
		{"a location in a bucket that cannot be", Creation{Config: Config{Result: &ResultConfig{OutputLocation: "s3://a..b/x"}}}, "outputLocation is not a valid S3 path."},
		{"KMS without key", Creation{Config: Config{Result: &ResultConfig{EncryptionOption: "SSE_KMS"}}}, "kmsKey is null or empty"},
		{"managed results with a location", Creation{Config: Config{
			ManagedResults: &ManagedResults{Enabled: true}, Result: &ResultConfig{OutputLocation: "s3://bkt/"},
		}}, "Managed query results cannot be enabled together with an output location."},
		{"too many DPUs", Creation{Config: pyspark(Config{Engine: &EngineConfig{MaxConcurrentDPUs: ptr[int32](61)}})},
			"MaxConcurrentDpus must not be greater than 60 for PySpark engine version 3."},
		{"CoordinatorDpuSize on 3.5", Creation{Config: spark35(Config{Engine: &EngineConfig{CoordinatorDPUs: ptr[int32](1)}})},
			"CoordinatorDpuSize is not supported for Apache Spark version 3.5; use Classifications."},
		{"DefaultExecutorDpuSize on 3.5", Creation{Config: spark35(Config{Engine: &EngineConfig{ExecutorDPUs: ptr[int32](1)}})},
			"DefaultExecutorDpuSize is not supported for Apache Spark version 3.5; use Classifications."},
		{"SparkProperties on 3.5", Creation{Config: spark35(Config{Engine: &EngineConfig{SparkProperties: map[string]string{"spark.a": "b"}}})},
			"SparkProperties is not supported for Apache Spark version 3.5; use Classifications."},
		{"an unknown classification", Creation{Config: spark35(Config{Engine: &EngineConfig{Classifications: []Classification{{Name: "core-site"}}}})},
			"Classification core-site is not supported for Apache Spark version 3.5."},
		{"a classification twice", Creation{Config: pyspark(Config{Engine: &EngineConfig{Classifications: []Classification{{Name: SparkDefaults}, {Name: SparkDefaults}}}})},
			"Classification spark-defaults is given more than once."},
		{"a Spark classification for SQL", Creation{Config: Config{Engine: &EngineConfig{Classifications: []Classification{{Name: SparkDefaults}}}}},
			"Classification spark-defaults is not supported for Athena engine version 3."},
		{"an unknown property for SQL", Creation{Config: Config{Engine: &EngineConfig{Classifications: []Classification{{Name: QueryDPUs, Properties: map[string]string{"x": "1"}}}}}},
			"Property x is not supported in the classification athena-query-engine-properties."},
	} {
		t.Run(c.what, func(t *testing.T) {
			f := newFixture(t)
			if c.in.Name == "" {
				c.in.Name = "new"
			}
			wantFault(t, f.Create(t.Context(), root, c.in), fault.Invalid, c.text)
			all, _, err := f.List(t.Context(), root, Page{})
			wantNil(t, err)
			if len(all) != 3 {
				t.Fatalf("there are %d workgroups after a refused creation", len(all))
			}
		})
	}
}

func TestCreateAccepts(t *testing.T) {
	f := newFixture(t)
	for _, c := range []Config{
		{},
		{SelectedEngine: EngineSQL},
		{Result: &ResultConfig{OutputLocation: "s3://my.bucket-1/a b/ü"}},
		{Result: &ResultConfig{OutputLocation: "s3://bkt/.hidden/a..b/.../x."}},
		{Result: &ResultConfig{EncryptionOption: "SSE_S3"}},
		{ManagedResults: &ManagedResults{}, Result: &ResultConfig{OutputLocation: "s3://bkt"}},
		{Engine: &EngineConfig{Classifications: []Classification{{Name: QueryDPUs, Properties: map[string]string{"min-dpu-count": "4", "max-dpu-count": "8"}}}}},
		pyspark(Config{Engine: &EngineConfig{CoordinatorDPUs: ptr[int32](1), MaxConcurrentDPUs: ptr[int32](60), ExecutorDPUs: ptr[int32](1), SparkProperties: map[string]string{"spark.a": "b"}}}),
		spark35(Config{}),
		spark35(Config{Engine: &EngineConfig{MaxConcurrentDPUs: ptr[int32](5000), Classifications: []Classification{{Name: SparkDefaults, Properties: map[string]string{"spark.a": "b"}}}}}),
	} {
		f.mustCreate(t, Creation{Name: ident.NewID(), Config: c, Tags: tags(50)})
	}
}

func TestQuota(t *testing.T) {
	f := newFixture(t)
	for i := range MaxWorkgroups - 3 {
		wantNil(t, f.Create(t.Context(), root, Creation{Name: fmt.Sprint("w", i)}))
	}
	wantFault(t, f.Create(t.Context(), root, Creation{Name: "more"}), fault.Invalid, "Maximum number of workgroups (1000) reached")
	wantNil(t, f.Delete(t.Context(), root, "w0", false))
	wantNil(t, f.Create(t.Context(), root, Creation{Name: "more"}))
}

func TestCreateRace(t *testing.T) {
	f := newFixture(t)
	errs := make([]error, 8)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() { errs[i] = f.Create(t.Context(), root, Creation{Name: "one", Description: fmt.Sprint(i)}) })
	}
	all.Wait()
	w, err := f.Get(t.Context(), root, "one")
	wantNil(t, err)
	for i, err := range errs {
		if fmt.Sprint(i) == w.Description {
			wantNil(t, err)
		} else {
			wantFault(t, err, fault.Invalid, "WorkGroup is already created")
		}
	}
}

func TestNotFound(t *testing.T) {
	f := newFixture(t)
	_, err := f.Get(t.Context(), root, "nobody")
	wantFault(t, err, fault.Invalid, "WorkGroup is not found.")
	_, err = f.Find(t.Context(), "111111111111", "primary")
	wantFault(t, err, fault.Invalid, "WorkGroup is not found.")
	_, err = f.WorkgroupTags(t.Context(), account, "nobody")
	wantFault(t, err, fault.Invalid, "WorkGroup is not found.")
	wantFault(t, f.Update(t.Context(), root, "nobody", Update{}), fault.Invalid, "WorkGroup is not found.")
	wantFault(t, f.Delete(t.Context(), root, "nobody", true), fault.Invalid, "WorkGroup is not found.")
}

func TestDelete(t *testing.T) {
	f := newFixture(t)
	wantFault(t, f.Delete(t.Context(), root, "primary", true), fault.Invalid, "The primary workgroup cannot be deleted.")
	wantNil(t, f.Delete(t.Context(), root, "spark35", false))

	live := session.Session{Key: "k", ID: "k", Account: account, Face: session.Athena, Workgroup: "spark", Desired: session.Idle, State: session.Idle}
	_, _, err := f.store.CreateSession(t.Context(), session.Creation{Session: live})
	wantNil(t, err)
	wantFault(t, f.Delete(t.Context(), root, "spark", false), fault.Invalid, "WorkGroup spark is not empty")
	broken := errors.New("broken")
	f.EndSessionsWith(ender{err: broken})
	if err := f.Delete(t.Context(), root, "spark", true); !errors.Is(err, broken) {
		t.Fatalf("got error %v", err)
	}
	f.EndSessionsWith(ender{store: f.store})
	wantNil(t, f.Delete(t.Context(), root, "spark", true))
	live, err = f.store.Session(t.Context(), "k")
	wantNil(t, err)
	if live.Desired != session.Ended {
		t.Fatal("the session of a deleted workgroup was not asked to end")
	}
}

func TestList(t *testing.T) {
	f := newFixture(t)
	for i := range 60 {
		f.mustCreate(t, Creation{Name: fmt.Sprintf("w%02d", i)})
	}
	var names []string
	var sizes []int
	page := Page{}
	for {
		part, next, err := f.List(t.Context(), root, page)
		wantNil(t, err)
		for _, w := range part {
			names = append(names, w.Name)
		}
		sizes = append(sizes, len(part))
		if next == "" {
			break
		}
		page = Page{Size: 7, Token: next}
	}
	if fmt.Sprint(sizes) != "[50 7 6]" || len(names) != 63 || names[0] != "primary" || names[3] != "w00" || names[62] != "w59" {
		t.Fatalf("pages of %v: %v", sizes, names)
	}
	_, next, err := f.List(t.Context(), root, Page{Size: 63})
	wantNil(t, err)
	if next != "" {
		t.Fatal("the last page has a token")
	}
	_, _, err = f.List(t.Context(), root, Page{Token: "abc"})
	wantFault(t, err, fault.Invalid, "The nextPageToken is malformed: abc")
	other := root
	other.UserID = "AIDAOTHER"
	_, _, err = f.List(t.Context(), other, page)
	wantFault(t, err, fault.Invalid, "The nextPageToken is malformed: "+page.Token)
	_, _, err = f.ListEngineVersions(t.Context(), root, page)
	wantFault(t, err, fault.Invalid, "The nextPageToken is malformed: "+page.Token)
}

func TestEngineVersions(t *testing.T) {
	f := newFixture(t)
	all, next, err := f.ListEngineVersions(t.Context(), root, Page{})
	wantNil(t, err)
	want := "[{AUTO Athena engine version 3} {Athena engine version 3 Athena engine version 3} " +
		"{PySpark engine version 3 PySpark engine version 3} {Apache Spark version 3.5 Apache Spark version 3.5}]"
	if fmt.Sprint(all) != want || next != "" {
		t.Fatalf("got %v and token %q", all, next)
	}
	var paged []EngineVersion
	page := Page{Size: 3}
	for range 2 {
		part, next, err := f.ListEngineVersions(t.Context(), root, page)
		wantNil(t, err)
		paged, page.Token = append(paged, part...), next
	}
	if fmt.Sprint(paged) != want || page.Token != "" {
		t.Fatalf("got %v in pages and token %q", paged, page.Token)
	}
}

func TestDefaults(t *testing.T) {
	f := newFixture(t)
	all, _, err := f.List(t.Context(), root, Page{})
	wantNil(t, err)
	var got []string
	for _, w := range all {
		got = append(got, strings.Join([]string{w.Name, w.State, w.Config.SelectedEngine, w.Config.Effective(), w.Config.Result.OutputLocation, w.Config.ExecutionRole}, " "))
		if w.Created.IsZero() {
			t.Errorf("%s has no creation time", w.Name)
		}
	}
	want := []string{
		"primary ENABLED AUTO Athena engine version 3 s3://results/primary ",
		"spark ENABLED PySpark engine version 3 PySpark engine version 3 s3://results/spark " + role,
		"spark35 ENABLED Apache Spark version 3.5 Apache Spark version 3.5 s3://results/spark35 " + role,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Fatalf("got\n%s", strings.Join(got, "\n"))
	}
	// A later start brings nothing back and changes nothing.
	wantNil(t, f.Delete(t.Context(), root, "spark", false))
	wantNil(t, CreateDefaults(t.Context(), f.store, Defaults(account, "s3://elsewhere", role)))
	all, _, err = f.List(t.Context(), root, Page{})
	wantNil(t, err)
	if len(all) != 2 || all[0].Config.Result.OutputLocation != "s3://results/primary" {
		t.Fatalf("after a later start: %v", all)
	}
}

// TestDefaultsAgain cuts the first start short at every workgroup: the next
// start goes on.
func TestDefaultsAgain(t *testing.T) {
	for cut := range 3 {
		store := storetest.NewMemory()
		writes := 0
		errCut := errors.New("cut")
		store.Fail = func(method string) error {
			if method == "CreateWorkgroup" {
				if writes == cut {
					return errCut
				}
				writes++
			}
			return nil
		}
		defaults := Defaults(account, "s3://results", role)
		if err := CreateDefaults(t.Context(), store, defaults); !errors.Is(err, errCut) {
			t.Fatalf("got error %v", err)
		}
		store.Fail = nil
		wantNil(t, CreateDefaults(t.Context(), store, defaults))
		all, err := store.Workgroups(t.Context(), account, "", 0)
		wantNil(t, err)
		if len(all) != 3 {
			t.Fatalf("%d workgroups after a start that was cut at %d", len(all), cut)
		}
	}
}

// TestDecisions makes every operation ask before it does anything.
func TestDecisions(t *testing.T) {
	arn := home.Workgroup("spark")
	for _, c := range []struct {
		action, resource string
		call             func(context.Context, *Manager) error
		before           []string // what is asked before, and allowed
	}{
		{"athena:CreateWorkGroup", home.Workgroup("new"), func(ctx context.Context, m *Manager) error { return m.Create(ctx, root, Creation{Name: "new"}) }, nil},
		{"athena:GetWorkGroup", arn, func(ctx context.Context, m *Manager) error { _, err := m.Get(ctx, root, "spark"); return err }, nil},
		{"athena:ListWorkGroups", "*", func(ctx context.Context, m *Manager) error { _, _, err := m.List(ctx, root, Page{}); return err }, nil},
		{"athena:UpdateWorkGroup", arn, func(ctx context.Context, m *Manager) error {
			return m.Update(ctx, root, "spark", Update{Description: ptr("changed")})
		}, nil},
		{"iam:PassRole", role, func(ctx context.Context, m *Manager) error {
			return m.Create(ctx, root, Creation{Name: "new", Config: spark35(Config{})})
		}, []string{"athena:CreateWorkGroup " + home.Workgroup("new")}},
		{"iam:PassRole", role + "2", func(ctx context.Context, m *Manager) error {
			return m.Update(ctx, root, "spark", Update{Config: &ConfigUpdate{ExecutionRole: role + "2"}})
		}, []string{"athena:UpdateWorkGroup " + arn}},
		{"athena:DeleteWorkGroup", arn, func(ctx context.Context, m *Manager) error { return m.Delete(ctx, root, "spark", true) }, nil},
		{"athena:TagResource", arn, func(ctx context.Context, m *Manager) error { return m.Tag(ctx, root, arn, tags(1)) }, nil},
		{"athena:UntagResource", arn, func(ctx context.Context, m *Manager) error { return m.Untag(ctx, root, arn, []string{"k00"}) }, nil},
		{"athena:ListTagsForResource", arn, func(ctx context.Context, m *Manager) error { _, _, err := m.Tags(ctx, root, arn, Page{}); return err }, nil},
		{"athena:ListEngineVersions", "*", func(ctx context.Context, m *Manager) error {
			_, _, err := m.ListEngineVersions(ctx, root, Page{})
			return err
		}, nil},
	} {
		t.Run(c.action, func(t *testing.T) {
			f := newFixture(t)
			f.access.denied = c.action
			f.store.Fail = func(method string) error { return fmt.Errorf("%s was called", method) }
			wantFault(t, c.call(t.Context(), f.Manager), fault.Denied, "no")
			f.store.Fail = nil
			f.access.denied = ""
			wantNil(t, c.call(t.Context(), f.Manager))
			want := append(slices.Clone(c.before), c.action+" "+c.resource)
			if want = append(want, want...); !slices.Equal(f.access.asked, want) {
				t.Fatalf("asked for %q, want %q", f.access.asked, want)
			}
		})
	}
}

// TestForeignRoles lets nobody, not even root, name a role of another account.
func TestForeignRoles(t *testing.T) {
	f := newFixture(t)
	for foreign, kind := range map[string]fault.Kind{
		"arn:aws:iam::111111111111:role/x":    fault.Denied,
		"arn:aws-cn:iam::000000000000:role/x": fault.Denied,
		"arn:aws:iam::000000000000:user/x":    fault.Invalid,
		"arn:aws:iam::000000000000:role/a b":  fault.Invalid,
	} {
		text := "Cross-account pass role is not allowed."
		if kind == fault.Invalid {
			text = foreign + " is not a valid role ARN."
		}
		for _, engine := range []string{EnginePySpark, EngineSpark35, EngineAuto} { // SQL has a role with an identity center
			err := f.Create(t.Context(), root, Creation{Name: "new", Config: Config{SelectedEngine: engine, ExecutionRole: foreign}})
			wantFault(t, err, kind, text)
		}
		err := f.Update(t.Context(), root, "spark", Update{Description: ptr("changed"), Config: &ConfigUpdate{ExecutionRole: foreign}})
		wantFault(t, err, kind, text)
	}
	if w, err := f.Get(t.Context(), root, "spark"); err != nil || w.Config.ExecutionRole != role || w.Description != "" {
		t.Errorf("got %+v, %v", w, err)
	}
	_, err := f.Get(t.Context(), root, "new")
	wantFault(t, err, fault.Invalid, "WorkGroup is not found.")
}

// TestStoreDown passes on what is not a refusal, so that it is answered as an
// internal failure.
func TestStoreDown(t *testing.T) {
	f := newFixture(t)
	down := errors.New("down")
	f.store.Fail = func(string) error { return down }
	arn := home.Workgroup("spark")
	_, err1 := f.Get(t.Context(), root, "spark")
	_, _, err2 := f.List(t.Context(), root, Page{})
	_, _, err3 := f.Tags(t.Context(), root, arn, Page{})
	for i, err := range []error{err1, err2, err3,
		f.Create(t.Context(), root, Creation{Name: "new"}), f.Update(t.Context(), root, "spark", Update{}),
		f.Delete(t.Context(), root, "spark", true), f.Tag(t.Context(), root, arn, tags(1)), f.Untag(t.Context(), root, arn, []string{"k"}),
	} {
		if !errors.Is(err, down) || fault.Of(err) != fault.Internal {
			t.Errorf("call %d: error %v", i, err)
		}
	}
}
