package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/athena"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"

	"glaux/internal/shim"
	"glaux/internal/supervise"
)

//go:embed connect.py
var connectRequests string

// Sizes of what is measured.
const (
	longRows    = 8 << 20 // of 16 columns of 8 bytes: 1 GiB
	longColumns = 16
	streams     = 100
	streamRows  = 128 << 10 // 16 MiB each
	channels    = 1000
)

// raw passes messages as bytes, and counts those that are read.
type raw struct{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(v any) (mem.BufferSlice, error) {
	b, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("cannot send a %T", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(b)}, nil
}

func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	n, ok := v.(*int)
	if !ok {
		return fmt.Errorf("cannot read into a %T", v)
	}
	*n = data.Len()
	return nil
}

// lane is one way to a driver's Spark Connect.
type lane struct {
	*grpc.ClientConn
	key, value string // metadata of every call
}

func newLane(target string, creds credentials.TransportCredentials, key, value string) (*lane, error) {
	c, err := grpc.NewClient(target, grpc.WithTransportCredentials(creds), grpc.WithDefaultCallOptions(
		grpc.ForceCodecV2(raw{}), grpc.MaxCallRecvMsgSize(256<<20), grpc.MaxCallSendMsgSize(256<<20)))
	return &lane{c, key, value}, err
}

// begin sends a request and returns its answers.
func (l *lane) begin(ctx context.Context, method string, request []byte) (grpc.ClientStream, error) {
	s, err := l.NewStream(metadata.AppendToOutgoingContext(ctx, l.key, l.value), &grpc.StreamDesc{ServerStreams: true},
		"/spark.connect.SparkConnectService/"+method)
	if err != nil {
		return nil, err
	}
	if err := s.SendMsg(request); err != nil && !errors.Is(err, io.EOF) { // then the status tells more
		return nil, err
	}
	return s, s.CloseSend()
}

// finish reads answers to their end and returns their bytes.
func finish(s grpc.ClientStream) (total int, err error) {
	for {
		var n int
		err := s.RecvMsg(&n)
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
		total += n
	}
}

// call makes a whole call and returns how long it took and how much it read.
func (l *lane) call(ctx context.Context, method string, request []byte) (time.Duration, int, error) {
	began := time.Now()
	s, err := l.begin(ctx, method, request)
	if err != nil {
		return 0, 0, err
	}
	n, err := finish(s)
	return time.Since(began), n, err
}

// connectWorld is a session with both ways to it.
type connectWorld struct {
	s               *server
	direct, proxied *lane
	through         func() (*lane, error) // another way through the proxy
	requests        [][]byte
}

// connectTo opens both ways to a session.
func connectTo(ctx context.Context, s *server, id string) (*connectWorld, error) {
	spec, err := supervise.ReadSpec(filepath.Join(s.dir, "sessions", id, shim.SpecFile))
	if err != nil {
		return nil, err
	}
	env := map[string]string{}
	for _, v := range spec.JVM.Env {
		name, value, _ := strings.Cut(v, "=")
		env[name] = value
	}
	w := &connectWorld{s: s}
	w.direct, err = newLane("unix:"+env["GLAUX_CONNECT_SOCKET"], insecure.NewCredentials(), "x-glaux-session-secret", env["GLAUX_CONNECT_SECRET"])
	if err != nil {
		return nil, err
	}
	if w.through, err = s.endpoint(ctx, id); err != nil {
		return nil, err
	}
	if w.proxied, err = w.through(); err != nil {
		return nil, err
	}
	w.requests, err = connectPlans(ctx, s, "1,1,1", fmt.Sprintf("%d,%d,256", longRows, longColumns), fmt.Sprintf("%d,%d,4", streamRows, longColumns))
	return w, err
}

// connectPlans makes requests for ranges of so many rows, columns and partitions.
func connectPlans(ctx context.Context, s *server, sizes ...string) (requests [][]byte, err error) {
	out, err := exec.CommandContext(ctx, s.o.python, append([]string{"-c", connectRequests}, sizes...)...).Output()
	if err != nil {
		return nil, fmt.Errorf("cannot make requests: %w", err)
	}
	for line := range strings.FieldsSeq(string(out)) {
		request, err := hex.DecodeString(line)
		if err != nil {
			return nil, err
		}
		requests = append(requests, request)
	}
	return requests, nil
}

// endpoint asks for a session's endpoint and returns what opens ways through it.
func (s *server) endpoint(ctx context.Context, id string) (func() (*lane, error), error) {
	endpoint, err := s.athena().GetSessionEndpoint(ctx, &athena.GetSessionEndpointInput{SessionId: &id})
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	bundle, err := os.ReadFile(filepath.Join(s.dir, "connect", "roots.pem"))
	if err != nil {
		return nil, err
	}
	roots.AppendCertsFromPEM(bundle)
	return func() (*lane, error) {
		return newLane("dns:"+strings.TrimPrefix(*endpoint.EndpointUrl, "https://"), credentials.NewTLS(&tls.Config{RootCAs: roots}),
			"x-aws-proxy-auth", *endpoint.AuthToken)
	}, nil
}

