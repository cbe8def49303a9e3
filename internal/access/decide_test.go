package access

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"glaux/internal/fault"
)

func TestDecide(t *testing.T) {
	t.Parallel()
	h := home()
	a := mustOpen(t, Config{
		Users: []User{
			{Name: "ada", AccessKey: "AKIAADAADAADAADAADAA", SecretKey: "ada's own secret key"},
			{Name: "bob", AccessKey: "AKIABOBBOBBOBBOBBOBB", SecretKey: "bob's own secret key", Allow: []Rule{
				{Actions: []string{"athena:get*", "athena:List*"}, Resources: []string{h.Workgroup("spark*"), "*"}},
				{Actions: []string{"s3:GetObject"}, Resources: []string{"arn:aws:s3:::data/*"}},
			}},
		},
		Roles: []Role{{Name: "team/reader", Allow: []Rule{{Actions: []string{"s3:Get*"}}}}},
	})
	user := func(key string) Caller { return a.users[key].caller }
	role := func(name string) Caller {
		who, err := a.AssumedRole(Caller{ARN: "arn:x"}, h.Role(name), "me")
		if err != nil {
			t.Fatal(err)
		}
		return who
	}
	session := role("exec")
	session.SessionKey, session.Workgroup = "k1", "spark"
	narrow := role("team/reader")
	narrow.SessionKey, narrow.Workgroup = "k1", "spark"
	own, other := h.Session("spark", "k1"), h.Session("spark", "k2")
	for _, c := range []struct {
		who              Caller
		action, resource string
		allowed          bool
	}{
		{user(a.Root().AccessKeyID), "iam:CreateUser", "*", true},
		{user("AKIAADAADAADAADAADAA"), "athena:StartSession", h.Workgroup("spark"), true},
		{user("AKIAADAADAADAADAADAA"), "sts:AssumeRole", h.Role("any"), true},
		{user("AKIABOBBOBBOBBOBBOBB"), "athena:GetWorkGroup", h.Workgroup("spark35"), true},
		{user("AKIABOBBOBBOBBOBBOBB"), "athena:DeleteWorkGroup", h.Workgroup("spark"), false},
		{user("AKIABOBBOBBOBBOBBOBB"), "s3:GetObject", "arn:aws:s3:::data/a/b", true},
		{user("AKIABOBBOBBOBBOBBOBB"), "s3:GetObject", "arn:aws:s3:::other/a", false},
		{user("AKIABOBBOBBOBBOBBOBB"), "s3:PutObject", "arn:aws:s3:::data/a", false},
		{user("AKIABOBBOBBOBBOBBOBB"), "sts:GetCallerIdentity", "*", true},
		{role("any"), "athena:StartSession", h.Workgroup("spark"), true},
		{role("any"), "s3:PutObject", "arn:aws:s3:::b/k", true},
		{role("any"), "iam:GetRole", h.Role("any"), true},
		{role("any"), "iam:CreateRole", "*", false},
		{role("any"), "iam:PassRole", h.Role("exec"), true},
		{role("any"), "sts:AssumeRole", h.Role("any"), false},
		{role("team/reader"), "s3:GetObject", "arn:aws:s3:::b/k", true},
		{role("team/reader"), "s3:PutObject", "arn:aws:s3:::b/k", false},
		{role("reader"), "s3:PutObject", "arn:aws:s3:::b/k", true},
		{session, "athena:StartCalculationExecution", own, true},
		{session, "athena:GetSession", own, true},
		{session, "athena:TerminateSession", own, true},
		{session, "athena:GetSession", other, false},
		{session, "athena:StartCalculationExecution", other, false},
		{session, "athena:TerminateSession", other, false},
		{session, "athena:GetSession", own + "x", false},
		{session, "athena:StartSession", h.Workgroup("spark"), false},
		{session, "athena:GetSession", h.Workgroup("spark"), false},
		{session, "athena:TerminateSession", h.Workgroup("spark"), false},
		{session, "athena:GetWorkGroup", h.Workgroup("spark"), true},
		{session, "athena:ListSessions", h.Workgroup("spark"), true},
		{session, "athena:StartQueryExecution", h.Workgroup("spark"), true},
		{session, "athena:UpdateWorkGroup", h.Workgroup("spark"), false},
		{session, "athena:GetWorkGroup", h.Workgroup("other"), false},
		{session, "athena:ListEngineVersions", "*", true},
		{session, "athena:CreateWorkGroup", "*", false},
		{session, "athena:GetTableMetadata", h.Catalog("AwsDataCatalog"), true},
		{session, "athena:DeleteDataCatalog", h.Catalog("AwsDataCatalog"), false},
		{session, "s3:DeleteObject", "arn:aws:s3:::b/k", true},
		{narrow, "s3:GetObject", "arn:aws:s3:::b/k", true},
		{narrow, "s3:PutObject", "arn:aws:s3:::b/k", false},
		{narrow, "athena:GetSession", own, false},
		{session, "glue:GetTable", "*", true},
		{session, "logs:PutLogEvents", h.LogStream("/any", "s"), true},
		{session, "logs:FilterLogEvents", h.LogStream("/glaux/managed/spark", ""), true},
		{session, "logs:ListTagsForResource", h.LogGroup("/glaux/managed/spark"), true},
		{session, "logs:FilterLogEvents", h.LogStream("/glaux/managed/spark35", ""), false},
		{session, "logs:GetLogEvents", h.LogStream("/glaux/managed/sparks", "s"), false},
		{session, "logs:ListTagsForResource", h.LogGroup("/glaux/managed/other"), false},
		{narrow, "logs:PutLogEvents", h.LogStream("/any", "s"), false},
		{role("any"), "logs:FilterLogEvents", h.LogStream("/glaux/managed/other", ""), true},
		{session, "iam:PassRole", h.Role("exec"), false},
		{session, "sts:AssumeRole", h.Role("any"), false},
		{Caller{}, "s3:GetObject", "*", false},
		{Caller{Account: "111111111111", ARN: "arn:x", UserID: "111111111111"}, "s3:GetObject", "*", false},
	} {
		err := a.Decide(t.Context(), c.who, c.action, c.resource)
		if (err == nil) != c.allowed || (err != nil && fault.Of(err) != fault.Denied) {
			t.Errorf("%s, %s on %s: got %v", c.who.ARN, c.action, c.resource, err)
		}
	}
	err := a.Decide(t.Context(), role("any"), "iam:DeleteRole", "arn:aws:iam::000000000000:role/x")
	want := "User: arn:aws:sts::000000000000:assumed-role/any/me is not authorized to perform: iam:DeleteRole on resource: arn:aws:iam::000000000000:role/x because no identity-based policy allows the iam:DeleteRole action"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestGlob(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"*", "", true}, {"*", "abc", true}, {"", "", true}, {"", "a", false}, {"a?c", "abc", true}, {"a?c", "ac", false},
		{"a*c", "abbbc", true}, {"a*c", "abbb", false}, {"*a*b*", "xxaxxbxx", true}, {"*a*b*", "xxbxxaxx", false}, {"a*", "A", false},
		{strings.Repeat("*a", 50) + "b", strings.Repeat("a", 2000), false},
	} {
		if got := glob(c.pattern, c.text, false); got != c.want {
			t.Errorf("glob(%q, %q) = %v", c.pattern, c.text, got)
		}
	}
	if !glob("athena:get*", "athena:GetSession", true) {
		t.Error("actions heed case")
	}
}

