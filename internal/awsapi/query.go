package awsapi

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"time"

	"glaux/internal/access"
	"glaux/internal/ident"
)

// QueryOperation is one row of an operation table of the query protocol.
type QueryOperation struct {
	Service string       // signing name: STS or IAM
	Name    string       // the Action
	Action  string       // IAM action; empty: service:Name
	Handler QueryHandler // nil: known but not built, answered 501 by name
}

// QueryHandler runs one operation on the request's form. Its result is
// encoded by encoding/xml as the content of <NameResult>. It is safe for
// concurrent use.
type QueryHandler func(ctx context.Context, who access.Caller, form url.Values) (any, error)

// HandleQuery adapts a typed operation to the query dispatcher. In is a
// struct whose fields are named like the parameters: the SDK's input type, of
// which the model's constraints are checked, or one of the service's own.
// Out is a struct for encoding/xml.
func HandleQuery[In, Out any](op func(context.Context, access.Caller, *In) (*Out, error)) QueryHandler {
	c := newCodec(reflect.TypeFor[In](), nil)
	return func(ctx context.Context, who access.Caller, form url.Values) (any, error) {
		in := new(In)
		if err := c.decodeForm(form, reflect.ValueOf(in).Elem()); err != nil {
			return nil, err
		}
		out, err := op(ctx, who, in)
		if err != nil {
			return nil, err
		}
		return out, nil
	}
}

// QueryTable returns every operation of the service that the model knows with
// the given handlers, by operation name, put in. It fails on a handler whose
// name the model does not know.
func QueryTable(service string, handlers map[string]QueryHandler) ([]QueryOperation, error) {
	known := operations(service)
	rows := make([]QueryOperation, 0, len(known))
	found := 0
	for _, name := range known {
		h := handlers[name]
		if h != nil {
			found++
		}
		rows = append(rows, QueryOperation{Service: service, Name: name, Action: action(service, name), Handler: h})
	}
	if found != len(handlers) {
		return nil, fmt.Errorf("cannot make an operation table for %s: a handler has a name that the model does not know", service)
	}
	return rows, nil
}

// dialect is what the replies of one service's API version look like.
type dialect struct{ version, namespace string }

// dialectOf returns the dialect of a query service.
func dialectOf(service string) (dialect, bool) {
	switch service {
	case IAM:
		return dialect{"2010-05-08", "https://iam.amazonaws.com/doc/2010-05-08/"}, true
	case STS:
		return dialect{"2011-06-15", "https://sts.amazonaws.com/doc/2011-06-15/"}, true
	}
	return dialect{}, false
}

// speaksQuery reports whether a service has the query protocol, whose names
// for failures are its own.
func speaksQuery(service string) bool { return service == STS || service == IAM }

// Query is the dispatcher of the query protocol. It is safe for concurrent use.
type Query struct {
	Options
	rows map[string]QueryOperation // by Action and Version, see queryKey
}

// maxForm is the longest form accepted, in bytes: far more than any
// operation needs, and little enough to read its keys several times.
const maxForm = 1 << 20

// queryKey is how a row is found.
func queryKey(name, version string) string { return name + "@" + version }

// NewQuery makes the dispatcher for the rows of the operation tables.
func NewQuery(rows []QueryOperation, o Options) (*Query, error) {
	if o.Authenticator == nil || o.Log == nil {
		return nil, errors.New("cannot dispatch requests without an authenticator and a log")
	}
	if o.MaxBody == 0 || o.MaxBody > maxForm {
		o.MaxBody = maxForm
	}
	q := &Query{Options: o, rows: make(map[string]QueryOperation)}
	for _, row := range rows {
		d, ok := dialectOf(row.Service)
		if !ok {
			return nil, fmt.Errorf("cannot dispatch to %s.%s: the service has no query protocol here", row.Service, row.Name)
		}
		if row.Action == "" {
			row.Action = action(row.Service, row.Name)
		}
		q.rows[queryKey(row.Name, d.version)] = row
	}
	return q, nil
}

// Handles reports whether the request speaks the query protocol: a form that
// is posted to the root, or a URL of the root that names an Action.
func (q *Query) Handles(r *http.Request) bool {
	if r.URL.Path != "/" && r.URL.Path != "" {
		return false
	}
	switch r.Method {
	case http.MethodPost:
		return r.Header.Get("X-Amz-Target") == "" && mediaType(r.Header.Get("Content-Type")) == "application/x-www-form-urlencoded"
	case http.MethodGet:
		return r.URL.Query().Has("Action")
	}
	return false
}

