package server

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
)

// TestMain is the object server when the server under test starts this program
// as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "object-server" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		if err := ObjectServer(ctx); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	flag.Bool("update", false, "write the README's table of operations")
	os.Exit(m.Run())
}
