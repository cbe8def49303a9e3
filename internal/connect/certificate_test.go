package connect

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func mustIssuer(t *testing.T, dir string) *Issuer {
	t.Helper()
	i, err := NewIssuer(dir, Names("spark.example.com", "192.0.2.7"))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestAuthorityIsMintedOnceAndVouchesForEveryName(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "connect")
	i := mustIssuer(t, dir)
	again := mustIssuer(t, dir)
	if !bytes.Equal(i.Root(), again.Root()) {
		t.Error("the second start has another authority")
	}
	if info, err := os.Stat(filepath.Join(dir, authorityKey)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file %v, %v", info.Mode(), err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, authorityFile)); err != nil || !bytes.Equal(text, i.Root()) {
		t.Errorf("the root on disk is %q, %v", text, err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(i.Root())
	leaf, err := again.Certificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"localhost", "key.sessions.localhost", "127.0.0.1", "::1", "192.0.2.7",
		"spark.example.com", "key.spark.example.com", "key.sessions.spark.example.com",
	} {
		if _, err := leaf.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := leaf.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "example.com"}); err == nil {
		t.Error("the certificate is good for a name that is none of ours")
	}
}

func TestAuthorityThatOthersCanReadIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mustIssuer(t, dir)
	if err := os.Chmod(filepath.Join(dir, authorityKey), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := NewIssuer(dir, nil); err == nil || !strings.Contains(err.Error(), "0600") {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, authorityKey), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, authorityKey), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewIssuer(dir, nil); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("got %v", err)
	}
}

func TestCertificatesAreRenewedByThemselves(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		i := mustIssuer(t, dir)
		first, err := i.Certificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 100 { // a day each
			time.Sleep(24 * time.Hour)
			c, err := i.Certificate(nil)
			if err != nil {
				t.Fatal(err)
			}
			if left := time.Until(c.Leaf.NotAfter); left < leafLife/4 {
				t.Fatalf("a certificate with %v left is shown", left)
			}
		}
		if last, _ := i.Certificate(nil); last == first {
			t.Error("the certificate is the same after 100 days")
		}
		time.Sleep(authorityLife * 3 / 4)
		if next := mustIssuer(t, dir); bytes.Equal(next.Root(), i.Root()) {
			t.Error("an authority that is about to expire is kept at a start")
		}
	})
}

// writePair writes a certificate that signs itself.
func writePair(t *testing.T, cert, key, name string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "EC PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOperatorsCertificateIsReadAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	synctest.Test(t, func(t *testing.T) {
		stamp := func() { // the bubble's time, not the disk's
			for _, path := range []string{cert, key} {
				if err := os.Chtimes(path, time.Now(), time.Now()); err != nil {
					t.Fatal(err)
				}
			}
		}
		shown := func(f *Files) string {
			time.Sleep(2 * lookEvery)
			c, err := f.Certificate(nil)
			if err != nil {
				t.Fatal(err)
			}
			return c.Leaf.DNSNames[0]
		}
		if _, err := NewFiles(cert, key, nil); err == nil {
			t.Error("files that are not there are taken")
		}
		writePair(t, cert, key, "one.example.com")
		stamp()
		var failures []error
		f, err := NewFiles(cert, key, func(err error) { failures = append(failures, err) })
		if err != nil {
			t.Fatal(err)
		}
		if got := shown(f); got != "one.example.com" {
			t.Errorf("shown %q", got)
		}
		if pool := x509.NewCertPool(); !pool.AppendCertsFromPEM(f.Roots()) {
			t.Error("a certificate that signs itself is not among the roots")
		}
		writePair(t, cert, filepath.Join(dir, "elsewhere.pem"), "two.example.com")
		stamp()
		if got := shown(f); got != "one.example.com" || len(failures) == 0 {
			t.Errorf("with another certificate's key: shown %q, told %v", got, failures)
		}
		writePair(t, cert, key, "two.example.com")
		stamp()
		if got := shown(f); got != "two.example.com" {
			t.Errorf("shown %q", got)
		}
	})
}
