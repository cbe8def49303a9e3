package access

import (
	"context"
	"crypto/hmac"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// CredentialsPath is where a driver asks for its credentials; the key of its
// session follows.
const CredentialsPath = "/_glaux/credentials/"

// DefaultExecutorLife is how long the credentials of a session live. New ones
// are handed out once half of it is left: the AWS SDK for Java v1 asks before
// every request once less than 15 minutes are left.
const DefaultExecutorLife = time.Hour

// Executor is the execution role of a session that is alive.
type Executor struct {
	SessionID string // what callers use; part of the role session name
	Workgroup string
	Glue      bool   // it is a Glue session
	RoleARN   string // execution role of the session or its workgroup
}

// ErrNoSession says that no live session has a key.
var ErrNoSession = errors.New("no such live session")

// Executors tells about sessions. It is implemented where sessions are kept.
type Executors interface {
	// Executor returns the execution role of the live session with the key,
	// or ErrNoSession. Any other error means that it cannot be told now.
	Executor(ctx context.Context, sessionKey string) (Executor, error)
}

// AgentToken returns what the driver of a session sends as its Authorization
// header to the credentials endpoint. It is good as long as the session is.
func (a *Authority) AgentToken(sessionKey string) string {
	return a.ring.newest().agentToken(sessionKey)
}

func (k *dataKey) agentToken(sessionKey string) string {
	return k.id + "." + base64.RawURLEncoding.EncodeToString(hmacOf(k.agents, sessionKey))
}

// agentTokenFits compares in constant time.
func (a *Authority) agentTokenFits(sessionKey, token string) bool {
	id, _, ok := strings.Cut(token, ".")
	if !ok {
		return false
	}
	k := a.ring.key(id)
	return k != nil && hmac.Equal([]byte(k.agentToken(sessionKey)), []byte(token))
}

// glueExecutor is the role session name of Glue sessions.
const glueExecutor = "GlueJobRunnerSession"

// ExecutorCredentials returns credentials of a session's execution role, under
// the role session name AthenaExecutor-<session id>, or Glue's own. They are the same until
// less than half of their life is left.
func (a *Authority) ExecutorCredentials(sessionKey string, x Executor) (Credentials, error) {
	if c, ok := a.agent.get(sessionKey, x, a.life/2); ok {
		return c, nil
	}
	who, err := a.ExecutorCaller(sessionKey, x)
	if err != nil {
		return Credentials{}, err
	}
	k := a.ring.newest()
	c, err := a.issue(k, k.executorKeyID(sessionKey, a.slot(time.Now())), who, a.life)
	if err != nil {
		return Credentials{}, err
	}
	a.agent.put(sessionKey, x, c, a.life/2)
	return c, nil
}

// ExecutorCaller returns a session's execution role as a caller: what code in
// the session is, and what the service is when it acts for the session.
func (a *Authority) ExecutorCaller(sessionKey string, x Executor) (Caller, error) {
	name := "AthenaExecutor-" + x.SessionID
	if x.Glue {
		name = glueExecutor
	}
	who, err := a.AssumedRole(Caller{ARN: x.RoleARN}, x.RoleARN, name)
	if err != nil {
		return Caller{}, fmt.Errorf("cannot assume the execution role %q of session %q: %w", x.RoleARN, x.SessionID, err)
	}
	who.SessionKey, who.Workgroup = sessionKey, x.Workgroup
	if x.Glue {
		who.GlueSession = x.SessionID
	}
	return who, nil
}

// slot numbers the stretches of time in which a session's credentials have the
// same access key id. They are shorter than the time after which new ones are
// handed out.
func (a *Authority) slot(at time.Time) int64 { return at.UnixNano() / int64(a.slotLength()) }

func (a *Authority) slotLength() time.Duration { return max(a.life/4, time.Second) }

// executorKeyID is the access key id of a session's credentials in a slot. It
// follows from the two, so that the secrets a session was given can be told
// without being written down anywhere.
func (k *dataKey) executorKeyID(sessionKey string, slot int64) string {
	sum := hmacOf(k.agents, "access key id", sessionKey, strconv.FormatInt(slot, 10))
	return temporary + base32.StdEncoding.EncodeToString(sum[:10])
}

// ExecutorSecrets returns what nobody who reads a session's logs must see: what
// its driver has been given, or will be in the next moment, which are its agent
// token and the secret keys of all credentials that may still be good, and the
// account's long-lived secret keys. The order is always the same.
func (a *Authority) ExecutorSecrets(sessionKey string) []string {
	var out []string
	now := time.Now()
	first, last := a.slot(now.Add(-a.life-a.slotLength())), a.slot(now.Add(a.slotLength()))
	for i := range a.ring.keys {
		k := &a.ring.keys[i]
		out = append(out, k.agentToken(sessionKey))
		for slot := first; slot <= last; slot++ {
			out = append(out, k.secret(k.executorKeyID(sessionKey, slot)))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(a.users)) {
		out = append(out, a.users[id].secret)
	}
	return out
}

// TokenBeginnings returns how the session tokens and Connect tokens of the
// service begin: with their version and the id of their key.
func (a *Authority) TokenBeginnings() []string {
	var out []string
	for i := range a.ring.keys {
		head, err := hex.DecodeString(a.ring.keys[i].id)
		if err != nil {
			continue // no token carries it
		}
		for _, in := range []*base64.Encoding{base64.StdEncoding, base64.RawURLEncoding} {
			// Of five bytes the first six characters do not depend on what follows.
			text := in.EncodeToString(append([]byte{tokenVersion}, head...))[:6]
			if !slices.Contains(out, text) {
				out = append(out, text)
			}
		}
	}
	return out
}

// agentCache remembers what each session was given last.
type agentCache struct {
	mu    sync.Mutex
	given map[string]given // by session key; guarded by mu
}

type given struct {
	to Executor
	c  Credentials
}

func (a *agentCache) get(key string, x Executor, renew time.Duration) (Credentials, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	g, ok := a.given[key]
	return g.c, ok && g.to == x && time.Until(g.c.Expires) >= renew
}

func (a *agentCache) put(key string, x Executor, c Credentials, renew time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.given == nil {
		a.given = make(map[string]given)
	}
	for k, g := range a.given { // sessions that are gone stop asking
		if time.Until(g.c.Expires) < renew {
			delete(a.given, k)
		}
	}
	a.given[key] = given{x, c}
}

// credentialsReply is the body that the SDKs' container providers read.
type credentialsReply struct {
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string `json:"SecretAccessKey"`
	Token           string `json:"Token"`
	Expiration      string `json:"Expiration"`
	RoleARN         string `json:"RoleArn"`
}

// CredentialsHandler serves GET CredentialsPath + session key to the drivers,
// in the form of the SDKs' container credentials provider. Failures of the
// server itself go to log.
func (a *Authority) CredentialsHandler(sessions Executors, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Type", "application/json")
		key, ok := strings.CutPrefix(r.URL.Path, CredentialsPath)
		switch {
		case !ok || key == "" || strings.Contains(key, "/"):
			refuse(w, http.StatusNotFound, "NotFound", "no such page")
			return
		case r.Method != http.MethodGet:
			w.Header().Set("Allow", http.MethodGet)
			refuse(w, http.StatusMethodNotAllowed, "MethodNotAllowed", "only GET is answered here")
			return
		}
		auth := r.Header["Authorization"]
		if len(auth) != 1 || !a.agentTokenFits(key, auth[0]) {
			refuse(w, http.StatusUnauthorized, "AccessDenied", "the authorization token is not the one of this session")
			return
		}
		x, err := sessions.Executor(r.Context(), key)
		if errors.Is(err, ErrNoSession) {
			refuse(w, http.StatusGone, "SessionEnded", "the session has ended")
			return
		}
		var c Credentials
		if err == nil {
			c, err = a.ExecutorCredentials(key, x)
		}
		if err != nil {
			log.LogAttrs(r.Context(), slog.LevelError, "cannot give a session its credentials", slog.String("session", key), slog.Any("error", err))
			refuse(w, http.StatusServiceUnavailable, "Unavailable", "credentials cannot be made at the moment")
			return
		}
		text, err := json.Marshal(credentialsReply{
			AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, Token: c.SessionToken,
			Expiration: c.Expires.Format(time.RFC3339), RoleARN: x.RoleARN,
		})
		if err != nil {
			refuse(w, http.StatusInternalServerError, "InternalFailure", "credentials cannot be made")
			return
		}
		_, _ = w.Write(text) // a client that has gone needs no answer
	})
}

// refuse answers in the form the SDKs' container providers show to people.
func refuse(w http.ResponseWriter, status int, code, message string) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct { // a client that has gone needs no answer
		Code    string `json:"code"`
		Message string `json:"message"`
	}{code, message})
}
