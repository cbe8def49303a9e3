package access

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"glaux/internal/ident"
	"glaux/internal/sigv4"
)

// Config is what an Authority stands on.
type Config struct {
	// Dir is the key directory. It is made with mode 0700 when missing; the
	// master key and the root key pair in it are made at the first start.
	Dir string
	// Home is the account and region that keys and roles belong to.
	Home ident.Home
	// Users are further long-lived keys. Empty: the root key pair alone.
	Users []User
	// Roles are roles with rules of their own. Every other well-formed role
	// ARN of the account may be assumed too and has DefaultRules.
	Roles []Role
	// Keys keeps the key ring. Nil: a file in Dir.
	Keys KeyStore
	// ExecutorLife is how long the credentials inside a session are good. Zero:
	// DefaultExecutorLife.
	ExecutorLife time.Duration
	// Audit receives one entry per decision. Nil: nobody.
	Audit Auditor
}

// User is a user of the account with one long-lived key pair.
type User struct {
	Name      string // 1 to 64 of letters, digits and _+=,.@-
	AccessKey string // 16 to 128 of A-Z a-z 0-9 _
	SecretKey string // at least 16 characters
	// Allow lists what the user may do. Empty: everything, as root, except
	// that a user is not the account's root where AWS asks for that.
	Allow []Rule
}

// Role is a role of the account.
type Role struct {
	Name string // role name, with its path when it has one: "team/analyst"
	// Allow lists what the role may do. Empty: DefaultRules.
	Allow []Rule
}

const minSecret = 16

var (
	keyIDForm    = regexp.MustCompile(`^\w{16,128}$`)
	nameForm     = regexp.MustCompile(`^[\w+=,.@-]{1,64}$`)
	pathNameForm = regexp.MustCompile(`^/?([\x21-\x2e\x30-\x7e]+/)*[\w+=,.@-]{1,64}$`)
)

// Authority knows every key and role: it authenticates requests, makes
// temporary credentials and decides what a caller may do. It is safe for
// concurrent use.
type Authority struct {
	home     ident.Home
	ring     *ring
	root     KeyPair
	users    map[string]*identity // long-lived keys by access key id; never changes
	allow    map[string][]Rule    // by ARN of a user or role with rules of its own; never changes
	named    map[string]string    // ARN of a role of the configuration, by name without path; never changes
	defaults []Rule
	audit    Auditor
	life     time.Duration // of the credentials inside a session
	sigs     *sigv4.Keys
	temp     tokenCache
	agent    agentCache
}

// Open reads or makes the keys and checks the configuration, reporting all
// its faults at once.
func Open(ctx context.Context, c Config) (*Authority, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the key directory: %w", err)
	}
	root, err := rootPair(c.Dir)
	if err != nil {
		return nil, err
	}
	master, err := masterKey(c.Dir)
	if err != nil {
		return nil, err
	}
	file := &fileKeys{path: filepath.Join(c.Dir, ringFile)}
	store := c.Keys
	if store == nil {
		store = file
	} else if err := file.moveTo(ctx, store); err != nil {
		return nil, err
	}
	ring, err := openRing(ctx, master, store)
	if err != nil {
		return nil, err
	}
	a := &Authority{
		home: c.Home, defaults: DefaultRules(), ring: ring, root: root, audit: c.Audit, sigs: sigv4.NewKeys(),
		users: make(map[string]*identity), allow: make(map[string][]Rule), named: make(map[string]string), life: cmp.Or(c.ExecutorLife, DefaultExecutorLife),
	}
	a.users[root.AccessKeyID] = &identity{secret: root.SecretAccessKey, caller: Caller{
		Account: c.Home.Account, ARN: a.iam("root"), UserID: c.Home.Account, AccessKeyID: root.AccessKeyID,
	}}
	for _, u := range c.Users {
		if u.AccessKey == root.AccessKeyID {
			return nil, fmt.Errorf("cannot use user %q: it has the access key of root", u.Name)
		}
		arn := a.iam("user/" + u.Name)
		a.users[u.AccessKey] = &identity{secret: u.SecretKey, caller: Caller{
			Account: c.Home.Account, ARN: arn, UserID: a.uniqueID("AIDA", arn), AccessKeyID: u.AccessKey,
		}}
		if len(u.Allow) > 0 {
			a.allow[arn] = u.Allow
		}
	}
	for _, r := range c.Roles {
		arn := c.Home.Role(strings.TrimPrefix(r.Name, "/"))
		if len(r.Allow) > 0 {
			a.allow[arn] = r.Allow
		}
		if _, ok := a.named[roleName(r.Name)]; !ok { // the first one, where paths alone tell them apart
			a.named[roleName(r.Name)] = arn
		}
	}
	return a, nil
}

// Validate reports every fault of the configuration. It changes nothing.
func (c *Config) Validate() error {
	var faults []error
	bad := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	rules := func(what string, list []Rule) {
		for i, r := range list {
			if err := r.validate(); err != nil {
				bad("cannot use %s.allow[%d]: %w", what, i, err)
			}
		}
	}
	keys, names := map[string]bool{}, map[string]bool{}
	for i, u := range c.Users {
		if !nameForm.MatchString(u.Name) {
			bad("cannot use users[%d].name %q: it must match %s", i, u.Name, nameForm)
		}
		if !keyIDForm.MatchString(u.AccessKey) || strings.HasPrefix(u.AccessKey, temporary) {
			bad("cannot use users[%d].access-key %q: it must match %s and not begin with %s", i, u.AccessKey, keyIDForm, temporary)
		}
		if len(u.SecretKey) < minSecret {
			bad("cannot use users[%d].secret-key: it has fewer than %d characters", i, minSecret)
		}
		if keys[u.AccessKey] || names[u.Name] {
			bad("cannot use users[%d]: its name or access key is used twice", i)
		}
		keys[u.AccessKey], names[u.Name] = true, true
		rules(fmt.Sprintf("users[%d]", i), u.Allow)
	}
	clear(names)
	for i, r := range c.Roles {
		if !pathNameForm.MatchString(r.Name) {
			bad("cannot use roles[%d].name %q: it must be a role name, with its path if it has one", i, r.Name)
		}
		if names[r.Name] {
			bad("cannot use roles[%d]: its name is used twice", i)
		}
		names[r.Name] = true
		rules(fmt.Sprintf("roles[%d]", i), r.Allow)
	}
	return errors.Join(faults...)
}

// Root returns the root key pair.
func (a *Authority) Root() KeyPair { return a.root }

// Home returns the account and region the authority speaks for.
func (a *Authority) Home() ident.Home { return a.home }

// PageKey returns the key for pagination tokens: secret, and the same after a
// restart and at every server that shares the key ring.
func (a *Authority) PageKey() []byte { return append([]byte(nil), a.ring.keys[0].pages...) }

// iam returns an ARN of the account's IAM.
func (a *Authority) iam(resource string) string {
	return "arn:" + a.home.Partition + ":iam::" + a.home.Account + ":" + resource
}

// uniqueID returns the stable id of a user or role: the prefix and 17
// characters made from its ARN.
func (a *Authority) uniqueID(prefix, arn string) string {
	sum := sha256.Sum256([]byte("glaux unique id\n" + arn))
	return prefix + base32.StdEncoding.EncodeToString(sum[:])[:17]
}

// hmacOf returns HMAC-SHA256 over the parts, each ended by a zero byte.
func hmacOf(key []byte, parts ...string) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return h.Sum(nil)
}