func TestAssumedRole(t *testing.T) {
	t.Parallel()
	a := mustOpen(t, Config{})
	who, err := a.AssumedRole(Caller{ARN: "arn:root"}, "arn:aws:iam::000000000000:role/service-role/exec", "AthenaExecutor-1")
	if err != nil || who.ARN != "arn:aws:sts::000000000000:assumed-role/exec/AthenaExecutor-1" || !strings.HasPrefix(who.UserID, "AROA") || !strings.HasSuffix(who.UserID, ":AthenaExecutor-1") {
		t.Errorf("got %+v, %v", who, err)
	}
	for _, arn := range []string{"", "role", "arn:aws:iam::111111111111:role/exec", "arn:aws-cn:iam::000000000000:role/exec", "arn:aws:iam::000000000000:user/exec", "arn:aws:iam::000000000000:role/", "arn:aws:iam::000000000000:role/a b"} {
		if _, err := a.AssumedRole(Caller{ARN: "arn:root"}, arn, "me"); fault.Of(err) != fault.Denied || err.Error() != "User: arn:root is not authorized to perform: sts:AssumeRole on resource: "+arn {
			t.Errorf("%q: got %v", arn, err)
		}
	}
}

// live is an Executors with one session.
type live struct {
	key string
	x   Executor
	err error
}

