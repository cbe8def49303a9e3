package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"glaux/internal/access"
	"glaux/internal/cell"
	"glaux/internal/object"
)

// ObjectServer is the life of the child process that holds the embedded S3.
// The command line calls it for the hidden command of that name.
func ObjectServer(ctx context.Context) error { return object.RunServer(ctx) }

// storage is the object store: its front, its client, and the embedded server
// unless another S3 is configured.
type storage struct {
	child   *object.Child // nil: an external endpoint
	gateway *object.Gateway
	client  *object.Client
	bucket  string
}

func (s *Server) wireStorage(authority *access.Authority) (*storage, error) {
	st := &storage{bucket: s.cfg.Bucket}
	up := object.Upstream{
		Endpoint: s.cfg.S3.Endpoint, AccessKey: s.cfg.S3.AccessKey, Secret: s.cfg.S3.SecretKey, Region: s.cfg.S3.Region,
	}
	if s.cfg.S3.Endpoint == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("cannot find this program, which also is the object server: %w", err)
		}
		sockets := filepath.Join(s.place.sockets, "s3")
		if err := os.MkdirAll(sockets, 0o700); err != nil {
			return nil, fmt.Errorf("cannot make the object server's socket directory: %w", err)
		}
		st.child, err = object.NewChild(object.ChildConfig{
			Command: []string{self, "object-server"}, Dir: s.place.objects(), SocketDir: sockets,
			Account: s.cfg.Account, Region: s.cfg.Region, Log: s.log,
		})
		if err != nil {
			return nil, err
		}
		up = st.child.Upstream()
	}
	var err error
	if st.client, err = object.NewClient(up); err != nil {
		return nil, err
	}
	st.gateway, err = object.NewGateway(object.GatewayConfig{
		Upstream: up, Auth: authority, Decider: authority, Log: s.log,
		Account: s.cfg.Account, Region: s.cfg.Region, Hosts: append([]string{s.cfg.Listen}, s.cfg.S3.Hosts...),
		Observe: s.meter.observeObject,
	})
	return st, err
}

// bucketAgain is how long a store that did not make the bucket for results is
// left alone: it may be another machine's, and not up yet.
const bucketAgain = time.Second

// run keeps the embedded server running, and makes the bucket for results.
func (st *storage) run(ctx context.Context, group *errgroup.Group, ready *readiness, log *slog.Logger) {
	if st.child != nil {
		group.Go(func() error { return st.child.Run(ctx) })
	}
	group.Go(func() error {
		for told := false; ; told = true {
			err := st.client.EnsureBucket(ctx, st.bucket)
			switch {
			case ctx.Err() != nil:
				return nil
			case err == nil:
				ready.set(partObjects, "")
				return nil
			case !told:
				log.WarnContext(ctx, "cannot make the bucket for results, trying again", "bucket", st.bucket, "cause", err)
			}
			ready.set(partObjects, err.Error()) // the rest of the server is of use without it
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(bucketAgain):
			}
		}
	})
}

// close releases the connections to the store.
func (st *storage) close() {
	if st.gateway != nil {
		st.gateway.Close()
	}
	if st.client != nil {
		st.client.Close()
	}
}

// results keeps the results of calculations in the object store, as the
// execution role of the session: where code in the session may not write, its
// results are not written either.
type results struct {
	client    *object.Client
	authority *access.Authority
	spill     string // directory for bodies that cannot be read twice
}

// Put writes one object. A body that cannot be read twice goes through a file,
// because a request that fails half-way is sent again.
func (r results) Put(ctx context.Context, o cell.Object) error {
	to, err := object.ParseURI(o.URI)
	if err != nil {
		return &cell.RefusedError{Why: notObject, Err: err}
	}
	if err := r.decide(ctx, o, to); err != nil {
		return err
	}
	encryption := object.Encryption{Option: o.Encryption, KMSKey: o.KMSKey}
	if body, ok := o.Body.(io.ReadSeeker); ok {
		return refused(r.client.PutEncrypted(ctx, to, body, o.Size, o.ContentType, encryption))
	}
	f, err := os.CreateTemp(r.spill, "result-*")
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", o.URI, err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	n, err := io.Copy(f, o.Body)
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", o.URI, err)
	}
	if n != o.Size {
		return fmt.Errorf("cannot write %s: its body has %d bytes, not %d", o.URI, n, o.Size)
	}
	return refused(r.client.PutEncrypted(ctx, to, f, n, o.ContentType, encryption))
}

// decide asks whether the session's role may write the object.
func (r results) decide(ctx context.Context, o cell.Object, to object.URI) error {
	resource, ok := r.client.Resource(to)
	if !ok {
		return &cell.RefusedError{Why: notObject, Err: fmt.Errorf("cannot write %s: no object can have the key", o.URI)}
	}
	who, err := r.authority.ExecutorCaller(string(o.Session), o.Role)
	if err == nil {
		err = r.authority.Decide(ctx, who, "s3:PutObject", resource)
	}
	if err != nil {
		return &cell.RefusedError{Why: "access denied: " + err.Error(), Err: err}
	}
	return nil
}

// notObject is why a result cannot be written to what is no location.
const notObject = "it is no location of an object"

// refused marks the errors of a write that come again however often it is tried.
func refused(err error) error {
	switch {
	case errors.Is(err, object.ErrNotFound):
		return &cell.RefusedError{Why: "the bucket does not exist", Err: err}
	case errors.Is(err, object.ErrDenied):
		return &cell.RefusedError{Why: "the object store denies access", Err: err}
	}
	return err
}

// Get reads an object from offset to its end.
func (r results) Get(ctx context.Context, uri string, offset int64) (io.ReadCloser, error) {
	from, err := object.ParseURI(uri)
	if err != nil {
		return nil, err
	}
	return r.client.GetFrom(ctx, from, offset)
}

// observeObject counts a finished S3 request.
func (m *meter) observeObject(r object.Record) {
	m.s3.WithLabelValues(r.Action, strconv.Itoa(r.Status)).Observe(r.Duration.Seconds())
}
