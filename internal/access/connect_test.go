package access

import (
	"errors"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestConnectTokensSurviveARestart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "keys")
	store := &memoryKeys{}
	who := Caller{
		Account: home().Account, ARN: "arn:aws:sts::000000000000:assumed-role/r/me", UserID: "AROAX:me", AccessKeyID: "ASIAX",
		Role: "arn:aws:iam::000000000000:role/r", SessionKey: "k2", Workgroup: "w",
	}
	a := mustOpen(t, Config{Dir: dir, Keys: store})
	token, expires, err := a.ConnectToken(who, "k1", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^[A-Za-z0-9_-]+$`).MatchString(token) {
		t.Errorf("token %q cannot stand in a URL as it is", token)
	}
	got, err := mustOpen(t, Config{Dir: dir, Keys: store}).OpenConnectToken(token)
	if want := (Grant{Who: who, Session: "k1", Expires: expires}); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

func TestConnectTokenSaysWhenItExpires(t *testing.T) {
	t.Parallel()
	a := mustOpen(t, Config{})
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		token, expires, err := a.ConnectToken(Caller{Account: home().Account}, "k", 30*time.Minute)
		if err != nil || !expires.Equal(began.Add(30*time.Minute).Truncate(time.Second)) {
			t.Fatalf("expires %v, %v", expires, err)
		}
		time.Sleep(time.Hour)
		if g, err := a.OpenConnectToken(token); err != nil || !g.Expires.Equal(expires) {
			t.Errorf("an expired token is opened as %+v, %v", g, err)
		}
	})
}

func TestForeignConnectTokensAreRefused(t *testing.T) {
	t.Parallel()
	a, other := mustOpen(t, Config{}), mustOpen(t, Config{})
	who := Caller{Account: home().Account, ARN: "arn:aws:iam::000000000000:root", UserID: home().Account}
	token, _, err := a.ConnectToken(who, "k", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	foreign, _, err := other.ConnectToken(who, "k", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	c, err := a.Issue(who, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	bad := map[string]string{
		"empty": "", "short": "AQ", "words": "not a token", "another ring's": foreign, "session token": c.SessionToken,
		"session token in base64url": strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(c.SessionToken),
		"agent token":                a.AgentToken("k"), "padded": token + "=", "long": strings.Repeat("A", maxGrant+1), "cut": token[:len(token)-4],
	}
	for i := 0; i < len(token); i += 7 {
		flipped := []byte(token)
		flipped[i] ^= 1
		bad["flipped "+string(flipped)] = string(flipped)
	}
	for name, token := range bad {
		if g, err := a.OpenConnectToken(token); !errors.Is(err, ErrBadToken) {
			t.Errorf("%s: got %+v, %v", name, g, err)
		}
	}
}

func FuzzOpenConnectToken(f *testing.F) {
	f.Add("AQ")
	f.Add("AXl5eXl5eXl5eXl5eXl5eXl5eXl5eXl5eXl5eXl5eXl5eXl5eXl5eXl5eXl5eQ")
	a, err := Open(f.Context(), Config{Dir: filepath.Join(f.TempDir(), "keys"), Home: home()})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, token string) {
		if g, err := a.OpenConnectToken(token); err == nil {
			t.Errorf("made-up token %q is good: %+v", token, g)
		}
	})
}
