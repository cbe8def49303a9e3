package connect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"glaux/internal/engine"
	"glaux/internal/session"
)

// recording is one call as both ends saw it.
type recording struct {
	In      [][]byte    // as the driver got them
	Given   metadata.MD // as the driver got it
	Head    metadata.MD
	Out     [][]byte
	Trailer metadata.MD
	Code    codes.Code
	Text    string
}

// recorder answers by what the first message says and keeps what it was asked.
type recorder struct {
	mu   sync.Mutex
	last *recording // guarded by mu
}

func (r *recorder) handle(method string, s grpc.ServerStream) error {
	rec := &recording{}
	rec.Given, _ = metadata.FromIncomingContext(s.Context())
	for {
		var in []byte
		err := s.RecvMsg(&in)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		rec.In = append(rec.In, append([]byte{}, in...))
	}
	r.mu.Lock()
	r.last = rec
	r.mu.Unlock()
	answers := 1
	if strings.HasSuffix(method, "ExecutePlan") || strings.HasSuffix(method, "ReattachExecute") {
		answers = 5
	}
	given := rec.Given.Get("x-test")
	if slices.Contains(given, "refuse") { // nothing but a status
		s.SetTrailer(metadata.Pairs("why", "refused", "detail-bin", "\x00\xff"))
		return status.Error(codes.Internal, "[INVALID] 100 % näin\nsecond line")
	}
	if err := s.SetHeader(metadata.Pairs("head", "one", "head", "two", "head-bin", "\x01\xfe")); err != nil {
		return err
	}
	for n := range answers {
		out := append(fmt.Append(nil, method, n), bytes.Repeat([]byte{byte(n)}, n*100_000)...)
		if err := s.SendMsg(&out); err != nil {
			return err
		}
	}
	s.SetTrailer(metadata.Pairs("tail", "t"))
	if slices.Contains(given, "fail late") {
		return status.Error(codes.Aborted, "late")
	}
	return nil
}

// record makes one call and returns it as both ends saw it.
func (r *recorder) record(t *testing.T, c *grpc.ClientConn, method string, in [][]byte, pairs ...string) *recording {
	t.Helper()
	rec := &recording{}
	s, err := c.NewStream(with(t.Context(), pairs...), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, service+method)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range in {
		if err := s.SendMsg(&m); err != nil && !errors.Is(err, io.EOF) { // it was answered already
			t.Fatal(err)
		}
	}
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		var out []byte
		if err = s.RecvMsg(&out); err == nil {
			rec.Out = append(rec.Out, out)
		}
	}
	if !errors.Is(err, io.EOF) {
		st, _ := status.FromError(err)
		rec.Code, rec.Text = st.Code(), st.Message()
	}
	if rec.Head, err = s.Header(); err != nil {
		t.Fatal(err)
	}
	rec.Trailer = s.Trailer()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last != nil {
		rec.In, rec.Given = r.last.In, r.last.Given
	}
	return rec
}

func TestProxiedCallsAreAsDirectOnes(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	up := mustBackend(t, r.handle)
	w := mustServe(t, nil)
	w.sessions.add("k", &driver{b: up})
	direct, proxied, token := up.direct(t), w.dial(), w.token("k")
	small, large := claimed("mallory"), append(claimed("mallory"), field(7, bytes.Repeat([]byte("artifact"), 40_000))...)
	suffix := identity(root.ARN, root.ARN)
	for _, method := range []string{"ExecutePlan", "AnalyzePlan", "Config", "AddArtifacts", "ArtifactStatus", "Interrupt", "ReattachExecute", "ReleaseExecute"} {
		for _, test := range []string{"answer", "refuse", "fail late"} {
			in := [][]byte{small}
			if method == "AddArtifacts" {
				in = [][]byte{small, large, {}, large, small}
			}
			meta := []string{"x-test", test, "own-bin", "\x00\x01", "own", "a", "own", "b"}
			want := r.record(t, direct, method, in, append(meta, "x-glaux-session-secret", up.secret)...)
			got := r.record(t, proxied, method, in, append(meta, "x-aws-proxy-auth", token, "x-aws-proxy-port", "15002", "x-aws-force-h2", "true")...)
			for i := range got.In {
				got.In[i], _ = bytes.CutSuffix(got.In[i], suffix)
			}
			for _, md := range []metadata.MD{want.Given, got.Given} {
				delete(md, ":authority")
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s, %s:\n got %.400q\nwant %.400q", method, test, fmt.Sprint(got), fmt.Sprint(want))
			}
			if test == "refuse" && (want.Code != codes.Internal || len(want.Out) > 0) || test == "answer" && len(want.Out) == 0 {
				t.Errorf("%s, %s: the direct call went wrong: %v %s", method, test, want.Code, want.Text)
			}
		}
	}
}

