package access

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"glaux/internal/fault"
	"glaux/internal/ident"
	"glaux/internal/sigv4"
)

func home() ident.Home {
	return ident.Home{Partition: "aws", Region: "us-east-1", Account: "000000000000"}
}

func mustOpen(t *testing.T, c Config) *Authority {
	t.Helper()
	if c.Dir == "" {
		c.Dir = filepath.Join(t.TempDir(), "keys")
	}
	c.Home = home()
	a, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// memoryKeys is a KeyStore for tests.
type memoryKeys struct {
	mu   sync.Mutex
	keys []SealedKey // guarded by mu
}

func (m *memoryKeys) Keys(context.Context) ([]SealedKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]SealedKey(nil), m.keys...), nil
}

func (m *memoryKeys) PutKey(_ context.Context, k SealedKey) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keys = append(m.keys, k)
	return nil
}

func TestKeysAreMadeOnceAndKept(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "keys")
	if _, err := ReadRoot(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("before the first start: got %v", err)
	}
	a := mustOpen(t, Config{Dir: dir})
	c, err := a.Issue(Caller{ARN: "arn:x", UserID: "u"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	b := mustOpen(t, Config{Dir: dir})
	if a.Root() != b.Root() || string(a.PageKey()) != string(b.PageKey()) || a.AgentToken("s") != b.AgentToken("s") {
		t.Error("a second start has other keys")
	}
	if pair, err := ReadRoot(dir); err != nil || pair != a.Root() {
		t.Errorf("got %v, %v", pair, err)
	}
	if secret, who, expires, err := b.Lookup(c.AccessKeyID, c.SessionToken); err != nil || secret != c.SecretAccessKey || who.ARN != "arn:x" || !expires.Equal(c.Expires) {
		t.Errorf("credentials do not outlive a restart: %v, %v, %v", who, expires, err)
	}
	moved := home()
	moved.Account = "111111111111"
	elsewhere, err := Open(t.Context(), Config{Dir: dir, Home: moved})
	if err != nil {
		t.Fatal(err)
	}
	_, _, _, err = elsewhere.Lookup(c.AccessKeyID, c.SessionToken)
	wantReason(t, "another account", err, sigv4.BadToken, sigv4.CodeUnknown)
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 {
		t.Fatalf("got %v, %v; want three files", entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s has mode %v, %v", e.Name(), info.Mode(), err)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %v, %v", info.Mode(), err)
	}

	for _, name := range []string{rootFile, masterFile} {
		path := filepath.Join(dir, name)
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), Config{Dir: dir, Home: home()}); err == nil || !strings.Contains(err.Error(), "open to other users") {
			t.Errorf("%s readable by all: got %v", name, err)
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, masterFile), []byte(strings.Repeat("0", 64)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Config{Dir: dir, Home: home()}); err == nil || !strings.Contains(err.Error(), "another master key") {
		t.Errorf("another master key: got %v", err)
	}
}

