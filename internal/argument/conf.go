package argument

import (
	"regexp"
	"strings"
)

// again is what separates the properties of a chain.
var again = regexp.MustCompile(`(?:^|\s)--conf(?:\s+|=|$)`)

// conf reads --conf. All properties of a session are one string,
// "k=v --conf k2=v2 --conf k3=v3", because an argument has one value.
func (p *parser) conf() error {
	chain, ok := p.given["--conf"]
	if !ok {
		return nil
	}
	properties, err := parseConf(chain)
	if err != nil {
		return err
	}
	for _, kv := range properties {
		p.set(kv[0], kv[1])
	}
	return nil
}

// parseConf returns the properties of a chain in its order. Only the separator
// is special: a value may hold blanks, quotes and '='.
func parseConf(chain string) ([][2]string, error) {
	if strings.TrimSpace(chain) == "" {
		return nil, nil
	}
	parts := again.Split(chain, -1)
	if strings.TrimSpace(parts[0]) == "" {
		parts = parts[1:] // a chain may begin with --conf itself
	}
	var out [][2]string
	for _, part := range parts {
		k, v, ok := strings.Cut(part, "=")
		k = strings.TrimSpace(k)
		switch {
		case strings.TrimSpace(part) == "", k == "--conf", strings.HasPrefix(k, "--conf "):
			return nil, refuse("--conf", "it has a --conf without a property")
		case !ok:
			return nil, refuse("--conf", "%q is not of the form key=value", strings.TrimSpace(part))
		case strings.ContainsAny(k, " \t\r\n"):
			return nil, refuse("--conf", "the key %q holds a blank; properties are separated by --conf", k)
		case !strings.HasPrefix(k, "spark.") || k == "spark.":
			return nil, refuse("--conf", "the key %q does not start with spark.", k)
		}
		out = append(out, [2]string{k, strings.TrimSpace(v)})
	}
	return out, nil
}