func TestMetadataBetweenClientAndProxyStays(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	up := mustBackend(t, r.handle)
	w := mustServe(t, nil)
	w.sessions.add("k", &driver{b: up})
	got := r.record(t, w.dial(), "Config", [][]byte{claimed("x")}, "authorization", "Bearer "+w.token("k"),
		"x-aws-proxy-anything", "x", "x-aws-force-h2", "true", "x-glaux-session-secret", "guess", "x-glaux-other", "x", "kept", "yes")
	delete(got.Given, "grpc-accept-encoding") // what the client can read is between it and the driver
	names := slices.Sorted(maps.Keys(got.Given))
	if want := []string{":authority", "content-type", "kept", "user-agent", "x-glaux-session-secret"}; !slices.Equal(names, want) {
		t.Errorf("the driver was given %v, want %v", names, want)
	}
	if s := got.Given.Get("x-glaux-session-secret"); len(s) != 1 || s[0] != up.secret {
		t.Errorf("the driver was given the secret %q", s)
	}
	for _, n := range []int{maxForwarded, 40 << 10} {
		long := r.record(t, w.dial(), "Config", [][]byte{claimed("x")}, "authorization", "Bearer "+w.token("k"), "long", strings.Repeat("x", n))
		if long.Code != codes.ResourceExhausted {
			t.Errorf("%d bytes of metadata, which the driver cannot take: %v %s", n, long.Code, long.Text)
		}
	}
}

func TestOnlyCallsOfSparkConnectPass(t *testing.T) {
	t.Parallel()
	up := mustBackend(t, func(method string, _ grpc.ServerStream) error {
		t.Errorf("%s reached the driver", method)
		return nil
	})
	w := mustServe(t, nil)
	w.sessions.add("k", &driver{b: up})
	for path, text := range map[string]string{
		service + "FetchErrorDetails":                                       "Method not found: spark.connect.SparkConnectService/FetchErrorDetails",
		"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo":    "Method not found: grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
		service + "Config/../../x":                                          "Method not found: spark.connect.SparkConnectService/Config/../../x",
		"/spark.connect.SparkConnectService//Config":                        "Method not found: spark.connect.SparkConnectService//Config",
		"/prefix/spark.connect.SparkConnectService/spark.connect.X/Config?": "Method not found: prefix/spark.connect.SparkConnectService/spark.connect.X/Config",
	} {
		err := w.dial().Invoke(with(t.Context(), "x-aws-proxy-auth", w.token("k")), path, new([]byte), new([]byte))
		if status.Code(err) != codes.Unimplemented || status.Convert(err).Message() != text {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestCompressedMessagesAreRefusedByName(t *testing.T) {
	t.Parallel()
	up := mustBackend(t, results(1))
	w := mustServe(t, nil)
	w.sessions.add("k", &driver{b: up})
	_, err := one(t, w.dial(grpc.WithDefaultCallOptions(grpc.UseCompressor(gzip.Name))), "Config", claimed("x"), "x-aws-proxy-auth", w.token("k"))
	if status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), "compress") {
		t.Errorf("got %v", err)
	}
}

func TestLongMessagesPassWithoutBeingHeld(t *testing.T) {
	if testing.Short() {
		return // a second of work, and a gigabyte of this test's own
	}
	sizes := make(chan int, 1)
	up := mustBackend(t, func(_ string, s grpc.ServerStream) error {
		var n int
		if err := s.RecvMsg(&n); err != nil {
			return err
		}
		sizes <- n
		out := make([]byte, maxMessage)
		return s.SendMsg(&out)
	})
	w := mustServe(t, nil)
	w.sessions.add("k", &driver{b: up})
	request := field(1, make([]byte, maxMessage-5))
	if len(request) != maxMessage {
		t.Fatal(len(request))
	}
	if n, err := one(t, w.dial(), "ExecutePlan", request, "x-aws-proxy-auth", w.token("k")); n != maxMessage || err != nil {
		t.Errorf("answered with %d bytes, %v", n, err)
	}
	if n := <-sizes; n != maxMessage+len(identity(root.ARN, root.ARN)) {
		t.Errorf("the driver got %d bytes", n)
	}
	request = append(request, 8, 0)
	if _, err := one(t, w.dial(), "ExecutePlan", request, "x-aws-proxy-auth", w.token("k")); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a message that is too long: %v", err)
	}
}

