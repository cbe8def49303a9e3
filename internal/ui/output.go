// Package ui serves our own pages about what runs in sessions.
package ui

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"

	"glaux/internal/access"
	"glaux/internal/engine"
	"glaux/internal/fault"
)

// OutputPath is where Output is served, as a pattern of net/http.
const OutputPath = "GET /_glaux/calculations/{id}/{stream}"

// Outputs reads what calculations write; calc.Manager has it.
type Outputs interface {
	// Output reads a stream from offset, following a calculation that runs.
	Output(ctx context.Context, who access.Caller, id string, s engine.Stream, offset int64) (io.ReadCloser, error)
}

// Authenticator says who sent a request; access.Authority has it.
type Authenticator interface {
	// Authenticate verifies the request's signature for a service.
	Authenticate(r *http.Request, body []byte, service string) (access.Caller, error)
}

// Output serves what a calculation writes while it writes it, which no
// operation of Athena does: the bytes of stdout, stderr or displays (JSON
// lines) from the query parameter offset on, ending when the calculation does.
// Requests are signed for athena, in headers or as a presigned URL, and need
// what GetCalculationExecution needs.
func Output(outputs Outputs, auth Authenticator, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Content-Security-Policy", "sandbox") // user code wrote it
		out, err := open(outputs, auth, r)
		if err != nil {
			status, text := refusal(err)
			if status == http.StatusInternalServerError {
				log.ErrorContext(r.Context(), "cannot serve output", "err", err)
			}
			http.Error(w, text, status)
			return
		}
		defer out.Close()
		send(w, out)
	})
}

func open(outputs Outputs, auth Authenticator, r *http.Request) (io.ReadCloser, error) {
	who, err := auth.Authenticate(r, nil, "athena")
	if err != nil {
		return nil, err
	}
	stream := engine.Stream(r.PathValue("stream"))
	if stream != engine.Stdout && stream != engine.Stderr && stream != engine.Displays {
		return nil, fault.New(fault.NotFound, "There is no stream %s; there are stdout, stderr and displays.", stream)
	}
	var offset int64
	if text := r.URL.Query().Get("offset"); text != "" {
		if offset, err = strconv.ParseInt(text, 10, 64); err != nil || offset < 0 {
			return nil, fault.Invalidf("offset is not a number of bytes.")
		}
	}
	return outputs.Output(r.Context(), who, r.PathValue("id"), stream, offset)
}

// refusal is the status and text for an error.
func refusal(err error) (int, string) {
	var e *fault.Error
	if !errors.As(err, &e) {
		return http.StatusInternalServerError, "internal failure"
	}
	switch e.Kind {
	case fault.Invalid:
		return http.StatusBadRequest, e.Message
	case fault.NotFound:
		return http.StatusNotFound, e.Message
	case fault.Denied, fault.Unauthorized:
		return http.StatusForbidden, e.Message
	case fault.TooMany, fault.Throttled:
		return http.StatusTooManyRequests, e.Message
	case fault.Exists:
		return http.StatusConflict, e.Message
	case fault.Unsupported:
		return http.StatusNotImplemented, e.Message
	case fault.Internal:
	}
	return http.StatusInternalServerError, "internal failure"
}

// send passes on what arrives as it arrives, in bounded memory.
func send(w http.ResponseWriter, out io.Reader) {
	flush := http.NewResponseController(w)
	if flush.Flush() != nil { // the header goes out before the first byte is there
		return
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := out.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return // the reader has gone
			}
			if flush.Flush() != nil {
				return
			}
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			// A reply that is cut off, not one that looks whole.
			panic(http.ErrAbortHandler) //nolint:forbidigo // net/http has no other way to end a reply so
		}
	}
}
