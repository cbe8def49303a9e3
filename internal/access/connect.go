package access

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Grant is what a Connect token says: who may use Spark Connect of which
// session, and until when.
type Grant struct {
	Who     Caller
	Session string    // key of the session the token is for
	Expires time.Time // UTC, whole seconds
}

// ErrBadToken says that a Connect token is none of ours: damaged, made up, or
// made for something else.
var ErrBadToken = errors.New("not a Connect token")

// sealedGrant is the content of a Connect token.
type sealedGrant struct {
	For     string `json:"f"` // key of the session the token is for
	Expires int64  `json:"x"` // seconds since 1970
	Account string `json:"c"`
	ARN     string `json:"a"`
	UserID  string `json:"u"`
	Key     string `json:"k,omitempty"`
	Role    string `json:"r,omitempty"`
	Session string `json:"s,omitempty"`
	Group   string `json:"w,omitempty"`
	Glue    string `json:"g,omitempty"`
}

// connectVersion is the first byte of a Connect token; then come the four
// bytes of the key's id and the sealed content, all of it in unpadded
// base64url: clients put tokens into URLs as they are.
const connectVersion = 1

// maxGrant is the longest Connect token that is looked at, in characters.
const maxGrant = 4096

// ConnectToken makes a token with which who uses Spark Connect of the session
// for ttl, rounded down to whole seconds. It holds only letters, digits, - and
// _, is written down nowhere, and is good at every server that shares the key
// ring. Whether the session lives is for whoever opens the token to ask.
func (a *Authority) ConnectToken(who Caller, session string, ttl time.Duration) (token string, expires time.Time, err error) {
	k := a.ring.newest()
	expires = time.Now().Add(ttl).UTC().Truncate(time.Second)
	text, err := json.Marshal(sealedGrant{
		For: session, Expires: expires.Unix(), Account: a.home.Account, ARN: who.ARN, UserID: who.UserID, Key: who.AccessKeyID,
		Role: who.Role, Session: who.SessionKey, Group: who.Workgroup, Glue: who.GlueSession,
	})
	if err != nil {
		return "", expires, fmt.Errorf("cannot make a Connect token: %w", err)
	}
	head, err := hex.AppendDecode([]byte{connectVersion}, []byte(k.id))
	if err != nil {
		return "", expires, fmt.Errorf("cannot make a Connect token: key id %q: %w", k.id, err)
	}
	return base64.RawURLEncoding.EncodeToString(k.connect.Seal(head, nil, text, head)), expires, nil
}

// OpenConnectToken returns what a token says, or ErrBadToken. It judges
// neither the time nor the session: an expired token may still be good, see
// package connect.
func (a *Authority) OpenConnectToken(token string) (Grant, error) {
	if len(token) > maxGrant {
		return Grant{}, ErrBadToken
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) < 5 || raw[0] != connectVersion {
		return Grant{}, ErrBadToken
	}
	k := a.ring.key(hex.EncodeToString(raw[1:5]))
	if k == nil {
		return Grant{}, ErrBadToken
	}
	text, err := k.connect.Open(nil, nil, raw[5:], raw[:5])
	if err != nil {
		return Grant{}, ErrBadToken
	}
	var s sealedGrant
	// A server that was given another account knows none of the old one's callers.
	if err := json.Unmarshal(text, &s); err != nil || s.Account != a.home.Account {
		return Grant{}, ErrBadToken
	}
	return Grant{
		Session: s.For,
		Expires: time.Unix(s.Expires, 0).UTC(),
		Who: Caller{
			Account: s.Account, ARN: s.ARN, UserID: s.UserID, AccessKeyID: s.Key,
			Role: s.Role, SessionKey: s.Session, Workgroup: s.Group, GlueSession: s.Glue,
		},
	}, nil
}
