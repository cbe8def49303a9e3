package server

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
)

func TestPipIsConfiguredAsOurOwn(t *testing.T) {
	home, conf := t.TempDir(), filepath.Join(t.TempDir(), "mine.conf")
	for path, text := range map[string]string{filepath.Join(home, ".config/pip/pip.conf"): "user", conf: "file"} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	environ := []string{"PIP_INDEX_URL=http://h/simple", "https_proxy=http://p", "PIP_CONFIG_FILE=" + conf, "SECRET=x", "AWS_ACCESS_KEY_ID=y"}
	got := pip(environ, func(string) string { return home })
	if want := map[string]string{"PIP_INDEX_URL": "http://h/simple", "https_proxy": "http://p", "PIP_CONFIG_FILE": conf}; !maps.Equal(got.Env, want) {
		t.Errorf("Env = %v, want %v", got.Env, want)
	}
	if want := map[string]string{".config/pip/pip.conf": "user", "pip-config-file": "file"}; !maps.Equal(got.Files, want) {
		t.Errorf("Files = %v, want %v", got.Files, want)
	}
}
