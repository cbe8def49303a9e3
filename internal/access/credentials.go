package access

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"glaux/internal/fault"
	"glaux/internal/sigv4"
)

// temporary is how the ids of temporary access keys begin.
const temporary = "ASIA"

// Credentials are temporary ones. They are written down nowhere: the token
// carries the caller and the end of life, sealed with the key ring, and the
// secret follows from the access key id.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string
	Expires         time.Time // UTC, whole seconds
}

// identity is what a key stands for.
type identity struct {
	secret  string
	caller  Caller
	expires time.Time // zero: never
}

// sealedCaller is the content of a session token.
type sealedCaller struct {
	Key       string `json:"k"` // access key id the token belongs to
	Expires   int64  `json:"x"` // seconds since 1970
	Account   string `json:"c"`
	ARN       string `json:"a"`
	UserID    string `json:"u"`
	Role      string `json:"r,omitempty"`
	Session   string `json:"s,omitempty"`
	Workgroup string `json:"w,omitempty"`
	Glue      string `json:"g,omitempty"`
}

// tokenVersion is the first byte of a session token; then come the four bytes
// of the key's id and the sealed content.
const tokenVersion = 1

// Issue makes temporary credentials for who, good for ttl, rounded down to
// whole seconds. who.AccessKeyID is not used. They cannot be taken back.
func (a *Authority) Issue(who Caller, ttl time.Duration) (Credentials, error) {
	return a.issue(a.ring.newest(), newKeyID(temporary), who, ttl)
}

// issue is Issue with the key that seals and the access key id.
func (a *Authority) issue(k *dataKey, id string, who Caller, ttl time.Duration) (Credentials, error) {
	c := Credentials{AccessKeyID: id, Expires: time.Now().Add(ttl).UTC().Truncate(time.Second)}
	text, err := json.Marshal(sealedCaller{
		Key: c.AccessKeyID, Expires: c.Expires.Unix(), Account: a.home.Account, ARN: who.ARN, UserID: who.UserID,
		Role: who.Role, Session: who.SessionKey, Workgroup: who.Workgroup, Glue: who.GlueSession,
	})
	if err != nil {
		return Credentials{}, fmt.Errorf("cannot make credentials: %w", err)
	}
	head := []byte{tokenVersion}
	if head, err = hex.AppendDecode(head, []byte(k.id)); err != nil {
		return Credentials{}, fmt.Errorf("cannot make credentials: key id %q: %w", k.id, err)
	}
	c.SecretAccessKey = k.secret(c.AccessKeyID)
	c.SessionToken = base64.StdEncoding.EncodeToString(k.tokens.Seal(head, nil, text, head))
	return c, nil
}

// secret returns the secret of a temporary access key: 40 characters.
func (k *dataKey) secret(accessKeyID string) string {
	return base64.StdEncoding.EncodeToString(hmacOf(k.secrets, accessKeyID)[:30])
}

// AWS's texts for keys and tokens.
const (
	invalidTokenText = "The security token included in the request is invalid."
	expiredTokenText = "The security token included in the request is expired"
)

func badToken(why sigv4.Reason) error {
	return sigv4.Refuse(sigv4.CodeUnknown, why, invalidTokenText)
}

// Lookup returns the secret of an access key and who holds it. token is the
// session token of a temporary key and empty for a long-lived one. It fails
// with the reasons UnknownKey, BadToken or TokenExpired. expires is zero for
// a long-lived key.
func (a *Authority) Lookup(accessKeyID, token string) (secret string, who Caller, expires time.Time, err error) {
	id, err := a.lookup(accessKeyID, token)
	if err != nil {
		return "", Caller{}, time.Time{}, err
	}
	return id.secret, id.caller, id.expires, nil
}

func (a *Authority) lookup(accessKeyID, token string) (*identity, error) {
	if id, ok := a.users[accessKeyID]; ok {
		if token != "" {
			return nil, badToken(sigv4.BadToken)
		}
		return id, nil
	}
	if token == "" || !strings.HasPrefix(accessKeyID, temporary) {
		return nil, badToken(sigv4.UnknownKey)
	}
	id := a.temp.get(token)
	if id == nil {
		var err error
		if id, err = a.openToken(token); err != nil {
			return nil, err
		}
		a.temp.put(token, id)
	}
	if id.caller.AccessKeyID != accessKeyID {
		return nil, badToken(sigv4.BadToken)
	}
	if !time.Now().Before(id.expires) {
		return nil, sigv4.Refuse(sigv4.CodeExpired, sigv4.TokenExpired, expiredTokenText)
	}
	return id, nil
}

// maxToken is the longest session token that is looked at, in characters.
const maxToken = 4096