// TestTheRingMovesToTheStore: a directory whose ring was a file keeps its
// tokens once a store holds the ring.
func TestTheRingMovesToTheStore(t *testing.T) {
	t.Parallel()
	dir, store := filepath.Join(t.TempDir(), "keys"), &memoryKeys{}
	before := mustOpen(t, Config{Dir: dir})
	after := mustOpen(t, Config{Dir: dir, Keys: store})
	if before.AgentToken("s") != after.AgentToken("s") || len(store.keys) != 1 {
		t.Errorf("the ring has %d keys, and other tokens", len(store.keys))
	}
	if _, err := os.Stat(filepath.Join(dir, ringFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
}

func TestServersWithOneRingAcceptEachOthersTokens(t *testing.T) {
	t.Parallel()
	dir, store := filepath.Join(t.TempDir(), "keys"), &memoryKeys{}
	first := mustOpen(t, Config{Dir: dir, Keys: store})
	old, err := first.Issue(Caller{ARN: "arn:x", UserID: "u"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	// A second key in the ring: new tokens have it, old ones stay good.
	master, err := masterKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	seal, err := newAEAD(master)
	if err != nil {
		t.Fatal(err)
	}
	if err := putKey(t.Context(), seal, store); err != nil {
		t.Fatal(err)
	}
	second := mustOpen(t, Config{Dir: dir, Keys: store})
	if _, _, _, err := second.Lookup(old.AccessKeyID, old.SessionToken); err != nil {
		t.Errorf("a token of the older key: %v", err)
	}
	if second.AgentToken("s") == first.AgentToken("s") || !second.agentTokenFits("s", first.AgentToken("s")) {
		t.Error("the newest key does not make agent tokens, or the older one's are refused")
	}
	if string(first.PageKey()) != string(second.PageKey()) {
		t.Error("pagination tokens change with a new key")
	}
	for _, k := range store.keys {
		if len(k.Sealed) < keyBytes+28 || k.ID == "" {
			t.Errorf("key %q is not sealed", k.ID)
		}
	}
}

func TestConfigurationFaultsAreReportedTogether(t *testing.T) {
	t.Parallel()
	_, err := Open(t.Context(), Config{Dir: t.TempDir(), Home: home(), Users: []User{
		{Name: "a b", AccessKey: "short", SecretKey: "short"},
		{Name: "ok", AccessKey: "ASIAABCDEFGHIJKLMNOP", SecretKey: strings.Repeat("s", 20)},
		{Name: "ok", AccessKey: "AKIAABCDEFGHIJKLMNOP", SecretKey: strings.Repeat("s", 20), Allow: []Rule{{Actions: []string{"read"}}, {}}},
	}, Roles: []Role{{Name: "a//"}, {Name: "r", Allow: []Rule{{Actions: []string{"s3:*"}, Resources: []string{"bucket"}}}}}})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"users[0].name", "users[0].access-key", "users[0].secret-key", "users[1].access-key", "users[2]: its name", "users[2].allow[0]", "users[2].allow[1]", "roles[0].name", "roles[1].allow[0]"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing about %s in:\n%v", want, err)
		}
	}
}

func wantReason(t *testing.T, name string, err error, why sigv4.Reason, code string) {
	t.Helper()
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Kind != fault.Unauthorized || f.Code != code || sigv4.ReasonOf(err) != why {
		t.Errorf("%s: got %v (reason %d), want %s, reason %d", name, err, sigv4.ReasonOf(err), code, why)
	}
}

func TestLookup(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := mustOpen(t, Config{Users: []User{{Name: "ada", AccessKey: "AKIAADAADAADAADAADAA", SecretKey: "ada's own secret key"}}})
		c, err := a.Issue(Caller{ARN: "arn:x", UserID: "u", SessionKey: "k", Workgroup: "w", Role: "r"}, 15*time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		other, err := a.Issue(Caller{ARN: "arn:y", UserID: "u"}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		want := Caller{Account: "000000000000", ARN: "arn:x", UserID: "u", SessionKey: "k", Workgroup: "w", Role: "r", AccessKeyID: c.AccessKeyID}
		for range 2 { // unsealed, then remembered
			if secret, who, _, err := a.Lookup(c.AccessKeyID, c.SessionToken); err != nil || secret != c.SecretAccessKey || who != want {
				t.Errorf("got %+v, %v", who, err)
			}
		}
		if len(c.SecretAccessKey) != 40 || len(c.AccessKeyID) != 20 || !Temporary(c.AccessKeyID) {
			t.Errorf("odd credentials %+v", c)
		}
		if _, who, _, err := a.Lookup("AKIAADAADAADAADAADAA", ""); err != nil || who.ARN != "arn:aws:iam::000000000000:user/ada" || !strings.HasPrefix(who.UserID, "AIDA") || who.Root() {
			t.Errorf("user: got %+v, %v", who, err)
		}
		if _, who, _, err := a.Lookup(a.Root().AccessKeyID, ""); err != nil || !who.Root() || who.ARN != "arn:aws:iam::000000000000:root" {
			t.Errorf("root: got %+v, %v", who, err)
		}
		flip := []byte(c.SessionToken)
		flip[40] ^= 1
		for name, k := range map[string]struct {
			id, token string
			why       sigv4.Reason
		}{
			"unknown key":              {"AKIAUNKNOWNUNKNOWNUN", "", sigv4.UnknownKey},
			"unknown key with a token": {"AKIAUNKNOWNUNKNOWNUN", c.SessionToken, sigv4.UnknownKey},
			"no token":                 {c.AccessKeyID, "", sigv4.UnknownKey},
			"another key's token":      {c.AccessKeyID, other.SessionToken, sigv4.BadToken},
			"altered token":            {c.AccessKeyID, string(flip), sigv4.BadToken},
			"cut token":                {c.AccessKeyID, c.SessionToken[:20], sigv4.BadToken},
			"no base64":                {c.AccessKeyID, "not a token!", sigv4.BadToken},
			"longer token":             {c.AccessKeyID, c.SessionToken + "AAAA", sigv4.BadToken},
			"huge token":               {c.AccessKeyID, strings.Repeat("A", 1<<20), sigv4.BadToken},
			"root with a token":        {a.Root().AccessKeyID, c.SessionToken, sigv4.BadToken},
		} {
			_, _, _, err := a.Lookup(k.id, k.token)
			wantReason(t, name, err, k.why, sigv4.CodeUnknown)
		}
		time.Sleep(15*time.Minute - time.Second)
		if _, _, _, err := a.Lookup(c.AccessKeyID, c.SessionToken); err != nil {
			t.Errorf("a second before the end: %v", err)
		}
		time.Sleep(time.Second)
		_, _, _, err = a.Lookup(c.AccessKeyID, c.SessionToken)
		wantReason(t, "expired", err, sigv4.TokenExpired, sigv4.CodeExpired)
	})
}

func TestTheTokenCacheIsBounded(t *testing.T) {
	t.Parallel()
	var c tokenCache
	c.put("first", &identity{})
	for range tokenGeneration - 1 {
		c.put(newKeyID("T"), &identity{})
	}
	c.put("next generation", &identity{})
	if c.get("first") == nil {
		t.Error("forgotten after one generation")
	}
	for range 2*tokenGeneration + 1 {
		c.put(newKeyID("T"), &identity{})
	}
	if c.get("first") != nil || len(c.recent)+len(c.old) > 2*tokenGeneration {
		t.Errorf("remembers %d and %d tokens", len(c.recent), len(c.old))
	}
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	a := mustOpen(t, Config{})
	c, err := a.Issue(Caller{ARN: "arn:x", UserID: "u"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	signed := func(cred sigv4.Credentials, service, region string) *http.Request {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("hello"))
		sigv4.NewKeys().Sign(r, cred, service, region, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")
		return r
	}
	root := sigv4.Credentials{AccessKeyID: a.Root().AccessKeyID, SecretAccessKey: a.Root().SecretAccessKey}
	temp := sigv4.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, Token: c.SessionToken}
	for _, cred := range []sigv4.Credentials{root, temp} {
		who, err := a.Authenticate(signed(cred, "athena", "us-east-1"), []byte("hello"), "athena")
		if err != nil || who.AccessKeyID != cred.AccessKeyID {
			t.Errorf("got %+v, %v", who, err)
		}
		if who, v, err := a.AuthenticateS3(signed(cred, "s3", "us-east-1")); err != nil || v.Service != "s3" || who.AccessKeyID != cred.AccessKeyID {
			t.Errorf("s3: got %+v, %v", who, err)
		}
	}
	wrong := temp
	wrong.SecretAccessKey = root.SecretAccessKey
	_, err = a.Authenticate(signed(wrong, "athena", "us-east-1"), []byte("hello"), "athena")
	wantReason(t, "wrong secret", err, sigv4.Mismatch, sigv4.CodeInvalid)
	_, err = a.Authenticate(signed(temp, "athena", "eu-west-1"), []byte("hello"), "athena")
	wantReason(t, "wrong region", err, sigv4.WrongScope, sigv4.CodeInvalid)
	_, err = a.Authenticate(httptest.NewRequest(http.MethodPost, "/", nil), nil, "athena")
	wantReason(t, "unsigned", err, sigv4.NoSignature, sigv4.CodeMissing)
}

func BenchmarkAuthenticate(b *testing.B) {
	a, err := Open(b.Context(), Config{Dir: b.TempDir(), Home: home()})
	if err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("hello"))
	sigv4.NewKeys().Sign(r, sigv4.Credentials{AccessKeyID: a.Root().AccessKeyID, SecretAccessKey: a.Root().SecretAccessKey}, "athena", "us-east-1",
		"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Authenticate(r, []byte("hello"), "athena"); err != nil {
			b.Fatal(err)
		}
	}
}

func TestSecretsOfASessionAreKnown(t *testing.T) {
	t.Parallel()
	a, err := Open(t.Context(), Config{Dir: t.TempDir(), Home: ident.Home{Partition: "aws", Region: "us-east-1", Account: "000000000000"}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := a.ExecutorCredentials("k1", Executor{SessionID: "s1", Workgroup: "w", RoleARN: a.Home().Role("r")})
	if err != nil {
		t.Fatal(err)
	}
	known := a.ExecutorSecrets("k1")
	for what, secret := range map[string]string{"agent token": a.AgentToken("k1"), "secret key": c.SecretAccessKey, "root's": a.Root().SecretAccessKey} {
		if !slices.Contains(known, secret) {
			t.Errorf("the %s is not among the secrets", what)
		}
	}
	if slices.Contains(a.ExecutorSecrets("k2"), c.SecretAccessKey) {
		t.Error("two sessions have the same secret key")
	}
	token, _, err := a.ConnectToken(Caller{Account: a.Home().Account, ARN: "x"}, "k1", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{c.SessionToken, token} {
		if !slices.ContainsFunc(a.TokenBeginnings(), func(b string) bool { return strings.HasPrefix(text, b) }) {
			t.Errorf("no token begins like %q", text[:8])
		}
	}
}