func (l *live) Executor(_ context.Context, key string) (Executor, error) {
	if l.err != nil || key != l.key {
		return Executor{}, errors.Join(l.err, ErrNoSession)
	}
	return l.x, nil
}

func ask(h http.Handler, method, path, token string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	if token != "" {
		r.Header.Set("Authorization", token)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestCredentialsOfASession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := mustOpen(t, Config{})
		sessions := &live{key: "k1", x: Executor{SessionID: "k1", Workgroup: "spark", RoleARN: home().Role("exec")}}
		h := a.CredentialsHandler(sessions, slog.New(slog.DiscardHandler))
		path, token := CredentialsPath+"k1", a.AgentToken("k1")
		get := func() (c credentialsReply) {
			w := ask(h, http.MethodGet, path, token)
			if w.Code != http.StatusOK || w.Header().Get("Cache-Control") != "no-store" {
				t.Fatalf("got %d %s", w.Code, w.Body)
			}
			if err := json.Unmarshal(w.Body.Bytes(), &c); err != nil {
				t.Fatal(err)
			}
			return c
		}
		first := get()
		_, who, _, err := a.Lookup(first.AccessKeyID, first.Token)
		if err != nil || who.ARN != "arn:aws:sts::000000000000:assumed-role/exec/AthenaExecutor-k1" || who.SessionKey != "k1" || who.Workgroup != "spark" {
			t.Errorf("got %+v, %v", who, err)
		}
		if want := time.Now().Add(time.Hour).UTC().Format(time.RFC3339); first.Expiration != want || first.RoleARN != home().Role("exec") {
			t.Errorf("got %+v, want expiration %s", first, want)
		}
		time.Sleep(30 * time.Minute)
		if get() != first {
			t.Error("other credentials while half an hour is left")
		}
		time.Sleep(time.Second)
		second := get()
		if second == first {
			t.Error("the same credentials while less than half an hour is left")
		}
		time.Sleep(30 * time.Minute) // the first ones are over now
		if _, _, _, err := a.Lookup(first.AccessKeyID, first.Token); err == nil {
			t.Error("the first credentials do not expire")
		}
		if _, _, _, err := a.Lookup(second.AccessKeyID, second.Token); err != nil {
			t.Error(err)
		}

		for name, c := range map[string]struct {
			method, path, token string
			status              int
		}{
			"no token":          {http.MethodGet, path, "", http.StatusUnauthorized},
			"other token":       {http.MethodGet, path, "x", http.StatusUnauthorized},
			"another session's": {http.MethodGet, path, a.AgentToken("k2"), http.StatusUnauthorized},
			"altered":           {http.MethodGet, path, token[:len(token)-3] + "xyz", http.StatusUnauthorized},
			"session is gone":   {http.MethodGet, CredentialsPath + "k2", a.AgentToken("k2"), http.StatusGone},
			"no key":            {http.MethodGet, CredentialsPath, token, http.StatusNotFound},
			"below the key":     {http.MethodGet, path + "/x", token, http.StatusNotFound},
			"method":            {http.MethodPost, path, token, http.StatusMethodNotAllowed},
		} {
			if w := ask(h, c.method, c.path, c.token); w.Code != c.status || strings.Contains(w.Body.String(), "Secret") {
				t.Errorf("%s: got %d %s", name, w.Code, w.Body)
			}
		}
		sessions.x.RoleARN = "arn:aws:iam::111111111111:role/theirs"
		if w := ask(h, http.MethodGet, path, token); w.Code != http.StatusServiceUnavailable {
			t.Errorf("a role of another account: got %d %s", w.Code, w.Body)
		}
	})
}

