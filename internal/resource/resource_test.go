package resource_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"glaux/internal/access"
	"glaux/internal/fault"
	"glaux/internal/ident"
	"glaux/internal/resource"
	"glaux/internal/store/storetest"
	"glaux/internal/workgroup"
)

var (
	home = ident.Home{Partition: "aws", Region: "us-east-1", Account: "000000000000"}
	root = access.Caller{Account: home.Account, UserID: home.Account, ARN: "arn:aws:iam::000000000000:root"}
)

// asked allows what it does not refuse, and notes what it was asked.
type asked struct{ all, refuse []string }

func (a *asked) Decide(_ context.Context, _ access.Caller, action, resource string) error {
	a.all = append(a.all, action+" "+resource)
	for _, r := range a.refuse {
		if r == action {
			return fault.New(fault.Denied, "no")
		}
	}
	return nil
}

// vault turns bytes round, which shows that what the store has is sealed.
type vault struct{}

func (vault) SealDocument(arn string, text []byte) ([]byte, error) {
	return append([]byte(arn+"|"), turned(text)...), nil
}

func (vault) OpenDocument(arn string, sealed []byte) ([]byte, error) {
	text, ok := bytes.CutPrefix(sealed, []byte(arn+"|"))
	if !ok {
		return nil, errors.New("sealed for another")
	}
	return turned(text), nil
}

func turned(b []byte) []byte {
	out := make([]byte, len(b))
	for i := range b {
		out[i] = b[i] ^ 0xff
	}
	return out
}

func newManager(edit ...func(*resource.Config)) (*resource.Manager, *storetest.Memory, *asked) {
	store, access := storetest.NewMemory(), &asked{}
	cfg := resource.Config{Home: home, Store: store, Access: access, Vault: vault{}}
	for _, e := range edit {
		e(&cfg)
	}
	return resource.New(cfg), store, access
}

func wantKind(t *testing.T, what string, err error, kind fault.Kind, text string) {
	t.Helper()
	if err == nil || fault.Of(err) != kind || !strings.Contains(err.Error(), text) {
		t.Errorf("%s: got %v, want kind %v with %q", what, err, kind, text)
	}
}

func TestItems(t *testing.T) {
	t.Parallel()
	m, store, access := newManager()
	ctx, kind := t.Context(), resource.Connection
	if _, err := m.Create(ctx, root, "glue:CreateConnection", kind, "c", []byte("doc"), []workgroup.Tag{{Key: "a", Value: "1"}}); err != nil {
		t.Fatal(err)
	}
	_, err := m.Create(ctx, root, "glue:CreateConnection", kind, "c", nil, nil)
	wantKind(t, "made again", err, fault.Exists, "Connection c already exists.")
	if kept, _ := store.Item(ctx, resource.Key{Account: home.Account, Kind: kind, Name: "c"}); bytes.Contains(kept.Doc, []byte("doc")) {
		t.Errorf("the store has the document as it is: %q", kept.Doc)
	}
	i, err := m.Get(ctx, root, "glue:GetConnection", kind, "c")
	if err != nil || string(i.Doc) != "doc" || i.ChangedBy != root.ARN || !i.Created.Equal(i.Changed) {
		t.Errorf("got %+v, %v", i, err)
	}
	if err := m.Update(ctx, root, "glue:UpdateConnection", kind, "c", []byte("new")); err != nil {
		t.Error(err)
	}
	if i, err = m.Get(ctx, root, "glue:GetConnection", kind, "c"); err != nil || string(i.Doc) != "new" || i.Changed.Before(i.Created) {
		t.Errorf("got %+v, %v", i, err)
	}
	if err := m.Tag(ctx, root, kind, "c", []workgroup.Tag{{Key: "b", Value: "2"}}); err != nil {
		t.Error(err)
	}
	if err := m.Untag(ctx, root, kind, "c", []string{"a", "z"}); err != nil {
		t.Error(err)
	}
	if tags, err := m.Tags(ctx, root, kind, "c"); err != nil || fmt.Sprint(tags) != "[{b 2}]" {
		t.Errorf("tags %v, %v", tags, err)
	}
	if err := m.CheckSession(ctx, home.Account, []string{"c"}, ""); err != nil {
		t.Error(err)
	}
	wantKind(t, "a session's connection", m.CheckSession(ctx, home.Account, []string{"c", "d"}, ""), fault.NotFound, "Connection d not found.")
	wantKind(t, "a session's security", m.CheckSession(ctx, home.Account, nil, "s"), fault.NotFound, "Security configuration s not found.")
	if err := m.Delete(ctx, root, "glue:DeleteConnection", kind, "c"); err != nil {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"get":    func() error { _, err := m.Get(ctx, root, "a", kind, "c"); return err }(),
		"update": m.Update(ctx, root, "a", kind, "c", nil),
		"delete": m.Delete(ctx, root, "a", kind, "c"),
		"tag":    m.Tag(ctx, root, kind, "c", nil),
		"tags":   func() error { _, err := m.Tags(ctx, root, kind, "c"); return err }(),
	} {
		wantKind(t, what, err, fault.NotFound, "Connection c not found.")
	}
	if want := "glue:CreateConnection arn:aws:glue:us-east-1:000000000000:connection/c"; access.all[0] != want {
		t.Errorf("asked for %q, want %q", access.all[0], want)
	}
}