// openToken reads a session token.
func (a *Authority) openToken(token string) (*identity, error) {
	if len(token) > maxToken {
		return nil, badToken(sigv4.BadToken)
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) < 5 || raw[0] != tokenVersion {
		return nil, badToken(sigv4.BadToken)
	}
	k := a.ring.key(hex.EncodeToString(raw[1:5]))
	if k == nil {
		return nil, badToken(sigv4.BadToken)
	}
	text, err := k.tokens.Open(nil, nil, raw[5:], raw[:5])
	if err != nil {
		return nil, badToken(sigv4.BadToken)
	}
	var s sealedCaller
	// A server that was given another account knows none of the old one's callers.
	if err := json.Unmarshal(text, &s); err != nil || s.Account != a.home.Account {
		return nil, badToken(sigv4.BadToken)
	}
	return &identity{
		secret:  k.secret(s.Key),
		expires: time.Unix(s.Expires, 0).UTC(),
		caller: Caller{
			Account: a.home.Account, ARN: s.ARN, UserID: s.UserID, AccessKeyID: s.Key,
			Role: s.Role, SessionKey: s.Session, Workgroup: s.Workgroup, GlueSession: s.Glue,
		},
	}, nil
}

// tokenCache remembers what tokens stand for, so that a token is opened once.
// It holds at most two generations.
type tokenCache struct {
	mu     sync.RWMutex
	recent map[string]*identity // guarded by mu
	old    map[string]*identity // guarded by mu
}

// tokenGeneration is how many tokens are remembered twice over.
const tokenGeneration = 4096

func (c *tokenCache) get(token string) *identity {
	c.mu.RLock()
	id, ok := c.recent[token]
	if !ok {
		id = c.old[token]
	}
	c.mu.RUnlock()
	if id != nil && !ok {
		c.put(token, id)
	}
	return id
}

func (c *tokenCache) put(token string, id *identity) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.recent == nil || len(c.recent) >= tokenGeneration {
		c.old, c.recent = c.recent, make(map[string]*identity)
	}
	c.recent[strings.Clone(token)] = id
}

// Authenticate verifies the signature of r for the service (a signing name
// other than s3) over the body and returns who sent it. It fails with a fault
// of kind Unauthorized; sigv4.ReasonOf tells why.
func (a *Authority) Authenticate(r *http.Request, body []byte, service string) (Caller, error) {
	who, _, err := a.authenticate(r, sigv4.Want{Service: service, Body: body})
	return who, err
}

// AuthenticateS3 verifies the signature of a request to the object store,
// which must be as it arrived, and returns who sent it. The body is checked
// while it is read: see sigv4.Verified.Body.
func (a *Authority) AuthenticateS3(r *http.Request) (Caller, *sigv4.Verified, error) {
	return a.authenticate(r, sigv4.Want{Service: sigv4.S3})
}

// global is the region that clients without one sign for, where a service has
// one address for all regions.
const global = "us-east-1"

func (a *Authority) authenticate(r *http.Request, want sigv4.Want) (Caller, *sigv4.Verified, error) {
	s, err := sigv4.Parse(r)
	if err != nil {
		return Caller{}, nil, err
	}
	id, err := a.lookup(s.AccessKeyID, s.Token)
	if err != nil {
		return Caller{}, nil, err
	}
	want.Region = a.home.Region
	if s.Region == global && (want.Service == sigv4.S3 || want.Service == "sts" || want.Service == "iam") {
		want.Region = global
	}
	v, err := a.sigs.Verify(r, s, id.secret, want)
	if err != nil {
		return Caller{}, nil, err
	}
	return id.caller, v, nil
}

var (
	sessionNameForm = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)
	roleARNForm     = regexp.MustCompile(`^arn:(aws[a-z-]*):iam::([0-9]{12}):role/((?:[\x21-\x2e\x30-\x7e]+/)*)([\w+=,.@-]{1,64})$`)
)

// maxRolePath is how long a role's path may be, without its first slash.
const maxRolePath = 511

// IsRoleARN reports whether text is the ARN of a role of any account.
func IsRoleARN(text string) bool { return roleARNForm.MatchString(text) }

// Temporary reports whether an access key id is one of a temporary key.
func Temporary(accessKeyID string) bool { return strings.HasPrefix(accessKeyID, temporary) }

// AssumedRole returns the caller that a role becomes under a session name.
// Any well-formed role ARN of the account is a role. The fault is Denied, with
// AWS's text for who, when it is none.
func (a *Authority) AssumedRole(who Caller, roleARN, sessionName string) (Caller, error) {
	m := roleARNForm.FindStringSubmatch(roleARN)
	if m == nil || m[1] != a.home.Partition || m[2] != a.home.Account || len(m[3]) > maxRolePath || !sessionNameForm.MatchString(sessionName) {
		return Caller{}, fault.New(fault.Denied, "User: %s is not authorized to perform: sts:AssumeRole on resource: %s", who.ARN, roleARN)
	}
	return Caller{
		Account: a.home.Account,
		ARN:     "arn:" + a.home.Partition + ":sts::" + a.home.Account + ":assumed-role/" + m[4] + "/" + sessionName,
		UserID:  a.uniqueID("AROA", roleARN) + ":" + sessionName,
		Role:    roleARN,
	}, nil
}

// KeyAccount returns the account an access key id belongs to: ours for the
// root key, the users' keys, and every id of a temporary key, which are
// written down nowhere; false for others.
func (a *Authority) KeyAccount(accessKeyID string) (string, bool) {
	_, ok := a.users[accessKeyID]
	if !ok && (!Temporary(accessKeyID) || len(accessKeyID) != 20) {
		return "", false
	}
	return a.home.Account, true
}