func TestAuditNeverBlocks(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := NewAuditLog(slog.New(slog.NewJSONHandler(&out, nil)))
	a := mustOpen(t, Config{Audit: l})
	for range auditQueue + 10 { // nobody writes yet
		if err := a.Decide(t.Context(), Caller{ARN: "arn:nobody"}, "s3:GetObject", "arn:aws:s3:::b/k"); err == nil {
			t.Fatal("allowed")
		}
	}
	if err := a.Decide(t.Context(), a.users[a.Root().AccessKeyID].caller, "s3:GetObject", "*"); err != nil {
		t.Fatal(err) // allowed, and below the logger's level
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), `"access decision"`); n != auditQueue {
		t.Errorf("got %d entries, want %d", n, auditQueue)
	}
	if !strings.Contains(out.String(), `"entries":10`) || !strings.Contains(out.String(), `"caller":"arn:nobody"`) {
		t.Error("what was lost is not reported")
	}
}

func TestGlueSessionReachesItsOwnAlone(t *testing.T) {
	t.Parallel()
	a := mustOpen(t, Config{})
	role := home().Role("exec")
	const key = "01234567-89ab"
	who, err := a.ExecutorCaller(key, Executor{SessionID: "my id/1", Glue: true, RoleARN: role})
	if err != nil || !strings.HasSuffix(who.ARN, "/GlueJobRunnerSession") {
		t.Fatalf("got %+v, %v", who, err)
	}
	athena, err := a.ExecutorCaller("other", Executor{SessionID: "s", Workgroup: "w", RoleARN: role})
	if err != nil {
		t.Fatal(err)
	}
	mine, other := home().GlueSession("my id/1"), home().GlueSession("yours")
	connection := home().GlueResource("connection", "c")
	for _, c := range []struct {
		who              Caller
		action, resource string
		want             bool
	}{
		{who, "glue:GetSession", mine, true},
		{who, "glue:RunStatement", mine, true},
		{who, "glue:StopSession", mine, true},
		{who, "glue:GetSession", other, false},
		{who, "glue:CreateSession", other, false},
		{who, "glue:ListSessions", "*", false},
		{who, "glue:GetTable", "arn:aws:glue:us-east-1:000000000000:table/d/t", true},
		{who, "glue:CreateDatabase", "arn:aws:glue:us-east-1:000000000000:catalog", true},
		{who, "glue:GetConnection", connection, true},
		{who, "glue:DeleteConnection", connection, false},
		{who, "athena:GetSession", home().Session("w", "s"), false},
		{athena, "glue:GetSession", mine, false},
		{who, "logs:CreateLogGroup", home().LogGroup("/aws-glue/sessions/error"), true},
		{who, "logs:PutLogEvents", home().LogStream("/aws-glue/sessions/error", "my id/1_01234567"), true},
		{who, "logs:GetLogEvents", home().LogStream("/aws-glue/sessions/error", "yours_89abcdef"), false},
		{who, "logs:FilterLogEvents", home().LogGroup("/aws-glue/sessions/error"), false},
		{who, "logs:DeleteLogGroup", home().LogGroup("/aws-glue/sessions/error"), false},
		{athena, "logs:FilterLogEvents", home().LogGroup("/aws-glue/sessions/error"), false},
		{who, "logs:FilterLogEvents", home().LogGroup("/mine"), true},
	} {
		err := a.Decide(t.Context(), c.who, c.action, c.resource)
		if (err == nil) != c.want {
			t.Errorf("%s on %s: %v", c.action, c.resource, err)
		}
	}
	// What it is survives in its credentials.
	creds, err := a.ExecutorCredentials(key, Executor{SessionID: "my id/1", Glue: true, RoleARN: role})
	if err != nil {
		t.Fatal(err)
	}
	id, err := a.lookup(creds.AccessKeyID, creds.SessionToken)
	if err != nil || id.caller.GlueSession != "my id/1" {
		t.Errorf("credentials are of %+v, %v", id, err)
	}
}
