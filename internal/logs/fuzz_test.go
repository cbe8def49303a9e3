package logs

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"
	"time"
)

// FuzzSegment reads files that hold anything. Payloads get the checksum that
// makes them look whole.
func FuzzSegment(f *testing.F) {
	whole, _ := encodeRecord(nil, 7, 8, "mark", []Event{{time.UnixMilli(5), "a"}, {time.UnixMilli(3), "bc"}})
	f.Add(whole[recordHead:], []byte{1, 2, 3})
	f.Add([]byte{0, 0, 0, 1, 0, 0, 0}, whole)
	f.Fuzz(func(t *testing.T, payload, rest []byte) {
		file := binary.LittleEndian.AppendUint32(nil, uint32(len(payload)))
		file = binary.LittleEndian.AppendUint32(file, crc32.Checksum(payload, castagnoli))
		file = append(append(file, payload...), rest...)
		r := newSegmentReader(bytes.NewReader(file))
		for {
			rec, err := r.next()
			if err != nil {
				break
			}
			events := 0
			if rec.each(func(int, int64, []byte) { events++ }) == nil && events != rec.count {
				t.Errorf("%d events of %d", events, rec.count)
			}
		}
		if r.at > int64(len(file)) {
			t.Errorf("read %d of %d bytes", r.at, len(file))
		}
	})
}
