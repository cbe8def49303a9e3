package shim

import "time"

// Spec is the content of spec.json: everything a shim is told about its
// session. The file holds secrets and is readable by its owner only.
type Spec struct {
	Version   int           `json:"v"`
	Key       string        `json:"key"`
	Epoch     uint64        `json:"epoch"`
	Dir       string        `json:"dir"`     // the session's directory
	Socket    string        `json:"socket"`  // where the shim is spoken to
	Agent     string        `json:"agent"`   // the server's socket for API and S3
	Connect   string        `json:"connect"` // the socket the JVM serves Spark Connect on
	JVM       Command       `json:"jvm"`
	Python    Command       `json:"python"`
	Args      []string      `json:"args,omitempty"` // sys.argv[1:] of the user's code
	UID       int           `json:"uid"`            // of JVM and Python; meaningful when Sandboxed
	Sandboxed bool          `json:"sandboxed"`      // run them as UID, behind the shim's init
	ReadOnly  []string      `json:"ro,omitempty"`   // directories they need
	Writable  []string      `json:"rw,omitempty"`
	MaxOutput int64         `json:"maxOutput"`
	MaxLog    int64         `json:"maxLog,omitempty"` // bytes kept of each stream of the driver; zero: 128 MiB
	Orphaned  time.Duration `json:"orphaned"`
	Port      int           `json:"port"` // of the session's loopback address
	Modules   *Modules      `json:"modules,omitempty"`
	Language  string        `json:"language,omitempty"` // of cells; empty: Python
	Display   string        `json:"display,omitempty"`  // how the runner shows values; empty: as a notebook
	Notes     []string      `json:"notes,omitempty"`    // lines for the driver's standard error, at its start
	Wait      string        `json:"wait,omitempty"`     // the driver waits for a session to claim it; how far it comes before
	Group     *Group        `json:"group,omitempty"`    // control group of JVM and Python; nil: they have none
}

// Group is the control group that was made for a session; package sandbox has
// its meaning. The shim removes it at the end.
type Group struct {
	Version int      `json:"v"`
	CPU     string   `json:"cpu,omitempty"`
	Memory  string   `json:"memory,omitempty"`
	MiB     int      `json:"mib,omitempty"` // all that its processes may take together; zero: not bounded
	Cores   int      `json:"cores,omitempty"`
	Dirs    []string `json:"dirs"`
}

// Modules are the Python packages that the shim installs before it starts the
// session's processes, or finds installed by an earlier session.
type Modules struct {
	Installer []string          `json:"installer"` // program and arguments; "identify" or "install" goes behind them, and a JSON object to its standard input
	Specs     []string          `json:"specs"`
	Options   []string          `json:"options,omitempty"`
	Env       map[string]string `json:"env,omitempty"`    // of pip alone
	Config    map[string]string `json:"config,omitempty"` // files in pip's home directory, by name
	Cache     string            `json:"cache"`            // directory of what is installed, one directory for each Key
	Runtime   string            `json:"runtime"`          // what the packages are installed for
}

// Command is one process to start.
type Command struct {
	Path string   `json:"path"`
	Args []string `json:"args"` // without the program's name
	Env  []string `json:"env"`  // all of it
	Dir  string   `json:"dir"`
}

// How far a driver comes that waits for a session.
const (
	WaitContext    = "context"    // its context is there: what a session brings is set in it
	WaitProperties = "properties" // it has no context yet, and reads its Spark properties when it is claimed
)

// Names of files in a session's directory.
const (
	SpecFile   = "spec.json"
	StateFile  = "state.json" // stamps of the processes
	ExitFile   = "exit.json"  // written last
	LogFile    = "shim.log"   // the shim's own log
	LogsDir    = "logs"       // the driver's own stdout and stderr
	CellsDir   = "cells"      // cells/<id>/{stdout,stderr,displays,record.json}
	RecordFile = "record.json"
)

// The files a shim inherits.
const (
	FDAddress = 3 // listener of the session's loopback address
	FDSocket  = 4 // listener of Spec.Socket
)

// ValidCell says whether id can name a cell; it becomes a file name.
func ValidCell(id string) bool {
	if id == "" || len(id) > 128 || id[0] == '.' {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}
