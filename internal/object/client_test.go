package object

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sync/errgroup"
)

// noise returns n bytes that are the same in every run.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b) // never fails
	return b
}

func TestClient(t *testing.T) {
	c := mustChild(t, shortDir(t))
	client, err := NewClient(c.Upstream())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx := t.Context()
	for range 2 {
		if err := client.EnsureBucket(ctx, "results"); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.EnsureBucket(ctx, "_glaux"); err == nil {
		t.Error("a bucket _glaux was made")
	}
	small := URI{"results", "a/stdout"}
	if err := client.PutBytes(ctx, small, []byte("hello"), "text/plain"); err != nil {
		t.Fatal(err)
	}
	info, err := client.Head(ctx, small)
	if err != nil || info.Size != 5 || info.ContentType != "text/plain" || info.ETag == "" || info.Modified.IsZero() {
		t.Errorf("head: %+v, %v", info, err)
	}
	for _, key := range []string{"../results/x", "a/../x", "./x", "a/.."} {
		if err := client.PutBytes(ctx, URI{"results", key}, []byte("x"), ""); !errors.Is(err, ErrDenied) {
			t.Errorf("key %q: %v", key, err)
		}
	}
	for key, want := range map[string]string{"a//b": "arn:aws:s3:::results/a/b", "a/b/": "arn:aws:s3:::results/a/b/", "a/../b": "", "": "", "//": ""} {
		if got, ok := client.Resource(URI{"results", key}); ok != (want != "") || ok && got != want {
			t.Errorf("resource of %q: %s, %v", key, got, ok)
		}
	}
	if err := client.PutBytes(ctx, URI{"results", "a/empty"}, nil, ""); err != nil {
		t.Error(err)
	}
	for offset, want := range map[int64]string{0: "hello", 2: "llo", 5: "", 9: ""} {
		body, err := client.GetFrom(ctx, small, offset)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(body); err != nil || string(got) != want {
			t.Errorf("from %d: %q, %v", offset, got, err)
		}
		body.Close()
	}
	if _, err := client.GetBytes(ctx, small, 3); err == nil {
		t.Error("more than the limit was read")
	}

	big := noise(2*partSize + partSize/2)
	path := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(path, big, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := client.PutFile(ctx, URI{"results", "big"}, path, ""); err != nil {
		t.Fatal(err)
	}
	body, info, err := client.Get(ctx, URI{"results", "big"})
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, body); err != nil {
		t.Fatal(err)
	}
	body.Close()
	if want := sha256.Sum256(big); info.Size != int64(len(big)) || !bytes.Equal(sum.Sum(nil), want[:]) {
		t.Errorf("read %d bytes that are not the ones written", info.Size)
	}

	for range 2 {
		if err := client.Delete(ctx, small); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.Head(ctx, small); !errors.Is(err, ErrNotFound) {
		t.Errorf("head of a deleted object: %v", err)
	}
	if _, _, err := client.Get(ctx, URI{"nobody", "x"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("get from no bucket: %v", err)
	}
	bad := c.Upstream()
	bad.Secret = "wrong"
	other, err := NewClient(bad)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := other.PutBytes(ctx, small, nil, ""); err == nil {
		t.Error("the child took a wrong secret")
	}
}

// failing gives its bytes and then an error.
type failing struct{ io.ReadSeeker }

func (f failing) Read(p []byte) (int, error) {
	n, err := f.ReadSeeker.Read(p)
	if errors.Is(err, io.EOF) {
		err = errors.New("disk on fire")
	}
	return n, err
}

func TestFailedUploadLeavesNothing(t *testing.T) {
	dir := shortDir(t)
	client, err := NewClient(mustChild(t, dir).Upstream())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.EnsureBucket(t.Context(), "parts"); err != nil {
		t.Fatal(err)
	}
	body := failing{bytes.NewReader(noise(2*partSize + 1))}
	if err := client.Put(t.Context(), URI{"parts", "x"}, body, 3*partSize, ""); err == nil {
		t.Fatal("a body that cannot be read was written")
	}
	if _, err := client.Head(t.Context(), URI{"parts", "x"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("head: %v", err)
	}
	left := 0
	err = filepath.WalkDir(filepath.Join(dir, "objects", "parts"), func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			left++
		}
		return err
	})
	if err != nil || left != 0 {
		t.Errorf("%d files are left behind, %v", left, err)
	}
}

func TestParseURI(t *testing.T) {
	for text, want := range map[string]URI{
		"s3://b-1/k":       {"b-1", "k"},
		"s3://b-1/":        {"b-1", ""},
		"s3://b-1":         {"b-1", ""},
		"s3://b.1/a//b%20": {"b.1", "a//b%20"},
	} {
		if got, err := ParseURI(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "s3://", "s3:///k", "s3a://bucket/k", "s3://_glaux/k", "s3://UPPER/k", "http://bucket/k", "s3://a..b/k"} {
		if got, err := ParseURI(text); err == nil {
			t.Errorf("%s: %+v", text, got)
		}
	}
	if got := (URI{"b", "p"}).Join("x").String() + (URI{"b", ""}).Join("x").String(); got != "s3://b/p/xs3://b/x" {
		t.Error(got)
	}
}

// BenchmarkThreePuts is what the end of a calculation costs.
func BenchmarkThreePuts(b *testing.B) {
	client, err := NewClient(mustChild(b, shortDir(b)).Upstream())
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	if err := client.EnsureBucket(b.Context(), "results"); err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		var g errgroup.Group
		for _, name := range []string{"stdout", "stderr", "result"} {
			g.Go(func() error {
				return client.PutBytes(b.Context(), URI{"results", strconv.Itoa(i) + "/" + name}, []byte("some output\n"), "text/plain")
			})
		}
		if err := g.Wait(); err != nil {
			b.Fatal(err)
		}
	}
}