func TestSlowReaderHoldsTheDriverBackAndNobodyElse(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	sent := 0
	stuck := make(chan struct{}, 1)
	up := mustBackend(t, func(method string, s grpc.ServerStream) error {
		var in []byte
		if err := s.RecvMsg(&in); err != nil {
			return err
		}
		if strings.HasSuffix(method, "Config") {
			return s.SendMsg(&in)
		}
		out := make([]byte, 64<<10)
		for {
			// A send that does not come back is what this test waits for.
			late := time.AfterFunc(time.Second, func() {
				select {
				case stuck <- struct{}{}:
				default:
				}
			})
			err := s.SendMsg(&out)
			late.Stop()
			if err != nil {
				return err
			}
			mu.Lock()
			sent += len(out)
			mu.Unlock()
		}
	})
	w := mustServe(t, nil)
	w.sessions.add("k", &driver{b: up})
	c := w.dial(grpc.WithInitialWindowSize(64<<10), grpc.WithInitialConnWindowSize(8<<20))
	ctx, cancel := context.WithCancel(with(t.Context(), "x-aws-proxy-auth", w.token("k")))
	defer cancel()
	s, err := c.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, service+"ExecutePlan")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SendMsg(new([]byte)); err != nil {
		t.Fatal(err)
	}
	<-stuck
	mu.Lock()
	if sent > 2<<20 {
		t.Errorf("the driver sent %d bytes to a client that reads nothing", sent)
	}
	mu.Unlock()
	if _, err := one(t, c, "Config", []byte{}, "x-aws-proxy-auth", w.token("k")); err != nil {
		t.Errorf("another call of the same client: %v", err)
	}
}

func TestCancellationReachesTheDriver(t *testing.T) {
	t.Parallel()
	began, ended := make(chan struct{}), make(chan error, 1)
	up := mustBackend(t, func(_ string, s grpc.ServerStream) error {
		out := []byte("first")
		if err := s.SendMsg(&out); err != nil {
			return err
		}
		close(began)
		<-s.Context().Done()
		ended <- s.Context().Err()
		return s.Context().Err()
	})
	w := mustServe(t, nil)
	w.sessions.add("k", &driver{b: up})
	ctx, cancel := context.WithCancel(with(t.Context(), "x-aws-proxy-auth", w.token("k")))
	s, err := w.dial().NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, service+"ExecutePlan")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SendMsg(new([]byte)); err != nil {
		t.Fatal(err)
	}
	<-began
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the driver saw %v", err)
	}
}

func TestCallWaitsForASessionThatIsMade(t *testing.T) {
	t.Parallel()
	up := mustBackend(t, results(1))
	w := mustServe(t, nil)
	ready := make(chan struct{})
	w.sessions.add("k", &driver{b: up, ready: ready})
	answered := make(chan error, 1)
	c, token := w.dial(), w.token("k")
	go func() {
		_, err := one(t, c, "Config", []byte{}, "x-aws-proxy-auth", token)
		answered <- err
	}()
	select {
	case err := <-answered:
		t.Fatalf("answered before the session was ready: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	close(ready)
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

func TestCallDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	w := mustServe(t, func(c *Config) { c.Hold = 50 * time.Millisecond })
	w.sessions.add("k", &driver{ready: make(chan struct{})})
	_, err := one(t, w.dial(), "Config", []byte{}, "x-aws-proxy-auth", w.token("k"))
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "still being made") {
		t.Errorf("got %v", err)
	}
}

func TestSessionWithoutConnectAnswersFinally(t *testing.T) {
	t.Parallel()
	w := mustServe(t, nil)
	w.sessions.add("k", &driver{b: &backend{}, fault: fmt.Errorf("%w: no.such.Interceptor was not found", engine.ErrUnserved)})
	w.sessions.add("l", struct{ engine.Driver }{&driver{}}) // without secrets
	for key, text := range map[session.Key]string{"k": "no.such.Interceptor was not found", "l": "driver has no secret"} {
		_, err := one(t, w.dial(), "Config", []byte{}, "x-aws-proxy-auth", w.token(key))
		if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "Spark Connect did not start in session "+string(key)) || !strings.Contains(err.Error(), text) {
			t.Errorf("got %v", err)
		}
	}
}

