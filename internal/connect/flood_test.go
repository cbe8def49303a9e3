package connect

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"

	"glaux/internal/session"
)

// echo answers each message with itself.
func echo(_ string, s grpc.ServerStream) error {
	for {
		var in []byte
		if err := s.RecvMsg(&in); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := s.SendMsg(&in); err != nil {
			return err
		}
	}
}

// running is a call that goes on.
type running struct{ grpc.ClientStream }

func (w *world) mustBegin(c *grpc.ClientConn, key session.Key) running {
	w.tb.Helper()
	ctx := with(w.tb.Context(), "x-aws-proxy-auth", w.token(key))
	s, err := c.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, service+"ExecutePlan")
	if err != nil {
		w.tb.Fatal(err)
	}
	return running{s}
}

// step sends a message over the call and waits for its answer.
func (r running) step() error {
	if err := r.SendMsg(&[]byte{}); err != nil {
		return err
	}
	return r.RecvMsg(new([]byte))
}

// heap returns how many bytes are in use.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// It measures the heap, so no other test runs beside it.
func TestFloodsOfFramesAreBoundedAndHinderNobody(t *testing.T) {
	const room = 32 << 20 // bytes that a flood may take; what is sent and asked for is far more
	up := mustBackend(t, echo)
	w := mustServe(t, nil)
	w.sessions.add("k", &driver{b: up})
	good, token := w.dial(), w.token("k")
	call := w.mustBegin(good, "k")
	if err := call.step(); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 1<<10)
	for name, k := range map[string]flood{
		"headers without end": {most: 400_000, ends: true, begin: endless, each: func(f *frames, _ uint32) error {
			return f.WriteContinuation(1, false, f.header("x", long))
		}},
		"a header without end": {most: 400_000, ends: true, begin: endless, each: func(f *frames, n uint32) error {
			if n == 0 {
				return f.WriteContinuation(1, false, []byte{0x10, 1, 'x', 0x7f, 0x81, 0xff, 0xff, 0x7f}) // its name, and how long its value will be
			}
			return f.WriteContinuation(1, false, []byte(long))
		}},
		"headers of nothing": {most: 400_000, begin: endless, each: func(f *frames, _ uint32) error {
			return f.WriteContinuation(1, false, nil)
		}},
		"calls reset at once":   {most: 40_000, each: resets(token)},
		"guesses reset at once": {most: 400_000, ends: true, each: resets("nonsense")},
		"pings":                 {most: 400_000, each: ping},
		// Their answers fill what lies between, and then the server's queue.
		"pings without ears": {most: 20_000_000, ends: true, deaf: true, each: ping},
		"settings": {most: 400_000, each: func(f *frames, n uint32) error {
			return f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<16 + n%2}, http2.Setting{ID: http2.SettingHeaderTableSize, Val: 1 << 31})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			before, top := heap(), int64(0)
			f := w.frames()
			ended := k.pour(t, f, func() {
				top = max(top, heap()-before)
				if err := call.step(); err != nil {
					t.Fatalf("another client's call: %v", err)
				}
			})
			if _, err := one(t, good, "Config", []byte{}, "x-aws-proxy-auth", token); err != nil {
				t.Errorf("another client's next call: %v", err)
			}
			if top > room {
				t.Errorf("the heap grew by %d MiB", top>>20)
			}
			if k.ends && !ended {
				t.Error("it was not ended")
			}
		})
	}
	if err := call.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := drain(call); err != nil {
		t.Errorf("another client's call: %v", err)
	}
}

// flood is one client's.
type flood struct {
	most  uint32              // frames
	begin func(*frames) error // nil: nothing comes before
	each  func(*frames, uint32) error
	deaf  bool // it reads nothing
	ends  bool // the server must end it, or take no more
}

// pour floods until the server has enough or has taken everything, asks look
// now and then, and reports whether it was ended.
func (k *flood) pour(t *testing.T, f *frames, look func()) (ended bool) {
	t.Helper()
	out := bufio.NewWriterSize(f.conn, 64<<10)
	f.Framer = http2.NewFramer(out, f.conn)
	last := [8]byte{0: 1} // of a ping behind everything
	through := false
	var reading sync.WaitGroup
	if k.deaf {
		if err := f.conn.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil { // then it is held back
			t.Fatal(err)
		}
	} else {
		reading.Go(func() {
			for !through {
				frame, err := f.ReadFrame()
				if err != nil {
					return
				}
				p, ok := frame.(*http2.PingFrame)
				through = ok && p.Data == last
			}
		})
	}
	var err error
	if k.begin != nil {
		err = k.begin(f)
	}
	for n := uint32(0); n < k.most && err == nil; n++ {
		if err = k.each(f, n); n&(n-1) == 0 {
			look()
		}
	}
	if err == nil {
		err = errors.Join(f.WritePing(false, last), out.Flush())
	}
	reading.Wait()
	look()
	f.conn.Close()
	return err != nil || !k.deaf && !through
}

// header encodes one header.
func (f *frames) header(name, value string) []byte {
	f.block.Reset()
	_ = f.encoder.WriteField(hpack.HeaderField{Name: name, Value: value, Sensitive: true}) // into memory
	return f.block.Bytes()
}

// endless begins headers that go on.
func endless(f *frames) error {
	return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: f.header(":method", "POST")})
}

func ping(f *frames, n uint32) error {
	return f.WritePing(false, [8]byte(binary.BigEndian.AppendUint64(nil, uint64(n))))
}

// resets makes calls and takes them back at once.
func resets(token string) func(*frames, uint32) error {
	return func(f *frames, n uint32) error {
		if err := f.open(2*n+1, token); err != nil {
			return err
		}
		return f.WriteRSTStream(2*n+1, http2.ErrCodeCancel)
	}
}
