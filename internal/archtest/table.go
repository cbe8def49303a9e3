// Package archtest holds the rules about the shape of this tree as data, and
// its test fails the build on a breach: which package may import which, which
// foreign module belongs to which package, and what no source file may hold.
package archtest

import "slices"

// row is a package with what it may import of this module. Paths are relative
// to internal/ unless they start with cmd/ or another top directory.
type row struct {
	pkg  string
	uses []string
}

// layer names groups of packages; a row may use a whole layer.
var layer0 = []string{"fault", "ident", "machine", "sigv4"}

// layer1 are the contracts and what needs nothing but layer 0.
var layer1 = []string{"access", "engine", "shim", "sandbox", "supervise", "object", "logs", "sql"}

// layer3 are the domains.
var layer3 = []string{"workgroup", "resource", "argument", "session", "cell", "calc", "statement", "catalog", "query"}

// allowed is the import table of the design. A package that is missing here
// may import nothing of this module, and the test says so.
var allowed = []row{
	{"fault", nil},
	{"ident", nil},
	{"machine", nil},
	{"sigv4", []string{"fault"}},

	{"access", layer0},
	{"engine", layer0},
	{"shim", layer0},
	{"sandbox", layer0},
	{"supervise", join(layer0, []string{"shim", "sandbox"})},
	// The gateway asks for the decision on every S3 request where it acts, so
	// it knows callers; the design's table has no arrow there.
	{"object", join(layer0, []string{"access"})},
	// Its manager asks for the decision where it acts, as the gateway does.
	{"logs", join(layer0, []string{"access", "object", "logs/pattern"})},
	{"logs/pattern", layer0},
	{"logs/logstest", join(layer0, []string{"logs"})},
	{"logs/cloudwatch", join(layer0, []string{"logs"})},
	{"sql", layer0},

	{"engine/enginetest", join(layer0, layer1)},
	{"engine/local", join(layer0, layer1)},
	{"engine/history", join(layer0, layer1)},
	{"engine/warm", join(layer0, layer1)},
	{"engine/local/realtest", nil}, // tests only

	{"workgroup", join(layer0, layer1)},
	{"resource", join(layer0, layer1, []string{"workgroup"})},
	{"argument", join(layer0, layer1, []string{"workgroup"})},
	{"session", join(layer0, layer1, []string{"workgroup", "resource", "argument"})},
	{"cell", join(layer0, layer1, []string{"session"})},
	{"calc", join(layer0, layer1, []string{"workgroup", "resource", "session", "cell"})},
	{"statement", join(layer0, layer1, []string{"workgroup", "resource", "session", "cell"})},

	// It carries what drivers write to where a session's monitoring says, so it
	// stands on sessions; a session's manager knows it by an interface of its own.
	{"delivery", join(layer0, layer1, []string{"workgroup", "resource", "session"})},

	{"store", join(layer0, layer1, layer3)},
	{"store/storetest", join(layer0, layer1, layer3, []string{"store"})},
	{"awsapi", join(layer0, layer1)},
	{"awsapi/modelgen", nil},

	{"athenaapi", join(layer0, layer1, layer3, []string{"awsapi"})},
	{"glueapi", join(layer0, layer1, layer3, []string{"awsapi"})},
	{"logsapi", join(layer0, layer1, layer3, []string{"awsapi"})},
	{"stsapi", join(layer0, layer1, layer3, []string{"awsapi"})},
	{"connect", join(layer0, layer1, layer3, []string{"awsapi"})},
	{"ui", join(layer0, layer1, layer3, []string{"awsapi", "engine/history"})},
	{"install", join(layer0, layer1)},
	{"doctor", join(layer0, layer1, []string{"install"})}, // it looks at what install made

	{"server", []string{"*"}},
	{"archtest", nil},

	{"cmd/glaux", []string{"server", "install", "doctor"}},
	{"cmd/glaux-shim", []string{"shim", "supervise", "sandbox"}},

	// Benchmarks and the tests of the whole drive the server from outside.
	{"bench", []string{"*"}},
	{"test/wire", []string{"*"}},
	{"test/compat", []string{"*"}},
}

// owners says which packages may import a foreign module, by prefix of its
// path. The standard library and golang.org/x are free for all.
var owners = map[string][]string{
	"github.com/alecthomas/kong":   {"cmd/glaux"},
	"github.com/prometheus":        {"server"},
	"github.com/versity":           {"object"},
	"github.com/pressly/goose":     {"store"},
	"modernc.org/sqlite":           {"store"},
	"gopkg.in/yaml.v3":             {"server", "install"},
	"github.com/google/uuid":       {"ident"},
	"google.golang.org/grpc":       {"bench"}, // and tests
	"google.golang.org/protobuf":   {"bench"}, // likewise
	"github.com/aws/aws-sdk-go-v2": {"awsapi", "athenaapi", "glueapi", "logsapi", "stsapi", "object", "logs/cloudwatch", "bench", "test/compat", "test/wire"},
	"github.com/aws/smithy-go":     {"awsapi", "athenaapi", "glueapi", "logsapi", "object", "logs/cloudwatch", "bench", "test/compat", "test/wire"},
}

func join(groups ...[]string) []string { return slices.Concat(groups...) }
