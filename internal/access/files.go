package access

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// Files in the key directory.
const (
	masterFile = "master.key" // 64 hex digits
	rootFile   = "root.json"  // a KeyPair
	ringFile   = "ring.json"  // sealed keys, when no store keeps them
)

// KeyPair is a long-lived access key.
type KeyPair struct {
	AccessKeyID     string
	SecretAccessKey string
}

// ReadRoot returns the root key pair that the key directory holds. The error
// is fs.ErrNotExist before a server has started there. It changes nothing.
func ReadRoot(dir string) (KeyPair, error) {
	var pair KeyPair
	text, err := readPrivate(filepath.Join(dir, rootFile))
	if err != nil {
		return pair, fmt.Errorf("cannot read the root key pair: %w", err)
	}
	if err := json.Unmarshal(text, &pair); err != nil {
		return pair, fmt.Errorf("cannot read the root key pair: %w", err)
	}
	if !keyIDForm.MatchString(pair.AccessKeyID) || len(pair.SecretAccessKey) < minSecret {
		return pair, fmt.Errorf("cannot read the root key pair: %s is damaged", rootFile)
	}
	return pair, nil
}

// rootPair reads the root key pair, minting it when there is none.
func rootPair(dir string) (KeyPair, error) {
	pair, err := ReadRoot(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return pair, err
	}
	secret := make([]byte, 30)
	rand.Read(secret)
	pair = KeyPair{AccessKeyID: newKeyID("AKIA"), SecretAccessKey: base64.StdEncoding.EncodeToString(secret)}
	text, err := json.MarshalIndent(pair, "", "  ")
	if err != nil {
		return pair, err
	}
	if err := createPrivate(filepath.Join(dir, rootFile), append(text, '\n')); err != nil {
		return pair, fmt.Errorf("cannot save the root key pair: %w", err)
	}
	return ReadRoot(dir) // another process may have been first
}

// masterKey reads the master key, minting it when there is none.
func masterKey(dir string) ([]byte, error) {
	path := filepath.Join(dir, masterFile)
	text, err := readPrivate(path)
	if errors.Is(err, fs.ErrNotExist) {
		key := make([]byte, keyBytes)
		rand.Read(key)
		if err := createPrivate(path, append(hex.AppendEncode(nil, key), '\n')); err != nil {
			return nil, fmt.Errorf("cannot save the master key: %w", err)
		}
		text, err = readPrivate(path)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the master key: %w", err)
	}
	key, err := hex.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(key) != keyBytes {
		return nil, fmt.Errorf("cannot read the master key: %s must hold %d hex digits", masterFile, 2*keyBytes)
	}
	return key, nil
}

// newKeyID returns a new access key id: the prefix and 80 random bits.
func newKeyID(prefix string) string {
	b := make([]byte, 10)
	rand.Read(b)
	return prefix + base32.StdEncoding.EncodeToString(b)
}

// readPrivate reads a file that nobody else may read.
func readPrivate(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s is open to other users (mode %04o); its mode must be 0600", path, info.Mode().Perm())
	}
	return os.ReadFile(path)
}

// createPrivate writes a new file that nobody else may read. The file appears
// with all its content or not at all; one that is there already stays.
func createPrivate(path string, text []byte) error {
	temp, err := writeTemp(path, text)
	if err != nil {
		return err
	}
	defer os.Remove(temp)
	if err := os.Link(temp, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// replacePrivate writes a file that nobody else may read, in place of any.
func replacePrivate(path string, text []byte) error {
	temp, err := writeTemp(path, text)
	if err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		os.Remove(temp)
		return err
	}
	return syncDir(filepath.Dir(path))
}

// writeTemp writes text, synced, to a new file of mode 0600 beside path.
func writeTemp(path string, text []byte) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".")
	if err != nil {
		return "", err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

// syncDir makes new names in a directory last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// fileKeys is a KeyStore in the key directory, for one server.
type fileKeys struct {
	path string
	mu   sync.Mutex // held while the file is read and replaced
}

// Keys returns all keys of the file; a missing file holds none.
func (f *fileKeys) Keys(context.Context) ([]SealedKey, error) {
	text, err := readPrivate(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var keys []SealedKey
	return keys, json.Unmarshal(text, &keys)
}

// PutKey adds a key to the file.
func (f *fileKeys) PutKey(ctx context.Context, k SealedKey) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	keys, err := f.Keys(ctx)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(keys, func(have SealedKey) bool { return have.ID == k.ID }) {
		return nil
	}
	text, err := json.MarshalIndent(append(keys, k), "", "  ")
	if err != nil {
		return err
	}
	return replacePrivate(f.path, append(text, '\n'))
}

// moveTo moves the keys of the file, if there is one, to another store, so
// that tokens which they made stay good.
func (f *fileKeys) moveTo(ctx context.Context, store KeyStore) error {
	keys, err := f.Keys(ctx)
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", f.path, err)
	}
	for _, k := range keys {
		if err := store.PutKey(ctx, k); err != nil {
			return fmt.Errorf("cannot move the key ring: %w", err)
		}
	}
	if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot move the key ring: %w", err)
	}
	return nil
}