// measureConnect compares Spark Connect through the proxy with the driver's
// own socket, both read by the same bare gRPC client.
func measureConnect(ctx context.Context, s *server) ([]row, error) {
	id, err := startSession(ctx, s.athena(), "spark.driver.maxResultSize", "0")
	if err != nil {
		return nil, err
	}
	w, err := connectTo(ctx, s, id)
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, measure := range []func(context.Context, *connectWorld) (row, error){addedPerCall, throughput, streamMemory, idleChannels} {
		r, err := measure(ctx, w)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// addedPerCall times range(1) both ways, in turn.
func addedPerCall(ctx context.Context, w *connectWorld) (row, error) {
	const warm, n = 30, 150
	var direct, proxied []time.Duration
	for i := range warm + n {
		d, _, err := w.direct.call(ctx, "ExecutePlan", w.requests[0])
		if err != nil {
			return row{}, err
		}
		p, _, err := w.proxied.call(ctx, "ExecutePlan", w.requests[0])
		if err != nil {
			return row{}, err
		}
		if i >= warm {
			direct, proxied = append(direct, d), append(proxied, p)
		}
	}
	d, p := median(direct), median(proxied)
	return row{"Connect range(1), median", ms(p), "direct " + ms(d), "+ " + ms(p-d), "≤ 1 ms added"}, nil
}

// throughput reads 1 GiB both ways, in turn.
func throughput(ctx context.Context, w *connectWorld) (row, error) {
	var direct, proxied []time.Duration
	size := 0
	for i := range 4 { // the first warms up
		d, n, err := w.direct.call(ctx, "ExecutePlan", w.requests[1])
		if err != nil {
			return row{}, err
		}
		p, m, err := w.proxied.call(ctx, "ExecutePlan", w.requests[1])
		if err != nil {
			return row{}, err
		}
		if m != n && min(m, n)*1000 < max(m, n)*999 {
			return row{}, fmt.Errorf("%d bytes came directly, %d through the proxy", n, m)
		}
		if i > 0 {
			direct, proxied, size = append(direct, d), append(proxied, p), n
		}
	}
	rate := func(d time.Duration) float64 { return float64(size) / (1 << 20) / d.Seconds() }
	d, p := rate(median(direct)), rate(median(proxied))
	return row{fmt.Sprintf("Arrow result of %.2f GiB with TLS", float64(size)/(1<<30)), fmt.Sprintf("%.0f MiB/s", p),
		fmt.Sprintf("direct %.0f MiB/s", d), fmt.Sprintf("%.2f ×", p/d), "≥ 0.7 ×"}, nil
}

// streamMemory opens streams of large results whose readers take the first
// message and stop, then reads them all to the end.
func streamMemory(ctx context.Context, w *connectWorld) (row, error) {
	idle, err := w.s.rss()
	if err != nil {
		return row{}, err
	}
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", w.s.cmd.Process.Pid), []byte("5"), 0); err != nil { // the peak begins anew
		return row{}, err
	}
	open := make([]grpc.ClientStream, streams)
	var opening errgroup.Group
	for i := range open {
		opening.Go(func() (err error) {
			if open[i], err = w.proxied.begin(ctx, "ExecutePlan", w.requests[2]); err != nil {
				return err
			}
			return open[i].RecvMsg(new(int))
		})
	}
	if err := opening.Wait(); err != nil {
		return row{}, err
	}
	var reading errgroup.Group
	for _, s := range open {
		reading.Go(func() error { _, err := finish(s); return err })
	}
	if err := reading.Wait(); err != nil {
		return row{}, err
	}
	peak, err := w.s.memory("VmHWM")
	if err != nil {
		return row{}, err
	}
	return row{fmt.Sprintf("server memory, peak with %d streams of 16 MiB", streams), fmt.Sprintf("%.0f MB", peak*1.048576),
		fmt.Sprintf("idle %.0f MB", idle*1.048576), fmt.Sprintf("+ %.0f MB", (peak-idle)*1.048576), "≤ 64 MB above idle"}, nil
}

// idleChannels opens connections that each make one call and then none.
func idleChannels(ctx context.Context, w *connectWorld) (row, error) {
	before, err := w.s.rss()
	if err != nil {
		return row{}, err
	}
	for range channels {
		l, err := w.through()
		if err != nil {
			return row{}, err
		}
		defer l.Close() //nolint:errcheck // all of them are to stay open until the end
		if _, _, err := l.call(ctx, "ReleaseExecute", nil); err == nil {
			return row{}, errors.New("an empty request was answered")
		}
	}
	after, err := w.s.rss()
	if err != nil {
		return row{}, err
	}
	const quiet = 20 * time.Second
	used, err := w.s.cpu()
	if err != nil {
		return row{}, err
	}
	if err := pause(ctx, quiet); err != nil {
		return row{}, err
	}
	later, err := w.s.cpu()
	if err != nil {
		return row{}, err
	}
	return row{fmt.Sprintf("server memory with %d idle Connect channels", channels), fmt.Sprintf("%.0f MB", after*1.048576),
		fmt.Sprintf("before %.0f MB", before*1.048576), fmt.Sprintf("+ %.0f MB, %.1f %% of a core", (after-before)*1.048576, 100*(later-used).Seconds()/quiet.Seconds()),
		"aim ≤ 100 MB"}, nil
}