// ServeHTTP answers one request and logs its record.
func (q *Query) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rec := &Record{ID: ident.NewID(), Service: STS, Remote: r.RemoteAddr, Start: time.Now()}
	ctx := context.WithValue(r.Context(), recordKey{}, rec)
	out, err := q.call(ctx, w, r, rec)
	d, _ := dialectOf(rec.Service)
	var body []byte
	if err == nil {
		body, err = resultXML(d, rec, out)
	}
	status := http.StatusOK
	if err != nil {
		x := exceptionOf(rec.Service, rec.ID, err)
		rec.Code, rec.Cause, status = x.name, x.cause, x.status
		body = errorXML(d, rec, x)
	}
	reply(w, rec, status, xmlType, body)
	q.finish(ctx, rec)
}

// call reads and authenticates the request and runs the operation.
func (q *Query) call(ctx context.Context, w http.ResponseWriter, r *http.Request, rec *Record) (out any, err error) {
	body, err := readBody(w, r, q.MaxBody, q.bodyTime())
	rec.BytesIn = int64(len(body))
	if err != nil {
		return nil, err
	}
	form := r.URL.Query()
	if r.Method == http.MethodPost {
		// What the URL holds besides are the signature's parameters.
		if form, err = url.ParseQuery(string(body)); err != nil {
			return nil, &serializationError{"The request body is not a well-formed form"}
		}
	}
	name, version := form.Get("Action"), form.Get("Version")
	if name == "" {
		return nil, &queryError{"MissingAction", "The request must contain the parameter Action"}
	}
	row, ok := q.rows[queryKey(name, version)]
	if !ok {
		return nil, &queryError{"InvalidAction", fmt.Sprintf("Could not find operation %s for version %s", name, version)}
	}
	rec.Service, rec.Operation = row.Service, row.Name
	rec.Caller, err = q.Authenticator.Authenticate(r, body, row.Service)
	if err != nil {
		return nil, err
	}
	if row.Handler == nil {
		return nil, notImplemented(row.Service, row.Name)
	}
	defer recovered(&err)
	return row.Handler(ctx, rec.Caller, form)
}

// queryError is a request that names no operation.
type queryError struct{ code, message string }

// Error returns the text for the caller.
func (e *queryError) Error() string { return e.message }

// metadata ends every reply.
type metadata struct {
	RequestID string `xml:"RequestId"`
}

// resultXML writes <NameResponse><NameResult>…</NameResult>…</NameResponse>.
func resultXML(d dialect, rec *Record, out any) ([]byte, error) {
	var b bytes.Buffer
	e := xml.NewEncoder(&b)
	outer := xml.StartElement{Name: xml.Name{Space: d.namespace, Local: rec.Operation + "Response"}}
	err := e.EncodeToken(outer)
	if v := reflect.ValueOf(out); err == nil && v.IsValid() && (v.Kind() != reflect.Pointer || !v.IsNil()) {
		err = e.EncodeElement(out, xml.StartElement{Name: xml.Name{Local: rec.Operation + "Result"}})
	}
	if err == nil {
		err = e.EncodeElement(metadata{rec.ID}, xml.StartElement{Name: xml.Name{Local: "ResponseMetadata"}})
	}
	if err == nil {
		err = e.EncodeToken(outer.End())
	}
	if err == nil {
		err = e.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("cannot encode the reply of %s: %w", rec.Operation, err)
	}
	return b.Bytes(), nil
}

// errorXML writes <ErrorResponse>.
func errorXML(d dialect, rec *Record, x exception) []byte {
	kind := "Sender"
	if x.status >= http.StatusInternalServerError {
		kind = "Receiver"
	}
	type shown struct {
		Type    string
		Code    string
		Message string `xml:",omitempty"`
	}
	b, err := xml.Marshal(struct {
		XMLName   xml.Name
		Error     shown
		RequestID string `xml:"RequestId"`
	}{xml.Name{Space: d.namespace, Local: "ErrorResponse"}, shown{kind, x.name, x.message}, rec.ID})
	if err != nil {
		return nil // a struct of three strings always encodes
	}
	return b
}
