package connect

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
	"testing/iotest"

	"google.golang.org/protobuf/encoding/protowire"
)

// frame puts the head of a gRPC message in front of it.
func frame(message []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
}

// field encodes a field that holds bytes.
func field(n protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, n, protowire.BytesType), value)
}

// claimed is a request as a client sends it.
func claimed(user string) []byte {
	message := field(1, []byte("session"))
	message = append(message, field(2, append(field(1, []byte(user)), field(2, []byte(user))...))...)
	message = protowire.AppendVarint(protowire.AppendTag(message, 9, protowire.VarintType), 1<<40)
	message = protowire.AppendFixed32(protowire.AppendTag(message, 10, protowire.Fixed32Type), 7)
	message = protowire.AppendFixed64(protowire.AppendTag(message, 11, protowire.Fixed64Type), 7)
	return append(message, field(3, bytes.Repeat([]byte("plan"), 1000))...)
}

// user reads a message as protobuf does: of a message that is repeated the
// fields are merged, and the last value of each wins.
func user(t *testing.T, message []byte) (id, name string) {
	t.Helper()
	for len(message) > 0 {
		n, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			t.Fatalf("cannot read what goes to the driver: %v", protowire.ParseError(size))
		}
		message = message[size:]
		size = protowire.ConsumeFieldValue(n, kind, message)
		if size < 0 {
			t.Fatalf("cannot read what goes to the driver: %v", protowire.ParseError(size))
		}
		if n == 2 && kind == protowire.BytesType {
			inner, _ := protowire.ConsumeBytes(message)
			for len(inner) > 0 {
				m, _, size := protowire.ConsumeTag(inner)
				if size < 0 {
					break // the claimed one may be anything
				}
				inner = inner[size:]
				value, size := protowire.ConsumeBytes(inner)
				if size < 0 {
					break
				}
				inner = inner[size:]
				switch m {
				case 1:
					id = string(value)
				case 2:
					name = string(value)
				}
			}
		}
		message = message[size:]
	}
	return id, name
}

// messages takes a stream of gRPC messages apart.
func messages(t *testing.T, stream []byte) (all [][]byte) {
	t.Helper()
	for len(stream) > 0 {
		if len(stream) < 5 {
			t.Fatalf("%d bytes behind the last message", len(stream))
		}
		n := int(binary.BigEndian.Uint32(stream[1:]))
		if len(stream) < 5+n {
			t.Fatalf("message of %d bytes has %d", n, len(stream)-5)
		}
		all = append(all, stream[5:5+n])
		stream = stream[5+n:]
	}
	return all
}

func TestIdentityIsWrittenOverTheClaimedOne(t *testing.T) {
	t.Parallel()
	var stream []byte
	sent := [][]byte{claimed("mallory"), {}, claimed(""), append(claimed("x"), claimed("y")...)}
	for _, m := range sent {
		stream = append(stream, frame(m)...)
	}
	suffix := identity("arn", "name")
	for name, src := range map[string]io.Reader{
		"at once": bytes.NewReader(stream), "byte by byte": iotest.OneByteReader(bytes.NewReader(stream)),
		"halves": iotest.HalfReader(bytes.NewReader(stream)), "with its end": iotest.DataErrReader(bytes.NewReader(stream)),
	} {
		out, err := io.ReadAll(newSplicer(src, suffix))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := messages(t, out)
		if len(got) != len(sent) {
			t.Fatalf("%s: %d messages", name, len(got))
		}
		for i, m := range got {
			if !bytes.Equal(m, append(bytes.Clone(sent[i]), suffix...)) {
				t.Errorf("%s: message %d has changed before its end", name, i)
			}
			if id, n := user(t, m); id != "arn" || n != "name" {
				t.Errorf("%s: message %d is of %q, %q", name, i, id, n)
			}
		}
	}
}

