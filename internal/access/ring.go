package access

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// SealedKey is one data key of the key ring as it is stored: encrypted under
// the master key, so that a copy of the store alone opens no token.
type SealedKey struct {
	ID      string    // eight hex digits; every token carries it
	Created time.Time // UTC
	Sealed  []byte
}

// KeyStore keeps the key ring. Several servers may share one.
type KeyStore interface {
	// Keys returns all keys, in any order.
	Keys(ctx context.Context) ([]SealedKey, error)
	// PutKey adds a key and returns once it would survive a crash. A key
	// whose id is there already is left as it is, without an error.
	PutKey(ctx context.Context, k SealedKey) error
}

// keyBytes is the length of master and data keys.
const keyBytes = 32

// ring holds the data keys, oldest first. The newest seals; all open.
type ring struct {
	keys []dataKey
}

// dataKey is one opened key with the keys derived from it, one per purpose.
type dataKey struct {
	id      string
	created time.Time
	tokens  cipher.AEAD // seals session tokens
	secrets []byte      // makes the secrets of temporary credentials
	agents  []byte      // makes agent tokens
	pages   []byte      // makes pagination tokens
	connect cipher.AEAD // seals Connect tokens
	visits  cipher.AEAD // seals visits of a session's UI
	// documents seals what is stored and holds passwords.
	documents cipher.AEAD
}

// newDataKey derives the keys of every purpose.
func newDataKey(id string, created time.Time, key []byte) (dataKey, error) {
	k := dataKey{id: id, created: created}
	var sealing, connecting, visiting, keeping []byte
	for purpose, to := range map[string]*[]byte{
		"session token": &sealing, "temporary secret": &k.secrets, "agent token": &k.agents, "pagination token": &k.pages,
		"connect token": &connecting, "ui visit": &visiting, "document": &keeping,
	} {
		sub, err := hkdf.Key(sha256.New, key, nil, "glaux "+purpose, keyBytes)
		if err != nil {
			return k, fmt.Errorf("cannot derive the key for a %s: %w", purpose, err)
		}
		*to = sub
	}
	var err error
	if k.tokens, err = newAEAD(sealing); err != nil {
		return k, err
	}
	if k.visits, err = newAEAD(visiting); err != nil {
		return k, err
	}
	if k.documents, err = newAEAD(keeping); err != nil {
		return k, err
	}
	k.connect, err = newAEAD(connecting)
	return k, err
}

// newAEAD returns AES-256-GCM with random nonces put in front.
func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// openRing reads the ring from the store, making its first key when there is
// none. A key that the master key does not open is an error: starting without
// it would refuse every token it made.
func openRing(ctx context.Context, master []byte, store KeyStore) (*ring, error) {
	seal, err := newAEAD(master)
	if err != nil {
		return nil, fmt.Errorf("cannot use the master key: %w", err)
	}
	sealed, err := store.Keys(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot read the key ring: %w", err)
	}
	if len(sealed) == 0 {
		if err := putKey(ctx, seal, store); err != nil {
			return nil, err
		}
		// Another server may have done the same; whoever reads now sees both.
		if sealed, err = store.Keys(ctx); err != nil {
			return nil, fmt.Errorf("cannot read the key ring: %w", err)
		}
	}
	r := &ring{}
	for _, s := range sealed {
		key, err := seal.Open(nil, nil, s.Sealed, []byte(s.ID))
		if err != nil {
			return nil, fmt.Errorf("cannot open key %q of the key ring: it was sealed with another master key", s.ID)
		}
		k, err := newDataKey(s.ID, s.Created, key)
		if err != nil {
			return nil, err
		}
		r.keys = append(r.keys, k)
	}
	if len(r.keys) == 0 {
		return nil, errors.New("cannot use the key ring: the store keeps no keys")
	}
	slices.SortFunc(r.keys, func(a, b dataKey) int {
		if n := a.created.Compare(b.created); n != 0 {
			return n
		}
		return strings.Compare(a.id, b.id)
	})
	return r, nil
}

// putKey adds a new random key to the store.
func putKey(ctx context.Context, seal cipher.AEAD, store KeyStore) error {
	key := make([]byte, keyBytes)
	name := make([]byte, 4)
	rand.Read(key)
	rand.Read(name)
	id := hex.EncodeToString(name)
	err := store.PutKey(ctx, SealedKey{ID: id, Created: time.Now().UTC(), Sealed: seal.Seal(nil, nil, key, []byte(id))})
	if err != nil {
		return fmt.Errorf("cannot add a key to the key ring: %w", err)
	}
	return nil
}

// newest returns the key that seals.
func (r *ring) newest() *dataKey { return &r.keys[len(r.keys)-1] }

// key returns the key of an id, or nil.
func (r *ring) key(id string) *dataKey {
	for i := range r.keys {
		if r.keys[i].id == id {
			return &r.keys[i]
		}
	}
	return nil
}
