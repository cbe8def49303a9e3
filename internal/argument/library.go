package argument

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"glaux/internal/engine"
)

// libraries reads the jars, Python files and other files of a session.
func (p *parser) libraries() error {
	p.extend("spark.submit.pyFiles", list(p.given["--extra-py-files"]))
	p.extend("spark.jars", list(p.given["--extra-jars"]))
	p.out.Files = list(p.given["--extra-files"])
	first, err := p.on("--user-jars-first")
	if first {
		// The executors are in the driver's JVM, and their loaders' parent is its.
		p.set("spark.driver.userClassPathFirst", "true")
	}
	return err
}

// formats reads --datalake-formats.
func (p *parser) formats() error {
	for _, f := range list(p.given["--datalake-formats"]) {
		f = strings.ToLower(f)
		if !slices.Contains([]string{Iceberg, Delta, Hudi}, f) {
			return refuse("--datalake-formats", "%q is not one of hudi, delta, iceberg", f)
		}
		p.out.Formats = append(p.out.Formats, f)
	}
	slices.Sort(p.out.Formats)
	p.out.Formats = slices.Compact(p.out.Formats)
	return nil
}

// where are the options of pip that say where it installs and what it does
// besides: that is the service's to say.
var where = []string{
	"-t", "--target", "--prefix", "--root", "--user", "--python", "--src", "--dry-run", "--log", "--report",
	"--cache-dir", "-h", "--help", "-V", "--version", "-e", "--editable", "--root-user-action", "--break-system-packages",
}

// modules reads --additional-python-modules and how pip installs them.
func (p *parser) modules() error {
	specs, err := specs(p.given["--additional-python-modules"])
	if err != nil {
		return err
	}
	options, err := words(p.given["--python-modules-installer-option"])
	if err != nil {
		return refuse("--python-modules-installer-option", "%s", err)
	}
	for _, o := range options {
		name, _, _ := strings.Cut(o, "=")
		if slices.Contains(where, name) || strings.HasPrefix(o, "-t") || strings.HasPrefix(o, "-e") {
			return refuse("--python-modules-installer-option", "%s cannot be set for a session", name)
		}
	}
	if len(specs) == 0 {
		if len(options) > 0 {
			p.note("--python-modules-installer-option has no effect without --additional-python-modules.")
		}
		return nil
	}
	p.out.Modules = engine.Requirements{Specs: specs, Options: options}
	return nil
}

// specs splits a list of requirements. A comma also stands inside one: between
// extras, a[b,c], and between version clauses, a>=1,<2.
func specs(v string) ([]string, error) {
	var out []string
	depth, begin := 0, 0
	take := func(end int) {
		s := strings.TrimSpace(v[begin:end])
		begin = end + 1
		switch {
		case s == "":
		case len(out) > 0 && strings.ContainsRune("<>=!~", rune(s[0])):
			out[len(out)-1] += "," + s
		default:
			out = append(out, s)
		}
	}
	for i, c := range v {
		switch c {
		case '[':
			depth++
		case ']':
			depth--
		case ',':
			if depth <= 0 {
				take(i)
			}
		}
	}
	take(len(v))
	for _, s := range out {
		if s[0] == '-' {
			return nil, refuse("--additional-python-modules", "%q is an option; give those in --python-modules-installer-option", s)
		}
		if strings.ContainsAny(s, "\n\r\x00") {
			return nil, refuse("--additional-python-modules", "%q is more than one line", s)
		}
	}
	return out, nil
}

// customer is how the names of variables look that a session may set.
var customer = regexp.MustCompile(`^CUSTOMER_[A-Za-z0-9_]*$`)

// variables reads the environment of driver and executors. Executors live in
// the driver's process here, but Python workers have what Spark gives them.
func (p *parser) variables() error {
	driver, err := variables("--customer-driver-env-vars", p.given["--customer-driver-env-vars"])
	if err != nil {
		return err
	}
	p.out.Env = driver
	executor, err := variables("--customer-executor-env-vars", p.given["--customer-executor-env-vars"])
	if err != nil {
		return err
	}
	for _, k := range slices.Sorted(maps.Keys(executor)) {
		p.set("spark.executorEnv."+k, executor[k])
	}
	if len(executor) > 0 {
		p.note("--customer-executor-env-vars reaches the Python processes of tasks only: executors share the driver's JVM here.")
	}
	return nil
}

// variables splits CUSTOMER_A=1,CUSTOMER_B="2,3". A value in double quotes may
// hold commas.
func variables(name, v string) (map[string]string, error) {
	items, err := quoted(v)
	if err != nil {
		return nil, refuse(name, "%s", err)
	}
	var out map[string]string
	for _, item := range items {
		k, value, ok := strings.Cut(item, "=")
		k = strings.TrimSpace(k)
		switch {
		case !ok:
			return nil, refuse(name, "%q is not of the form key=value", item)
		case !customer.MatchString(k):
			return nil, refuse(name, "the key %q does not start with CUSTOMER_, or holds more than letters, digits and underscores", k)
		case strings.ContainsRune(value, 0):
			return nil, refuse(name, "the value of %s holds a null character", k)
		}
		if out == nil {
			out = map[string]string{}
		}
		out[k] = unquote(strings.TrimSpace(value))
	}
	return out, nil
}