func TestMessagesThatCouldSwallowTheIdentityAreRefused(t *testing.T) {
	t.Parallel()
	suffix := identity("arn", "name")
	good := claimed("mallory")
	with := func(tail ...byte) []byte { return append(bytes.Clone(good), tail...) }
	for name, c := range map[string]struct {
		message []byte
		want    error
	}{
		"a field that claims the identity's bytes":  {with(15<<3|2, byte(len(suffix))), errMalformed},
		"a field that claims more than is there":    {with(15<<3|2, 100, 1, 2, 3), errMalformed},
		"a fixed field that is cut":                 {with(15<<3|1, 1, 2), errMalformed},
		"a short fixed field that is cut":           {with(15<<3|5, 1), errMalformed},
		"a number without end":                      {with(15<<3, 0x80), errMalformed},
		"a tag without end":                         {with(0xf8), errMalformed},
		"a length without end":                      {with(15<<3|2, 0x80), errMalformed},
		"an open group":                             {with(15<<3 | 3), errMalformed},
		"the end of a group":                        {with(15<<3 | 4), errMalformed},
		"a kind of field that is none":              {with(15<<3 | 7), errMalformed},
		"a field without number":                    {with(0, 0), errMalformed},
		"a tag that some readers cut to 32 bits":    {with(0xfa, 0x80, 0x80, 0x80, 0x80, 0x01, 0), errMalformed},
		"a length that some readers cut to 32 bits": {with(15<<3|2, 0x80, 0x80, 0x80, 0x80, 0x10), errMalformed},
		"a number of more than 64 bits":             {with(15<<3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f), errMalformed},
	} {
		s := newSplicer(bytes.NewReader(frame(c.message)), suffix)
		out, err := io.ReadAll(s)
		if !errors.Is(err, c.want) || !errors.Is(s.refusal(), c.want) {
			t.Errorf("%s: %v, %v", name, err, s.refusal())
		}
		if len(out) >= 5+len(c.message)+len(suffix) {
			t.Errorf("%s: the driver was given the whole message", name)
		}
	}
}

func TestStreamsThatAreNoMessagesAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stream []byte
		want   error
	}{
		"compressed":  {append([]byte{1}, frame(claimed("x"))[1:]...), errCompressed},
		"odd flag":    {append([]byte{2}, frame(claimed("x"))[1:]...), errMalformed},
		"too long":    {[]byte{0, 0x08, 0, 0, 1}, errTooLong},
		"huge":        {[]byte{0, 0xff, 0xff, 0xff, 0xff}, errTooLong},
		"cut head":    {[]byte{0, 0, 0}, io.ErrUnexpectedEOF},
		"cut message": {frame(claimed("x"))[:50], io.ErrUnexpectedEOF},
	} {
		if _, err := io.ReadAll(newSplicer(bytes.NewReader(c.stream), identity("a", "b"))); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if out, err := io.ReadAll(newSplicer(bytes.NewReader(nil), identity("a", "b"))); err != nil || len(out) > 0 {
		t.Errorf("a stream without messages: %d bytes, %v", len(out), err)
	}
}

// FuzzSplice checks with protobuf's own reader that whatever goes to a driver
// carries the identity.
func FuzzSplice(f *testing.F) {
	f.Add(claimed("mallory"), uint8(3))
	f.Add(append(claimed("mallory"), 15<<3|2, 17), uint8(1))
	f.Add([]byte{0x12, 0x80, 0x80, 0x00}, uint8(1))
	f.Fuzz(func(t *testing.T, message []byte, step uint8) {
		src := io.Reader(bytes.NewReader(frame(message)))
		if step == 1 {
			src = iotest.OneByteReader(src)
		}
		out, err := io.ReadAll(newSplicer(src, identity("arn", "name")))
		if err != nil {
			return
		}
		for _, m := range messages(t, out) {
			if id, name := user(t, m); id != "arn" || name != "name" {
				t.Errorf("message of %q, %q", id, name)
			}
		}
	})
}

func TestAttemptThatIsOverReadsNoMore(t *testing.T) {
	near, far := io.Pipe() // a client that says nothing
	body := newSplicer(near, nil)
	first := &attempt{splicer: body, src: near}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := first.Read(make([]byte, 10)); n != 0 || !errors.Is(err, http.ErrBodyReadAfterClose) || body.touched.Load() {
		t.Errorf("an attempt that never began: %d, %v, touched: %v", n, err, body.touched.Load())
	}
	second := &attempt{splicer: body, src: near}
	var reading sync.WaitGroup
	reading.Go(func() {
		if n, err := second.Read(make([]byte, 10)); n != 0 || !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("an attempt whose client says nothing: %d, %v", n, err)
		}
	})
	if _, err := far.Write([]byte{0}); err != nil { // so it reads
		t.Fatal(err)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	reading.Wait()
}