func TestEndedSessionAnswersFinally(t *testing.T) {
	t.Parallel()
	w := mustServe(t, nil)
	w.sessions.add("k", &driver{})
	w.sessions.end("k", session.Expired, "The session was idle for 20 minutes.")
	_, err := one(t, w.dial(), "Config", []byte{}, "x-aws-proxy-auth", w.token("k"))
	if want := "Session not active: session k is TERMINATED: The session was idle for 20 minutes."; status.Code(err) != codes.FailedPrecondition || status.Convert(err).Message() != want {
		t.Errorf("got %v", err)
	}
	_, err = one(t, w.dial(), "Config", []byte{}, "x-aws-proxy-auth", w.token("forgotten"))
	if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "Session not active") {
		t.Errorf("a session that is not known any more: %v", err)
	}
}

func TestDriverThatDiesUnderACallEndsItFinally(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]bool{"before its head": false, "after its head": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := make(chan struct{})
			up := mustBackend(t, func(_ string, s grpc.ServerStream) error {
				if answer {
					out := []byte("first")
					if err := s.SendMsg(&out); err != nil {
						return err
					}
				}
				close(began)
				<-s.Context().Done()
				return nil
			})
			w := mustServe(t, nil)
			w.sessions.add("k", &driver{b: up})
			failed := make(chan error, 1)
			c, token := w.dial(), w.token("k")
			go func() {
				_, err := one(t, c, "ExecutePlan", []byte{}, "x-aws-proxy-auth", token)
				failed <- err
			}()
			<-began
			up.Stop() // breaks its connections; the record comes a moment later
			go w.sessions.end("k", session.Crashed, "The session crashed: the java process was killed.")
			err := <-failed
			if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "is FAILED: The session crashed") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestCallOfASessionThatIsEndingDoesNotWaitForTheEnd(t *testing.T) {
	t.Parallel()
	began := make(chan struct{})
	up := mustBackend(t, func(_ string, s grpc.ServerStream) error {
		close(began)
		<-s.Context().Done()
		return nil
	})
	w := mustServe(t, nil)
	w.sessions.add("k", &driver{b: up})
	failed := make(chan error, 1)
	c, token := w.dial(), w.token("k")
	go func() {
		_, err := one(t, c, "ExecutePlan", []byte{}, "x-aws-proxy-auth", token)
		failed <- err
	}()
	<-began
	w.sessions.stopping("k") // and no record of the end comes
	up.Stop()
	stopped := time.Now()
	if err := <-failed; status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "session k is TERMINATING") {
		t.Errorf("got %v", err)
	}
	if took := time.Since(stopped); took >= breakWithin {
		t.Errorf("the status came after %v", took)
	}
}

func TestBrokenConnectionToALivingDriverIsTriedAgain(t *testing.T) {
	t.Parallel()
	first := mustBackend(t, results(1))
	w := mustServe(t, nil)
	d := &driver{b: first}
	w.sessions.add("k", d)
	c := w.dial()
	if _, err := one(t, c, "Config", []byte{}, "x-aws-proxy-auth", w.token("k")); err != nil {
		t.Fatal(err)
	}
	first.Stop()
	second := mustBackend(t, results(1))
	w.sessions.add("k", &driver{b: second})
	if n, err := one(t, c, "Config", []byte{}, "x-aws-proxy-auth", w.token("k")); err != nil || n != 4<<20 {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestEndOfTheServerIsUnavailableAndLetsShortCallsFinish(t *testing.T) {
	t.Parallel()
	began, finish := make(chan struct{}, 2), make(chan struct{})
	up := mustBackend(t, func(method string, s grpc.ServerStream) error {
		out := []byte("first")
		if err := s.SendMsg(&out); err != nil {
			return err
		}
		began <- struct{}{}
		if strings.HasSuffix(method, "Config") {
			<-finish
			return nil
		}
		<-s.Context().Done()
		return nil
	})
	w := mustServe(t, func(c *Config) { c.Drain = 500 * time.Millisecond })
	w.sessions.add("k", &driver{b: up})
	c, token := w.dial(), w.token("k")
	long, short := make(chan error, 1), make(chan error, 1)
	go func() { _, err := one(t, c, "ExecutePlan", []byte{}, "x-aws-proxy-auth", token); long <- err }()
	go func() { _, err := one(t, c, "Config", []byte{}, "x-aws-proxy-auth", token); short <- err }()
	<-began
	<-began
	ended := make(chan struct{})
	go func() { w.stop(); close(ended) }()
	close(finish)
	if err := <-short; err != nil {
		t.Errorf("a short call: %v", err)
	}
	if err := <-long; status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "restarting") {
		t.Errorf("a long call: %v", err)
	}
	<-ended
	w.meter.mu.Lock()
	defer w.meter.mu.Unlock()
	if w.meter.open != 0 {
		t.Errorf("%d connections are left", w.meter.open)
	}
}
