package connect

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// How long our certificates are good. A new one is made once a third is left;
// of the authority's that happens at a start, and clients need the new root.
const (
	authorityLife = 10 * 365 * 24 * time.Hour
	leafLife      = 30 * 24 * time.Hour
	skew          = time.Hour // of clocks that are behind
)

// The files of an Issuer.
const (
	authorityKey  = "ca.key" // key and certificate, one after the other
	authorityFile = "ca.pem" // the certificate alone, to hand to clients
)

// Issuer makes the certificates of the endpoint: it keeps a local authority in
// a directory, minted when it is first needed, and leaf certificates in memory.
type Issuer struct {
	names []string // host names, wildcards and addresses
	root  *x509.Certificate
	key   *ecdsa.PrivateKey

	mu   sync.Mutex
	leaf *tls.Certificate // guarded by mu
}

// NewIssuer reads or mints the authority in dir. names are what the
// certificates are for: host names, wildcards and IP addresses.
func NewIssuer(dir string, names []string) (*Issuer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the directory of the certificate authority: %w", err)
	}
	i := &Issuer{names: names}
	path := filepath.Join(dir, authorityKey)
	err := i.read(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && time.Until(i.root.NotAfter) < authorityLife/3 {
		if err = i.mint(path); err == nil {
			err = i.read(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("cannot use the certificate authority in %s: %w", dir, err)
	}
	if err := replaceFile(filepath.Join(dir, authorityFile), i.Root(), 0o644); err != nil {
		return nil, fmt.Errorf("cannot write the root certificate: %w", err)
	}
	return i, nil
}

// read loads the authority.
func (i *Issuer) read(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("others may read %s: its mode must be 0600", path)
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "EC PRIVATE KEY":
			i.key, err = x509.ParseECPrivateKey(block.Bytes)
		case "CERTIFICATE":
			i.root, err = x509.ParseCertificate(block.Bytes)
		}
		if err != nil {
			return err
		}
	}
	if i.key == nil || i.root == nil || !i.key.PublicKey.Equal(i.root.PublicKey) {
		return fmt.Errorf("%s is damaged", path)
	}
	return nil
}

// mint makes an authority.
func (i *Issuer) mint(path string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	id := sha256.Sum256(elliptic.MarshalCompressed(key.Curve, key.X, key.Y))
	template := &x509.Certificate{
		SerialNumber: serial(),
		// Several authorities may be trusted at once, and are told apart by name.
		Subject:   pkix.Name{CommonName: "Glaux local authority " + hex.EncodeToString(id[:4])},
		NotBefore: time.Now().Add(-skew), NotAfter: time.Now().Add(authorityLife),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:     true, BasicConstraintsValid: true, MaxPathLenZero: true,
	}
	root, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	return replaceFile(path, append(text, encodeCertificate(root)...), 0o600)
}

// Root returns the authority's certificate, which clients have to trust.
func (i *Issuer) Root() []byte { return encodeCertificate(i.root.Raw) }

// Certificate returns a leaf certificate that is good for a while.
func (i *Issuer) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.leaf != nil && time.Until(i.leaf.Leaf.NotAfter) > leafLife/3 {
		return i.leaf, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: "Glaux Spark Connect"},
		NotBefore:    time.Now().Add(-skew), NotAfter: time.Now().Add(leafLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, name := range i.names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, i.root, key.Public(), i.key)
	if err != nil {
		return nil, fmt.Errorf("cannot make a certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	i.leaf = &tls.Certificate{Certificate: [][]byte{der, i.root.Raw}, PrivateKey: key, Leaf: leaf}
	return i.leaf, nil
}

// Names returns what certificates of an endpoint are for: this machine's own
// names, those of a public host, and one host per session below each. listen
// is the host that is listened on; both may be empty.
func Names(public, listen string) []string {
	names := []string{"localhost", "*.sessions.localhost", "127.0.0.1", "::1"}
	for _, host := range []string{public, listen} {
		ip := net.ParseIP(host)
		switch {
		case host == "" || host == "localhost" || ip != nil && ip.IsUnspecified():
		case ip != nil:
			names = append(names, host)
		default:
			names = append(names, host, "*."+host, "*.sessions."+host)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func serial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b)
	return new(big.Int).SetBytes(b)
}

func encodeCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// replaceFile writes a file so that whoever reads it sees all of it or what was
// there before.
func replaceFile(path string, text []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // nothing is there after the rename
	_, err = f.Write(text)
	if err = errors.Join(err, f.Chmod(mode), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Files is an operator's certificate, read again after its files changed.
type Files struct {
	cert, key string

	mu      sync.Mutex
	looked  time.Time        // guarded by mu; when the files were last looked at
	stamps  [2]time.Time     // guarded by mu; of the files that current was read from
	current *tls.Certificate // guarded by mu
	failed  func(error)      // told when files that changed cannot be used
}

// NewFiles reads a certificate and its key, PEM. failed is told when they
// change and cannot be used; the ones read before stay then.
func NewFiles(cert, key string, failed func(error)) (*Files, error) {
	f := &Files{cert: cert, key: key, failed: failed}
	stamps, err := f.stamp()
	if err == nil {
		err = f.loadLocked(stamps)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot load the certificate of Spark Connect: %w", err)
	}
	return f, nil
}

func (f *Files) stamp() (stamps [2]time.Time, err error) {
	for i, path := range []string{f.cert, f.key} {
		info, err := os.Stat(path)
		if err != nil {
			return stamps, err
		}
		stamps[i] = info.ModTime()
	}
	return stamps, nil
}

func (f *Files) loadLocked(stamps [2]time.Time) error {
	c, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err == nil {
		f.current, f.stamps = &c, stamps
	}
	return err
}

// lookEvery is how often the files are looked at, at most.
const lookEvery = time.Second

// Certificate returns the certificate as the files have it.
func (f *Files) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	now := time.Now()
	var failure error
	if now.Sub(f.looked) >= lookEvery {
		f.looked = now
		stamps, err := f.stamp()
		if err == nil && stamps != f.stamps {
			err = f.loadLocked(stamps) // both files change; between the two this fails
		}
		failure = err
	}
	current := f.current
	f.mu.Unlock()
	if failure != nil && f.failed != nil {
		f.failed(failure)
	}
	return current, nil
}

// Roots returns those certificates of the chain that sign others or
// themselves: what a client has to trust where no public authority stands
// behind them.
func (f *Files) Roots() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	var text []byte
	for _, der := range f.current.Certificate {
		c, err := x509.ParseCertificate(der)
		if err == nil && (c.IsCA || c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil) {
			text = append(text, encodeCertificate(der)...)
		}
	}
	return text
}
