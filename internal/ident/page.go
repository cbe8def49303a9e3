package ident

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
)

// Pages makes and reads pagination tokens. A token carries a cursor that only
// the operation which made it understands, and is good for the same scope
// only: another operation, caller or filter is refused, and so is a token
// that somebody altered. It is safe for concurrent use.
type Pages struct{ key []byte }

// ErrPage says that a pagination token was not made for this scope, or is none.
var ErrPage = errors.New("cannot read pagination token")

// MaxToken is the longest pagination token the API lets through, in characters.
const MaxToken = 2048

// pageMAC is how many bytes of the authenticator a token carries.
const pageMAC = 16

// NewPages returns a maker of tokens under key, which is secret and at least
// 16 bytes. Tokens of one key are good at every server that has it.
func NewPages(key []byte) *Pages { return &Pages{key: append([]byte(nil), key...)} }

// Scope joins what a token is bound to (operation, account, each filter) into
// one text in which the parts cannot be confused.
func Scope(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(strings.ReplaceAll(strings.ReplaceAll(p, "%", "%25"), "|", "%7C"))
		b.WriteByte('|')
	}
	return b.String()
}

// Seal returns the token for the cursor within the scope: letters, digits,
// "-" and "_" only, 22 characters longer than four thirds of the cursor, which
// must leave it within MaxToken: a cursor is at most 1,500 bytes.
func (p *Pages) Seal(scope, cursor string) string {
	return base64.RawURLEncoding.EncodeToString(append(p.mac(scope, cursor), cursor...))
}

// Open returns the cursor of a token that Seal made for the same scope, or ErrPage.
func (p *Pages) Open(scope, token string) (string, error) {
	if len(token) > MaxToken {
		return "", ErrPage
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) < pageMAC {
		return "", ErrPage
	}
	cursor := string(raw[pageMAC:])
	if !hmac.Equal(raw[:pageMAC], p.mac(scope, cursor)) {
		return "", ErrPage
	}
	return cursor, nil
}

func (p *Pages) mac(scope, cursor string) []byte {
	h := hmac.New(sha256.New, p.key)
	h.Write([]byte(scope))
	h.Write([]byte{0})
	h.Write([]byte(cursor))
	return h.Sum(nil)[:pageMAC]
}
