package awsapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/aws/smithy-go"

	"glaux/internal/fault"
	"glaux/internal/ident"
)

// Content types of the JSON protocol. A request whose type is jsonRPC is
// answered in a wrapper.
const (
	json11  = "application/x-amz-json-1.1"
	jsonRPC = "application/json"
	xmlType = "text/xml"
)

// statusGone is recorded when the client went away before the reply.
const statusGone = 499

// JSON is the dispatcher of the JSON 1.1 services. It is safe for concurrent use.
type JSON struct {
	Options
	rows map[string]Operation // by target, such as AmazonAthena.StartSession
}

// NewJSON makes the dispatcher for the rows of the operation tables. Every
// operation that the model knows and no row mentions is answered 501 by name.
func NewJSON(rows []Operation, o Options) (*JSON, error) {
	if o.Authenticator == nil || o.Log == nil {
		return nil, errors.New("cannot dispatch requests without an authenticator and a log")
	}
	if o.MaxBody == 0 {
		o.MaxBody = DefaultMaxBody
	}
	d := &JSON{Options: o, rows: make(map[string]Operation)}
	for _, service := range []string{Athena, Glue, Logs} {
		for _, name := range operations(service) {
			d.rows[targetPrefix(service)+name] = Operation{Service: service, Name: name, Action: action(service, name)}
		}
	}
	for _, row := range rows {
		target := targetPrefix(row.Service) + row.Name
		if _, ok := d.rows[target]; !ok {
			return nil, fmt.Errorf("cannot dispatch to %s.%s: the model has no such operation", row.Service, row.Name)
		}
		d.rows[target] = row
	}
	return d, nil
}

// targetPrefix is what stands before an operation's name in X-Amz-Target.
func targetPrefix(service string) string {
	switch service {
	case Glue:
		return "AWSGlue."
	case Logs:
		return "Logs_20140328."
	}
	return "AmazonAthena."
}

// Handles reports whether the request is one for this dispatcher: it names a
// target, which no other protocol has, or is posted to the root in a JSON
// type of AWS's.
func (d *JSON) Handles(r *http.Request) bool {
	if r.Header.Get("X-Amz-Target") != "" {
		return true
	}
	return r.Method == http.MethodPost && r.URL.Path == "/" && strings.HasPrefix(mediaType(r.Header.Get("Content-Type")), "application/x-amz-json-")
}

// ServeHTTP answers one request and logs its record.
func (d *JSON) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rec := &Record{ID: ident.NewID(), Remote: r.RemoteAddr, Start: time.Now()}
	ctx := context.WithValue(r.Context(), recordKey{}, rec)
	d.answer(ctx, w, r, rec)
	d.finish(ctx, rec)
}

// answer finds the operation, runs it and writes the reply.
func (d *JSON) answer(ctx context.Context, w http.ResponseWriter, r *http.Request, rec *Record) {
	kind := mediaType(r.Header.Get("Content-Type"))
	if r.Method != http.MethodPost || (kind != json11 && kind != jsonRPC) {
		// What no protocol claims gets the reply of another one.
		rec.Code = "UnknownOperationException"
		reply(w, rec, http.StatusNotFound, xmlType, []byte("<UnknownOperationException/>\n"))
		return
	}
	row, ok := d.rows[r.Header.Get("X-Amz-Target")]
	if !ok {
		replyException(w, rec, kind, exception{status: http.StatusBadRequest, name: "UnknownOperationException"})
		return
	}
	rec.Service, rec.Operation = row.Service, row.Name

	out, err := d.call(ctx, w, r, rec, row)
	if err != nil {
		replyException(w, rec, kind, exceptionOf(rec.Service, rec.ID, err))
		if ctx.Err() != nil {
			// Most likely nobody reads the reply; it is no failure of ours. A
			// client that has only stopped sending must not take silence,
			// which net/http makes a 200, for success.
			rec.Status, rec.Code, rec.Cause = statusGone, "ClientGone", err
		}
		return
	}
	e := newEncoder()
	defer e.release()
	if err := e.encode(out, kind == jsonRPC); err != nil {
		replyException(w, rec, kind, exceptionOf(rec.Service, rec.ID, err))
		return
	}
	reply(w, rec, http.StatusOK, kind, e.buf)
}

