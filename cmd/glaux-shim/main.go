// Command glaux-shim owns one session: its JVM, its Python, their output. The
// server starts it and it outlives the server; people have no use for it.
//
//	glaux-shim start SPEC   detaches "run" and returns
//	glaux-shim run SPEC     runs the session that the file describes
//	glaux-shim init …       becomes one process of a session, in its sandbox
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"glaux/internal/sandbox"
	"glaux/internal/shim"
	"glaux/internal/supervise"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "glaux-shim:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return errors.New("usage: glaux-shim run SPEC")
	}
	switch args[0] {
	case sandbox.InitArg:
		return sandbox.Init(args[1:], os.Environ())
	case "start":
		self, err := os.Executable()
		if err != nil {
			return err
		}
		return supervise.Detach(self, args[1])
	case "run":
		return session(args[1])
	}
	return fmt.Errorf("there is no command %q", args[0])
}

// session runs the session of a spec file until its driver is gone.
func session(file string) error {
	debug.SetGCPercent(50) // there is one of us per session: small before fast
	spec, err := supervise.ReadSpec(file)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil)).With("session", spec.Key)
	address, err := inherited(shim.FDAddress, "address")
	if err != nil {
		return err
	}
	socket, err := inherited(shim.FDSocket, "socket")
	if err != nil {
		return err
	}
	// A hangup or Ctrl-C is meant for the server; only TERM ends the session.
	// (Caught and dropped, not ignored: children would inherit that.)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP, syscall.SIGINT)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	err = supervise.Run(ctx, spec, address, socket, log)
	os.Remove(spec.Socket)
	return err
}

// inherited takes over a listener by its descriptor.
func inherited(fd uintptr, name string) (net.Listener, error) {
	f := os.NewFile(fd, name)
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("cannot use the %s listener: %w", name, err)
	}
	return l, nil
}
