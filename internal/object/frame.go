package object

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"glaux/internal/sigv4"
)

// frameChunk is the size of the chunks that bodies with trailers are framed
// in for the upstream.
const frameChunk = 64 << 10

// trailerSize returns the length of a checksum trailer's value.
func trailerSize(name string) (int, error) {
	raw := 0
	switch strings.ToLower(name) {
	case "x-amz-checksum-crc32", "x-amz-checksum-crc32c", "x-amz-checksum-xxhash32":
		raw = 4
	case "x-amz-checksum-crc64nvme", "x-amz-checksum-xxhash64", "x-amz-checksum-xxhash3":
		raw = 8
	case "x-amz-checksum-md5", "x-amz-checksum-xxhash128":
		raw = 16
	case "x-amz-checksum-sha1":
		raw = 20
	case "x-amz-checksum-sha256":
		raw = 32
	case "x-amz-checksum-sha512":
		raw = 64
	default:
		return 0, fmt.Errorf("The value specified in the x-amz-trailer header is not supported: %s", strings.ToLower(name)) //nolint:staticcheck // shown to the client as S3 says it
	}
	return (raw + 2) / 3 * 4, nil
}

// framer gives a body in aws-chunked framing with unsigned chunks and the
// trailers of the original.
type framer struct {
	from *sigv4.Body
	left int64  // bytes of the body to come
	buf  []byte // one chunk, framed
	out  []byte // the part of buf not yet read
	end  error  // after out
}

// frame frames body anew and returns the length of the result, which is known
// because its trailers are checksums.
func frame(body *sigv4.Body) (io.Reader, int64, error) {
	if body.Length < 0 {
		return nil, 0, errors.New("x-amz-decoded-content-length is required")
	}
	length := int64(len("0\r\n\r\n"))
	for _, name := range body.Announced {
		n, err := trailerSize(name)
		if err != nil {
			return nil, 0, err
		}
		length += int64(len(name)) + 1 + int64(n) + 2
	}
	full, rest := body.Length/frameChunk, body.Length%frameChunk
	length += full * chunkLength(frameChunk)
	if rest > 0 {
		length += chunkLength(rest)
	}
	return &framer{from: body, left: body.Length, buf: make([]byte, 0, frameChunk+16)}, length, nil
}

// chunkLength is the length of a framed chunk with n bytes.
func chunkLength(n int64) int64 {
	return int64(len(strconv.FormatInt(n, 16))) + 2 + n + 2
}

func (f *framer) Read(p []byte) (int, error) {
	for len(f.out) == 0 {
		if f.end != nil {
			return 0, f.end
		}
		f.next()
	}
	n := copy(p, f.out)
	f.out = f.out[n:]
	return n, nil
}

// next fills out with the next chunk, or with what follows the last one.
func (f *framer) next() {
	n := min(f.left, frameChunk)
	f.buf = f.buf[:0]
	if n > 0 {
		f.buf = append(strconv.AppendInt(f.buf, n, 16), "\r\n"...)
		head := len(f.buf)
		f.buf = f.buf[:head+int(n)]
		if _, f.end = io.ReadFull(f.from, f.buf[head:]); f.end != nil {
			return
		}
		f.left -= n
		f.buf = append(f.buf, "\r\n"...)
		f.out = f.buf
		return
	}
	// The body's reader checks chunks, checksums and trailers before it says
	// that it is at its end.
	if extra, err := f.from.Read(make([]byte, 1)); extra != 0 || !errors.Is(err, io.EOF) {
		if f.end = err; err == nil {
			f.end = io.ErrNoProgress
		}
		return
	}
	f.buf = append(f.buf, "0\r\n"...)
	for _, name := range f.from.Announced {
		f.buf = append(f.buf, strings.ToLower(name)+":"+f.from.Trailers().Get(name)+"\r\n"...)
	}
	f.buf = append(f.buf, "\r\n"...)
	f.out, f.end = f.buf, io.EOF
}