// call reads and authenticates the request and runs the operation. A panic in
// the operation comes back as an error that holds the stack.
func (d *JSON) call(ctx context.Context, w http.ResponseWriter, r *http.Request, rec *Record, row Operation) (out smithy.Serializable, err error) {
	body, err := readBody(w, r, d.MaxBody, d.bodyTime())
	rec.BytesIn = int64(len(body))
	if err != nil {
		return nil, err
	}
	rec.Caller, err = d.Authenticator.Authenticate(r, body, row.Service)
	if err != nil {
		return nil, err
	}
	if row.Handler == nil {
		return nil, notImplemented(row.Service, row.Name)
	}
	defer recovered(&err)
	return row.Handler(ctx, rec.Caller, body)
}

// notImplemented is the answer of a known operation that has no handler.
func notImplemented(service, name string) error {
	return fault.New(fault.Unsupported, "%s is not implemented", service+":"+name)
}

// recovered turns a panic into *err. It must be deferred directly.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("operation panicked: %v\n%s", p, debug.Stack())
	}
}

// readBody reads at most limit bytes of body, which must arrive within a time:
// nobody has been authenticated yet. The result is the caller's own.
func readBody(w http.ResponseWriter, r *http.Request, limit int64, within time.Duration) (body []byte, err error) {
	if r.ContentLength == 0 {
		return nil, nil
	}
	conn := http.NewResponseController(w)
	if conn.SetReadDeadline(time.Now().Add(within)) == nil { // else it is no connection
		defer func() {
			// At its end the body needs no deadline, and net/http goes on
			// reading to see whether the client leaves. What was not read to
			// its end net/http reads before it replies: not for ever.
			if err == nil {
				_ = conn.SetReadDeadline(time.Time{})
			}
		}()
	}
	if r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	// A declared length is believed only as far as it costs nothing.
	if n := r.ContentLength; n >= 0 && n <= 64<<10 {
		body := make([]byte, n)
		if k, err := io.ReadFull(r.Body, body); err != nil {
			return body[:k], unreadable(err)
		}
		return body, nil
	}
	body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, tooLarge(limit)
	}
	if err != nil {
		return body, unreadable(err)
	}
	return body, nil
}

// tooLarge is the answer to a body beyond the limit.
func tooLarge(limit int64) error {
	return &oversizeError{limit: limit}
}

// oversizeError is a body longer than the configured limit, in bytes.
type oversizeError struct{ limit int64 }

// Error says what the limit is.
func (e *oversizeError) Error() string {
	return "Request body must not be longer than " + strconv.FormatInt(e.limit, 10) + " bytes"
}

// unreadable is the answer to a body that ends early.
func unreadable(err error) error {
	return (&fault.Error{Kind: fault.Invalid, Code: "IncompleteBodyException", Message: "Request body ended before its declared length"}).Because(err)
}

// mediaType returns a Content-Type without its parameters, in lower case.
func mediaType(header string) string {
	kind, _, _ := strings.Cut(header, ";")
	return strings.ToLower(strings.TrimSpace(kind))
}

// replyException writes a failure in the JSON protocol.
func replyException(w http.ResponseWriter, rec *Record, kind string, x exception) {
	rec.Code, rec.Cause = x.name, x.cause
	reply(w, rec, x.status, kind, x.json(kind == jsonRPC))
}

// reply writes the whole reply with the header set AWS has: Content-Type,
// Content-Length, x-amzn-RequestId, and net/http's Date.
func reply(w http.ResponseWriter, rec *Record, status int, kind string, body []byte) {
	h := w.Header()
	h["Content-Type"] = []string{kind}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	h["x-amzn-RequestId"] = []string{rec.ID} // AWS's spelling, which HTTP/1 keeps
	w.WriteHeader(status)
	n, err := w.Write(body)
	rec.Status, rec.BytesOut = status, int64(n)
	if err != nil && rec.Cause == nil {
		rec.Cause = fmt.Errorf("cannot write the reply: %w", err)
	}
}
