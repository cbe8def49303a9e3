package server

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"glaux/internal/engine/local"
)

// pipFiles are where pip looks for its user's configuration, below the home
// directory. What is for the whole machine it finds by itself.
var pipFiles = []string{".config/pip/pip.conf", ".pip/pip.conf"}

// pipNames are the variables pip heeds besides those that start with PIP_.
var pipNames = []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}

// pip is the configuration with which our own user would run pip: sessions run
// as others, who could not read it, and have another home directory.
func pip(environ []string, getenv func(string) string) local.Pip {
	p := local.Pip{Env: map[string]string{}, Files: map[string]string{}}
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		if strings.HasPrefix(name, "PIP_") || slices.Contains(pipNames, strings.ToUpper(name)) {
			p.Env[name] = value
		}
	}
	take := func(as, path string) {
		if text, err := os.ReadFile(path); err == nil { // most have none
			p.Files[as] = string(text)
		}
	}
	if home := getenv("HOME"); home != "" {
		for _, name := range pipFiles {
			take(name, filepath.Join(home, name))
		}
	}
	if path := p.Env["PIP_CONFIG_FILE"]; path != "" && path != os.DevNull {
		take("pip-config-file", path) // the installer points to the copy
	}
	return p
}
