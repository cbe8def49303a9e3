package access

import (
	"bytes"
	"path/filepath"
	"testing"
)

func TestDocumentsAreSealedForTheirResource(t *testing.T) {
	t.Parallel()
	dir, store := filepath.Join(t.TempDir(), "keys"), &memoryKeys{}
	a := mustOpen(t, Config{Dir: dir, Keys: store})
	sealed, err := a.SealDocument("arn:a", []byte("secret words"))
	if err != nil || bytes.Contains(sealed, []byte("secret")) {
		t.Fatalf("sealed as %q, %v", sealed, err)
	}
	got, err := mustOpen(t, Config{Dir: dir, Keys: store}).OpenDocument("arn:a", sealed)
	if err != nil || string(got) != "secret words" {
		t.Errorf("opened after a restart: %q, %v", got, err)
	}
	if got, err := a.OpenDocument("arn:b", sealed); err == nil {
		t.Errorf("opened for another resource: %q", got)
	}
	if got, err := mustOpen(t, Config{}).OpenDocument("arn:a", sealed); err == nil {
		t.Errorf("opened with another key ring: %q", got)
	}
	for n := range len(sealed) {
		if got, err := a.OpenDocument("arn:a", sealed[:n]); err == nil {
			t.Errorf("the first %d bytes are opened: %q", n, got)
		}
	}
}
