package shim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// recorded are the frames of version 1, in testdata/v1: what a shim of that
// version sends and is sent. A later version must still read them.
var recorded = map[string]any{
	"request-run":    Request{Version: 1, Epoch: 7, Op: OpRun, Cell: "c1", Code: "1+1"},
	"request-output": Request{Version: 1, Epoch: 7, Op: OpOutput, Cell: "c1", Stream: Stdout, Offset: 12},
	"request-log":    Request{Version: 1, Epoch: 7, Op: OpLog, Stream: Stderr, Offset: 12},
	"request-dial":   Request{Version: 1, Epoch: 7, Op: OpDial, Service: "connect"},
	"request-stop":   Request{Version: 1, Epoch: 7, Op: OpStop, Force: true},
	"reply-stale":    Reply{Version: 1, Code: Stale, Text: "epoch 8 owns this driver"},
	"reply-trimmed":  Reply{Version: 1, Code: Trimmed, First: 8 << 20},
	"reply-status": Reply{Version: 1, Status: &Status{
		Phase: PhasePrepared, ApplicationID: "app", SparkVersion: "3.5.6", Cell: "c1", TasksDone: 1, TasksTotal: 4, Responsive: true,
		Executors: []Executor{{ID: "driver", Host: "127.0.0.1", Cores: 2, Added: 1700000000000}}, Archive: &Archive{Used: true},
	}},
	"reply-record": Reply{Version: 1, Record: &Record{
		ID: "c1", Outcome: Raised, Started: 1700000000000, Ended: 1700000001000, Run: time.Second,
		Error: &CellError{Name: "ValueError", Value: "bad", Traceback: []string{"ValueError: bad"}},
		Sizes: map[string]int64{Stdout: 3, Stderr: 20, Displays: 0}, Truncated: map[string]int64{Stdout: 9},
	}},
}

func TestRecordedFramesAreRead(t *testing.T) {
	for name, want := range recorded {
		b, err := os.ReadFile(filepath.Join("testdata", "v1", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		got := reflect.New(reflect.TypeOf(want))
		if err := json.Unmarshal(b, got.Interface()); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got.Elem().Interface(), want) {
			t.Errorf("%s is read as %+v, want %+v", name, got.Elem(), want)
		}
		now, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		if string(now) != strings.TrimSpace(string(b)) {
			t.Errorf("%s is written as\n%s\nwant, as version 1 did,\n%s", name, now, b)
		}
	}
}

func TestFrames(t *testing.T) {
	var b bytes.Buffer
	if err := errors.Join(WriteFrame(&b, Request{Op: OpRun, Code: "a"}), WriteFrame(&b, Request{Op: OpStop})); err != nil {
		t.Fatal(err)
	}
	whole := bytes.Clone(b.Bytes())
	var one, two, none Request
	if err := errors.Join(ReadFrame(&b, &one), ReadFrame(&b, &two)); err != nil || one.Code != "a" || two.Op != OpStop {
		t.Errorf("read %+v and %+v, %v", one, two, err)
	}
	if err := ReadFrame(&b, &none); !errors.Is(err, io.EOF) {
		t.Errorf("read beyond the end: %v", err)
	}
	if err := ReadFrame(bytes.NewReader(whole[:9]), &none); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read of a part: %v", err)
	}
	if err := ReadFrame(strings.NewReader("\xff\xff\xff\xff"), &none); !errors.Is(err, ErrFrame) {
		t.Errorf("read of a giant: %v", err)
	}
	if err := ReadFrame(strings.NewReader("\x00\x00\x00\x01{"), &none); err == nil {
		t.Error("what is no JSON is read")
	}
	if _, err := Frame(strings.Repeat("x", MaxFrame)); err == nil {
		t.Error("a giant is written")
	}
}

func TestCellNames(t *testing.T) {
	for id, want := range map[string]bool{
		"a2c1ebba-ad01-865f-ed2d-a142b7451f7e": true, "c_1.x": true,
		"": false, ".": false, "..": false, "a/b": false, "a b": false, strings.Repeat("a", 129): false,
	} {
		if ValidCell(id) != want {
			t.Errorf("ValidCell(%q) is %v", id, !want)
		}
	}
}

// answering is a socket on which each connection is answered by f.
func answering(t *testing.T, f func(*net.UnixConn, Request)) *Client {
	t.Helper()
	dir, err := os.MkdirTemp("", "gs")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			var q Request
			if ReadFrame(c, &q) == nil {
				f(c.(*net.UnixConn), q)
			}
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done; os.RemoveAll(dir) })
	return &Client{Socket: path, Epoch: 3}
}

func TestClientIsRefused(t *testing.T) {
	c := answering(t, func(c *net.UnixConn, q Request) {
		if q.Version != Version || q.Epoch != 3 {
			t.Errorf("request is %+v", q)
		}
		WriteFrame(c, Reply{Code: Busy, Text: "c9"})
	})
	_, err := c.Do(t.Context(), Request{Op: OpRun})
	var refused *Error
	if !errors.As(err, &refused) || refused.Code != Busy || !strings.Contains(err.Error(), "c9") {
		t.Errorf("Do: %v", err)
	}
	if _, err := c.Dial(t.Context(), "connect"); !errors.As(err, &refused) {
		t.Errorf("Dial: %v", err)
	}
}

func TestClientWatches(t *testing.T) {
	c := answering(t, func(c *net.UnixConn, _ Request) {
		for _, p := range []string{PhaseStarted, PhasePrepared, PhaseGone} {
			WriteFrame(c, Reply{Status: &Status{Phase: p}})
		}
	})
	var phases []string
	if err := c.Watch(t.Context(), func(s Status) { phases = append(phases, s.Phase) }); err != nil || len(phases) != 3 {
		t.Errorf("Watch saw %v, %v", phases, err)
	}
}

func TestClientSeesABrokenConnection(t *testing.T) {
	c := answering(t, func(c *net.UnixConn, _ Request) { WriteFrame(c, Reply{Status: &Status{Phase: PhaseStarted}}) })
	if err := c.Watch(t.Context(), func(Status) {}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Watch: %v", err)
	}
}

func TestClientEndsWithItsContext(t *testing.T) {
	hold := make(chan struct{})
	c := answering(t, func(*net.UnixConn, Request) { <-hold })
	defer close(hold)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := c.Do(ctx, Request{Op: OpResult}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Do: %v", err)
	}
}

func TestClientGetsASocket(t *testing.T) {
	c := answering(t, func(c *net.UnixConn, _ Request) {
		a, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Error(err)
			return
		}
		defer a.Close()
		out, err := net.Dial("tcp", a.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		defer out.Close()
		in, err := a.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(in, "through")
		in.Close()
		f, err := out.(*net.TCPConn).File()
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		SendFile(c, Reply{}, f)
	})
	conn, err := c.Dial(t.Context(), "connect")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if b, err := io.ReadAll(conn); err != nil || string(b) != "through" {
		t.Errorf("read %q, %v", b, err)
	}
}
