package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/alecthomas/kong"

	"glaux/internal/doctor"
	"glaux/internal/install"
	"glaux/internal/server"
)

// cli is the command line. Every flag also is an environment variable GLAUX_…
// and a key of the configuration file; the flag wins over the variable, and
// that over the file.
type cli struct {
	Serve   serveCmd   `cmd:"" help:"Run the server."`
	Stop    stopCmd    `cmd:"" help:"End all sessions and the server."`
	Env     envCmd     `cmd:"" help:"Print the exports that point AWS clients at the running server."`
	Runtime runtimeCmd `cmd:"" help:"What runs inside sessions."`
	Doctor  doctorCmd  `cmd:"" help:"Check Java, Python, runtime, ports and isolation; say how to fix what is missing."`
	Version versionCmd `cmd:"" help:"Print the version."`

	ObjectServer objectServerCmd `cmd:"" hidden:"" help:"The embedded S3; the server starts it."`
}

// world is what commands need of the process.
type world struct {
	ctx    context.Context
	getenv func(string) string
	out    io.Writer
	err    io.Writer
}

// run parses the arguments and runs the command they name.
func run(ctx context.Context, args []string, getenv func(string) string, out, errs io.Writer) error {
	w := world{ctx: ctx, getenv: getenv, out: out, err: errs}
	_, parsed, err := parse(args, w)
	if err != nil || parsed == nil {
		return err
	}
	return parsed.Run(w)
}

// parse reads the arguments. Its context is nil when help was asked for and
// has been printed. The arguments are read twice, because the first reading
// finds the file that the second takes values from.
func parse(args []string, w world) (*cli, *kong.Context, error) {
	c, parsed, err := parseWith(nil, args, w)
	if err != nil || parsed == nil {
		return c, parsed, err
	}
	var path string
	for _, flag := range parsed.Flags() {
		if flag.Name == "config" {
			path, _ = parsed.FlagValue(flag).(string)
		}
	}
	if path == "" {
		return c, parsed, nil
	}
	file, err := server.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	c, parsed, err = parseWith(file, args, w)
	if c != nil {
		c.Serve.Config.Users, c.Serve.Config.Roles = file.Users, file.Roles
		c.Serve.Config.Budget.Workgroups = file.Workgroups
	}
	return c, parsed, err
}

func parseWith(file *server.File, args []string, w world) (*cli, *kong.Context, error) {
	c := new(cli)
	left := errors.New("help was printed")
	options := []kong.Option{
		kong.Name("glaux"),
		kong.Description("A self-hosted Amazon Athena for Apache Spark."),
		kong.DefaultEnvars("GLAUX"),
		kong.Writers(w.out, w.err),
		kong.Exit(func(int) { panic(left) }), // kong knows no other way out of a help flag
		kong.ShortUsageOnError(),
	}
	if file != nil {
		options = append(options, kong.Resolvers(kong.ResolverFunc(
			func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
				for _, name := range flag.Envs {
					if w.getenv(name) != "" {
						return nil, nil // the variable has been applied and is stronger
					}
				}
				if v, ok := file.Value(flag.Name); ok {
					return v, nil
				}
				return nil, nil
			})))
	}
	parser, err := kong.New(c, options...)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot build the command line: %w", err)
	}
	parsed, err := parseOrHelp(parser, args, left)
	return c, parsed, err
}

// parseOrHelp turns the way out that parseWith gave to kong into a nil context.
func parseOrHelp(parser *kong.Kong, args []string, left error) (parsed *kong.Context, err error) {
	defer func() {
		switch r := recover(); r {
		case nil:
		case left:
			parsed, err = nil, nil
		default:
			panic(r)
		}
	}()
	return parser.Parse(args)
}

// where are the flags of the commands that concern a server elsewhere.
type where struct {
	File      string `name:"config" help:"YAML configuration file." placeholder:"FILE" type:"path"`
	DataDir   string `help:"The server's data directory (default: $$XDG_DATA_HOME/glaux or ~/.local/share/glaux)." placeholder:"DIR"`
	SocketDir string `help:"The server's directory for Unix sockets." placeholder:"DIR"`
}

// settings returns the configuration that serve would have here.
func (cmd *where) settings(w world) (server.Config, error) {
	args := []string{"serve", "--data-dir=" + cmd.DataDir, "--socket-dir=" + cmd.SocketDir}
	if cmd.File != "" {
		args = append(args, "--config="+cmd.File)
	}
	c, _, err := parse(args, w)
	if err != nil {
		return server.Config{}, err
	}
	return complete(c.Serve.Config, w)
}

func complete(c server.Config, w world) (server.Config, error) {
	if err := c.Complete(w.getenv); err != nil {
		return c, err
	}
	if err := c.Check(); err != nil {
		return c, fmt.Errorf("cannot use this configuration:\n%w", err)
	}
	return c, nil
}

type serveCmd struct {
	File   string        `name:"config" help:"YAML configuration file." placeholder:"FILE" type:"path"`
	Config server.Config `embed:""`
}

// Run runs the server until the process is told to end.
func (cmd *serveCmd) Run(w world) error {
	c, err := complete(cmd.Config, w)
	if err != nil {
		return err
	}
	return server.Run(w.ctx, c, w.err)
}

type stopCmd struct{ where }

// Run ends all sessions and the server.
func (cmd *stopCmd) Run(w world) error {
	c, err := cmd.settings(w)
	if err != nil {
		return err
	}
	return server.Stop(w.ctx, c, w.out)
}

type envCmd struct{ where }

// Run prints the exports of the running server.
func (cmd *envCmd) Run(w world) error {
	c, err := cmd.settings(w)
	if err != nil {
		return err
	}
	return server.Env(w.ctx, c, w.out)
}

type runtimeCmd struct {
	Install installCmd `cmd:"" help:"Install Spark, its Python environment and the jars; what is there already is kept."`
}

type installCmd struct {
	where
	Dir string `help:"Where to (default: runtime in the data directory)." placeholder:"DIR" env:"GLAUX_RUNTIME_DIR"`
}

// Run installs the runtime and tells its progress.
func (cmd *installCmd) Run(w world) error {
	c, err := cmd.settings(w)
	if err != nil {
		return err
	}
	if cmd.Dir != "" {
		if c.RuntimeDir, err = filepath.Abs(cmd.Dir); err != nil {
			return err
		}
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("cannot find this program: %w", err)
	}
	return install.Install(w.ctx, install.Options{Dir: c.RuntimeDir, Parts: install.Parts(program), Out: w.out})
}

type doctorCmd struct{ where }

// Run checks the machine; what sessions cannot do without is an error.
func (cmd *doctorCmd) Run(w world) error {
	c, err := cmd.settings(w)
	if err != nil {
		return err
	}
	checks := doctor.Run(w.ctx, doctor.Options{
		Runtime: c.RuntimeDir, DataDir: c.DataDir, Listen: []string{c.Listen, c.MetricsListen}, Connect: c.Connect.Listen,
		Reserve: c.Memory.Reserve, Headroom: c.Headroom,
	})
	if !doctor.Print(w.out, checks) {
		return errors.New("sessions cannot run here yet")
	}
	return nil
}

type versionCmd struct{}

// Run prints the version.
func (versionCmd) Run(w world) error {
	_, err := fmt.Fprintln(w.out, "glaux", server.Version())
	return err
}

type objectServerCmd struct{}

// Run is the embedded S3 server, until the server that started it is gone.
func (objectServerCmd) Run(w world) error { return server.ObjectServer(w.ctx) }