func TestEverythingIsAskedFor(t *testing.T) {
	t.Parallel()
	m, _, access := newManager()
	access.refuse = []string{"a", "glue:GetTags", "glue:TagResource", "glue:UntagResource"}
	ctx, kind := t.Context(), resource.UsageProfile
	_, create := m.Create(ctx, root, "a", kind, "p", nil, nil)
	_, get := m.Get(ctx, root, "a", kind, "p")
	_, _, list := m.List(ctx, root, "a", kind, "", 1, nil)
	_, tags := m.Tags(ctx, root, kind, "p")
	for n, err := range []error{
		create, get, list, tags, m.Update(ctx, root, "a", kind, "p", nil), m.Delete(ctx, root, "a", kind, "p"),
		m.Tag(ctx, root, kind, "p", nil), m.Untag(ctx, root, kind, "p", nil),
	} {
		wantKind(t, fmt.Sprint("operation ", n), err, fault.Denied, "no")
	}
}

func TestListsArePagedBehindTheirFilter(t *testing.T) {
	t.Parallel()
	m, _, _ := newManager()
	for n := range 320 {
		if _, err := m.Create(t.Context(), root, "a", resource.Connection, fmt.Sprintf("c%03d", n), fmt.Append(nil, n), nil); err != nil {
			t.Fatal(err)
		}
	}
	third := func(i resource.Item) (bool, error) { return strings.HasSuffix(string(i.Doc), "50"), nil }
	var got []string
	after, more := "", true
	for more {
		var page []resource.Item
		var err error
		if page, more, err = m.List(t.Context(), root, "a", resource.Connection, after, 2, third); err != nil {
			t.Fatal(err)
		}
		for _, i := range page {
			after = i.Name
			got = append(got, i.Name)
		}
		if len(page) != 2 && more {
			t.Errorf("a page of %d before the last", len(page))
		}
	}
	if want := "c050 c150 c250"; strings.Join(got, " ") != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func text(s string) *string { return &s }

func number(n int32) *int32 { return &n }

func TestProfilesThatNobodyCanBeMeasuredBy(t *testing.T) {
	t.Parallel()
	type parameters = map[string]resource.Parameter
	for _, c := range []struct {
		in   parameters
		want string
	}{
		{nil, "at least one parameter"},
		{parameters{"color": {DefaultValue: text("red")}}, "Parameter color is not one"},
		{parameters{"timeout": {}}, "has no value"},
		{parameters{"timeout": {DefaultValue: text("x")}}, "whole number"},
		{parameters{"timeout": {MinValue: text("0")}}, "whole number"},
		{parameters{"timeout": {MinValue: text("5"), MaxValue: text("4")}}, "above its MaxValue"},
		{parameters{"timeout": {MaxValue: text("4"), DefaultValue: text("5")}}, "outside of"},
		{parameters{"timeout": {AllowedValues: []string{"5"}}}, "no AllowedValues"},
		{parameters{"timeout": {MaxValue: text("4")}, "Timeout": {MaxValue: text("4")}}, "more than once"},
		{parameters{"workerType": {MinValue: text("1")}}, "no number"},
		{parameters{"workerType": {}}, "has no value"},
		{parameters{"workerType": {DefaultValue: text("G.1X"), AllowedValues: []string{"G.2X"}}}, "not among"},
	} {
		wantKind(t, c.want, resource.CheckProfile(resource.Profile{SessionConfiguration: c.in}), fault.Invalid, c.want)
	}
	wantKind(t, "jobs are not idle", resource.CheckProfile(resource.Profile{JobConfiguration: parameters{"idleTimeout": {MaxValue: text("4")}}}), fault.Invalid, "idleTimeout")
	good := resource.Profile{
		SessionConfiguration: parameters{
			"numberOfWorkers": {DefaultValue: text("3"), MinValue: text("2"), MaxValue: text("4")},
			"workerType":      {DefaultValue: text("G.1X"), AllowedValues: []string{"G.1X", "G.2X"}},
			"timeout":         {MaxValue: text("60")}, "idleTimeout": {DefaultValue: text("10")},
		},
		JobConfiguration: parameters{"Timeout": {MaxValue: text("60")}},
	}
	if err := resource.CheckProfile(good); err != nil {
		t.Error(err)
	}
}

func TestWhatAProfileMakesOfARequest(t *testing.T) {
	t.Parallel()
	role := home.Role("data")
	m, _, _ := newManager(func(c *resource.Config) {
		c.Profile, c.Profiles = "all", map[string]string{role: "narrow", home.Role("gone"): "gone"}
	})
	profile := func(name string, says map[string]resource.Parameter) {
		t.Helper()
		doc, _ := json.Marshal(map[string]any{"Configuration": resource.Profile{SessionConfiguration: says}})
		if _, err := m.Create(t.Context(), root, "a", resource.UsageProfile, name, doc, nil); err != nil {
			t.Fatal(err)
		}
	}
	profile("all", map[string]resource.Parameter{"timeout": {DefaultValue: text("30")}})
	profile("narrow", map[string]resource.Parameter{
		"NumberOfWorkers": {MinValue: text("2"), MaxValue: text("4")}, "workerType": {AllowedValues: []string{"G.2X", "G.4X"}},
		"timeout": {DefaultValue: text("20"), MaxValue: text("60")}, "idleTimeout": {MaxValue: text("10")},
	})
	who := access.Caller{Account: home.Account, Role: role, ARN: "arn:aws:sts::000000000000:assumed-role/data/me"}
	service := resource.Defaults{Workers: 5, WorkerType: "G.1X", Timeout: 2880, Idle: 2880}

	in := resource.Request{Service: service}
	if name, err := m.Apply(t.Context(), root, &in); name != "all" || err != nil || *in.Timeout != 30 || in.Workers != nil || in.Idle != nil || in.WorkerType != "" {
		t.Errorf("root: %q, %v, %+v", name, err, in)
	}
	in = resource.Request{Service: service}
	if name, err := m.Apply(t.Context(), who, &in); name != "narrow" || err != nil || *in.Timeout != 20 || *in.Workers != 4 || *in.Idle != 10 || in.WorkerType != "G.2X" {
		t.Errorf("role: %q, %v, %+v", name, err, in)
	}
	in = resource.Request{Service: service, Workers: number(2), WorkerType: "G.4X", Timeout: number(60), Idle: number(1)}
	if _, err := m.Apply(t.Context(), who, &in); err != nil || *in.Timeout != 60 || *in.Workers != 2 || *in.Idle != 1 || in.WorkerType != "G.4X" {
		t.Errorf("within the limits: %v, %+v", err, in)
	}
	for want, in := range map[string]resource.Request{
		"The value 5 of NumberOfWorkers is not allowed by usage profile narrow.": {Workers: number(5)},
		"The value 1 of NumberOfWorkers is not allowed by usage profile narrow.": {Workers: number(1)},
		"The value G.1X of workerType is not allowed by usage profile narrow.":   {WorkerType: "G.1X"},
		"The value 61 of timeout is not allowed by usage profile narrow.":        {Timeout: number(61)},
		"The value 11 of idleTimeout is not allowed by usage profile narrow.":    {Idle: number(11)},
		"instead of MaxCapacity": {HasCapacity: true},
	} {
		_, err := m.Apply(t.Context(), who, &in)
		wantKind(t, want, err, fault.Invalid, want)
	}
	who.Role = home.Role("gone")
	_, err := m.Apply(t.Context(), who, &resource.Request{})
	wantKind(t, "a profile that is not there", err, fault.NotFound, "Usage profile gone not found.")
}
