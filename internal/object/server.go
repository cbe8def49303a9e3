package object

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
	"github.com/versity/versitygw/s3api"
)

// File descriptors of the embedded server's process. Both are pipes: nothing
// about the server, its key above all, is on a command line or in an
// environment.
const (
	controlFD = 3 // the parent writes one ServerConfig as JSON and keeps the pipe open; its end means the parent is gone
	eventFD   = 4 // the child writes one line once it accepts connections
)

// readyLine is what the child writes to eventFD.
const readyLine = "ready\n"

const (
	// copyThreshold is the largest object one CopyObject may copy, S3's own
	// limit. The library's zero value refuses every copy.
	copyThreshold = 5 << 30
	// connections bounds open connections and running requests of the
	// embedded server; our gateway is its only client.
	connections = 4096
	// partsMax is S3's limit on the parts of one upload.
	partsMax = 10000
)

// ServerConfig is what the parent hands to the embedded server.
type ServerConfig struct {
	Dir       string // where objects are kept: Dir/BUCKET/KEY; must exist
	Sidecar   string // where metadata goes on a file system without extended attributes; outside Dir
	Socket    string // path of the Unix socket to listen on; must not exist
	AccessKey string // access key id of the only account
	Secret    string // its secret key
	Region    string // region that requests are signed for
}

// RunServer is the embedded S3 server: the whole life of the child process
// that Child starts. It reads its configuration from the inherited control
// pipe and returns when ctx ends or the parent is gone. It changes the
// working directory of the process; call it once.
func RunServer(ctx context.Context) error {
	control, events := os.NewFile(controlFD, "control"), os.NewFile(eventFD, "events")
	if control == nil || events == nil {
		return errors.New("cannot run the object server: it is started by glaux serve, not by hand")
	}
	defer control.Close()
	defer events.Close()
	in := json.NewDecoder(bufio.NewReader(control))
	var cfg ServerConfig
	if err := in.Decode(&cfg); err != nil {
		return fmt.Errorf("cannot read the object server's configuration: %w", err)
	}
	store, opts, err := metadata(cfg)
	if err != nil {
		return err
	}
	be, err := posix.New(cfg.Dir, store, opts)
	if err != nil {
		return fmt.Errorf("cannot open the object directory: %w", err)
	}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	orphaned := make(chan struct{})
	go func() { // ends with the pipe, at the latest with the process
		defer close(orphaned)
		_, _ = io.Copy(io.Discard, control)
		cancel()
	}()

	err = embedgw.RunVersityGW(ctx, be, &embedgw.Config{
		RootUserAccess:    cfg.AccessKey,
		RootUserSecret:    cfg.Secret,
		Region:            cfg.Region,
		Ports:             []string{cfg.Socket},
		SocketPerm:        "0600",
		MaxConnections:    connections,
		MaxRequests:       connections,
		MultipartMaxParts: partsMax,
		KeepAlive:         true,
		Quiet:             true,
		S3Options: []s3api.Option{
			s3api.WithMiddleware("/", wholeBodies),
			s3api.WithOnListen(func() {
				_, _ = events.WriteString(readyLine) // a parent that is gone shows on the control pipe
			}),
		},
	})
	select {
	case <-orphaned:
		return nil // whatever a hurried end complained of, nobody is left to hear it
	default:
	}
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot serve objects: %w", err)
	}
	return errors.New("the object server ended by itself")
}

// metadata chooses where object metadata is kept: extended attributes if the
// file system has them, a tree of its own beside the objects if not. A tree
// that exists already is used again, because it holds the metadata of what
// was written before.
func metadata(cfg ServerConfig) (meta.MetadataStorer, posix.PosixOpts, error) {
	opts := posix.PosixOpts{CopyObjectThreshold: copyThreshold}
	// Objects are private to us on disk as well; sessions have users of their own.
	opts.SetNewDirPerm(0o700)
	opts.SetNewFilePerm(0o600)
	if _, err := os.Stat(cfg.Sidecar); cfg.Sidecar == "" || os.IsNotExist(err) {
		xattrs := meta.XattrMeta{}
		probe := xattrs.Test(cfg.Dir)
		if probe == nil {
			probe = xattrWritable(cfg.Dir)
		}
		if probe == nil {
			return xattrs, opts, nil
		}
		if cfg.Sidecar == "" {
			return nil, opts, fmt.Errorf("cannot keep object metadata in %s: %w", cfg.Dir, probe)
		}
	}
	if err := os.MkdirAll(cfg.Sidecar, 0o750); err != nil {
		return nil, opts, fmt.Errorf("cannot make the metadata directory: %w", err)
	}
	side, err := meta.NewSideCar(cfg.Sidecar)
	if err != nil {
		return nil, opts, fmt.Errorf("cannot open the metadata directory: %w", err)
	}
	opts.SideCarDir = cfg.Sidecar
	return side, opts, nil
}

// xattrWritable reports why files in dir cannot carry extended attributes.
// Asking for one is not enough: some file systems answer that there is none
// and refuse to set one.
func xattrWritable(dir string) error {
	f, err := os.CreateTemp(dir, ".xattr-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	return meta.XattrMeta{}.StoreAttribute(f, filepath.Dir(f.Name()), filepath.Base(f.Name()), "probe", []byte("1"))
}
