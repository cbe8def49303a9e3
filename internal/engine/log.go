package engine

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
	"time"
)

// Logger is the ability of a driver to show what its processes write: lines
// outside cells, and the beginning of what cells write.
type Logger interface {
	// Log reads one stream of the driver from offset, follows it while the
	// driver lives, and ends with io.EOF after the last byte of a driver that is
	// gone. What is read are records in the form that ParseLogLine takes. An
	// offset is 0 or the end of a record, counted from the stream's very
	// beginning. A driver keeps the newest of a stream: the error of Log, or of
	// a Read that comes too late, is a *TrimmedError where what it asks for is
	// no longer kept. Closing the reader ends a Read that blocks. The error is
	// ErrNoLog for a driver of an older version, which has none.
	Log(ctx context.Context, s LogSource, offset int64) (io.ReadCloser, error)
}

// LogSource is one of a driver's own streams.
type LogSource string

// The streams of a driver.
const (
	LogStdout LogSource = "stdout"
	LogStderr LogSource = "stderr"
)

// LogLine is one record of a driver's stream.
type LogLine struct {
	Time   time.Time // when it came; zero where the record does not say
	Writer byte      // tells the processes of a driver apart
	Part   bool      // of a very long line, which goes on in the writer's next record
	Text   []byte    // without the newline
}

// ParseLogLine reads one record, with or without its newline:
//
//	1764000000123 jL text of the line
//
// the time in Unix milliseconds, the writer's letter, L for a line that ends
// with the record or P for one that goes on, and the text. What has another
// form is text as a whole.
func ParseLogLine(record []byte) LogLine {
	record = bytes.TrimSuffix(record, []byte{'\n'})
	stamp, rest, ok := bytes.Cut(record, []byte{' '})
	ms, err := strconv.ParseInt(string(stamp), 10, 64)
	if !ok || err != nil || len(rest) < 3 || rest[2] != ' ' || rest[1] != 'L' && rest[1] != 'P' {
		return LogLine{Text: record}
	}
	return LogLine{Time: time.UnixMilli(ms).UTC(), Writer: rest[0], Part: rest[1] == 'P', Text: rest[3:]}
}

// TrimmedError says that a driver no longer keeps a stream from where it was
// asked for.
type TrimmedError struct{ First int64 } // offset of what it keeps

func (e *TrimmedError) Error() string {
	return fmt.Sprintf("the log is kept from offset %d on", e.First)
}
