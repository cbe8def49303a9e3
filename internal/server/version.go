package server

import "runtime/debug"

// version is the release this tree is or becomes.
const version = "0.1.0"

// Version returns the release with the commit it was built from, where known.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return version
	}
	var revision, modified string
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			revision = s.Value
		case "vcs.modified":
			modified = s.Value
		}
	}
	if len(revision) < 12 {
		return version
	}
	text := version + "+" + revision[:12]
	if modified == "true" {
		text += ".changed"
	}
	return text
}
