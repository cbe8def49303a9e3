package awsapi

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/document"
	documentjson "github.com/aws/smithy-go/document/json"
	smithytime "github.com/aws/smithy-go/time"
	"github.com/aws/smithy-go/traits"
)

// encoder writes an SDK output as JSON: the SDK's generated Serialize methods
// call it. The serializer inside smithy-go can only be reached through a
// client request made for every reply, which costs two copies of the body and
// a dozen allocations.
type encoder struct {
	buf   []byte
	scope []scope
	inKey bool  // the key has been written, its value comes next
	err   error // first failure; serializing goes on, its result is not used
}

// scope is one open object or list.
type scope struct {
	object bool // values need their member's name
	filled bool // a comma comes before the next value
}

var _ smithy.ShapeSerializer = (*encoder)(nil)

// maxPooled bounds the buffers that are kept for reuse, in bytes.
const maxPooled = 64 << 10

// encoders holds encoders between replies.
var encoders = sync.Pool{New: func() any {
	return &encoder{buf: make([]byte, 0, 2048), scope: make([]scope, 0, 16)}
}}

// newEncoder returns an empty encoder. The caller gives it back with release,
// after which its buffer must not be used.
func newEncoder() *encoder {
	e, _ := encoders.Get().(*encoder)
	e.buf, e.scope, e.inKey, e.err = e.buf[:0], e.scope[:0], false, nil
	return e
}

// release gives the encoder back.
func (e *encoder) release() {
	if cap(e.buf) <= maxPooled {
		encoders.Put(e)
	}
}

// encode writes a whole reply body, in the wrapper of the older protocol if
// asked to.
func (e *encoder) encode(v smithy.Serializable, wrapped bool) error {
	if wrapped {
		e.buf = append(e.buf, `{"Output":`...)
	}
	v.Serialize(e)
	if wrapped {
		e.buf = append(e.buf, `,"Version":"1.0"}`...)
	}
	return e.err
}

// Bytes returns what has been written; release ends its life.
func (e *encoder) Bytes() []byte { return e.buf }

// before writes what stands before a value: a comma where one is due and,
// inside an object, the member's name.
func (e *encoder) before(s *smithy.Schema) {
	if e.inKey {
		e.inKey = false
		return
	}
	if len(e.scope) == 0 {
		return
	}
	top := &e.scope[len(e.scope)-1]
	if top.filled {
		e.buf = append(e.buf, ',')
	}
	top.filled = true
	if top.object && s != nil {
		e.quote(s.MemberName())
		e.buf = append(e.buf, ':')
	}
}

func (e *encoder) push(bracket byte) {
	e.buf = append(e.buf, bracket)
	e.scope = append(e.scope, scope{object: bracket == '{'})
}

func (e *encoder) pop(bracket byte) {
	e.buf = append(e.buf, bracket)
	e.scope = e.scope[:len(e.scope)-1]
}

// WriteInt8 writes an integer.
func (e *encoder) WriteInt8(s *smithy.Schema, v int8) { e.WriteInt64(s, int64(v)) }

// WriteInt16 writes an integer.
func (e *encoder) WriteInt16(s *smithy.Schema, v int16) { e.WriteInt64(s, int64(v)) }

// WriteInt32 writes an integer.
func (e *encoder) WriteInt32(s *smithy.Schema, v int32) { e.WriteInt64(s, int64(v)) }

// WriteInt64 writes an integer.
func (e *encoder) WriteInt64(s *smithy.Schema, v int64) {
	e.before(s)
	e.buf = strconv.AppendInt(e.buf, v, 10)
}

// WriteFloat32 writes a number, or the protocol's text for what JSON lacks.
func (e *encoder) WriteFloat32(s *smithy.Schema, v float32) { e.float(s, float64(v), 32) }

// WriteFloat64 writes a number, or the protocol's text for what JSON lacks.
func (e *encoder) WriteFloat64(s *smithy.Schema, v float64) { e.float(s, v, 64) }

func (e *encoder) float(s *smithy.Schema, v float64, bits int) {
	e.before(s)
	switch {
	case math.IsNaN(v):
		e.buf = append(e.buf, `"NaN"`...)
	case math.IsInf(v, 1):
		e.buf = append(e.buf, `"Infinity"`...)
	case math.IsInf(v, -1):
		e.buf = append(e.buf, `"-Infinity"`...)
	case v != 0 && (math.Abs(v) < 1e-6 || math.Abs(v) >= 1e21):
		e.buf = strconv.AppendFloat(e.buf, v, 'e', -1, bits)
	default:
		e.buf = strconv.AppendFloat(e.buf, v, 'f', -1, bits)
	}
}

// WriteBool writes true or false.
func (e *encoder) WriteBool(s *smithy.Schema, v bool) {
	e.before(s)
	e.buf = strconv.AppendBool(e.buf, v)
}

// WriteString writes a string.
func (e *encoder) WriteString(s *smithy.Schema, v string) {
	e.before(s)
	e.quote(v)
}

// WriteBigInt writes an integer of any size.
func (e *encoder) WriteBigInt(s *smithy.Schema, v *big.Int) {
	e.before(s)
	e.buf = v.Append(e.buf, 10)
}

// WriteBigFloat writes a number of any size.
func (e *encoder) WriteBigFloat(s *smithy.Schema, v *big.Float) {
	e.before(s)
	e.buf = v.Append(e.buf, 'g', -1)
}

// WriteBlob writes bytes as base64 text.
func (e *encoder) WriteBlob(s *smithy.Schema, v []byte) {
	e.before(s)
	e.buf = append(e.buf, '"')
	e.buf = base64.StdEncoding.AppendEncode(e.buf, v)
	e.buf = append(e.buf, '"')
}

// WriteTime writes a time the way the member's schema asks for; without a
// wish as epoch seconds with at most three decimals.
func (e *encoder) WriteTime(s *smithy.Schema, v time.Time) {
	e.before(s)
	format := ""
	if t, ok := smithy.SchemaTrait[*traits.TimestampFormat](s); ok {
		format = t.Format
	}
	switch format {
	case "date-time":
		e.quote(smithytime.FormatDateTime(v))
	case "http-date":
		e.quote(smithytime.FormatHTTPDate(v))
	default:
		e.buf = appendEpoch(e.buf, v)
	}
}

// appendEpoch writes seconds since 1970, to the millisecond, without trailing zeros.
func appendEpoch(b []byte, t time.Time) []byte {
	ms := t.UnixMilli()
	if ms < 0 {
		b = append(b, '-')
		ms = -ms
	}
	b = strconv.AppendInt(b, ms/1000, 10)
	if f := ms % 1000; f != 0 {
		b = append(b, '.', byte('0'+f/100), byte('0'+f/10%10), byte('0'+f%10))
		for b[len(b)-1] == '0' {
			b = b[:len(b)-1]
		}
	}
	return b
}

// WriteUnion opens a union and writes the name of its one member.
func (e *encoder) WriteUnion(s, variant *smithy.Schema) {
	e.before(s)
	e.push('{')
	e.before(variant)
	e.inKey = true
}

// CloseUnion closes a union.
func (e *encoder) CloseUnion() {
	e.inKey = false
	e.pop('}')
}

// WriteDocument writes free-form JSON.
func (e *encoder) WriteDocument(s *smithy.Schema, v document.Value) {
	switch v := v.(type) {
	case document.Opaque:
		e.opaque(s, v.Value)
	case *document.Opaque:
		e.opaque(s, v.Value)
	case nil, document.Null:
		e.WriteNil(s)
	default:
		e.err = errors.Join(e.err, fmt.Errorf("cannot encode a document of type %T", v))
	}
}

func (e *encoder) opaque(s *smithy.Schema, v any) {
	e.before(s)
	var text []byte
	var err error
	if m, ok := v.(document.Marshaler); ok {
		text, err = m.MarshalSmithyDocument()
	} else {
		text, err = documentjson.NewEncoder().Encode(v)
	}
	if err != nil {
		e.err = errors.Join(e.err, fmt.Errorf("cannot encode a document: %w", err))
		return
	}
	e.buf = append(e.buf, text...)
}

// WriteNil writes null.
func (e *encoder) WriteNil(s *smithy.Schema) {
	e.before(s)
	e.buf = append(e.buf, "null"...)
}

// WriteStruct opens an object.
func (e *encoder) WriteStruct(s *smithy.Schema) {
	e.before(s)
	e.push('{')
}

// CloseStruct closes an object.
func (e *encoder) CloseStruct() { e.pop('}') }

// WriteList opens a list.
func (e *encoder) WriteList(s *smithy.Schema) {
	e.before(s)
	e.push('[')
}

// CloseList closes a list.
func (e *encoder) CloseList() { e.pop(']') }

// WriteMap opens an object whose keys WriteKey gives.
func (e *encoder) WriteMap(s *smithy.Schema) { e.WriteStruct(s) }

// WriteKey writes the key of the next value of a map.
func (e *encoder) WriteKey(_ *smithy.Schema, key string) {
	e.before(nil)
	e.quote(key)
	e.buf = append(e.buf, ':')
	e.inKey = true
}

// CloseMap closes a map.
func (e *encoder) CloseMap() { e.pop('}') }

func (e *encoder) quote(s string) { e.buf = appendQuoted(e.buf, s) }

// appendQuoted writes s as a JSON string. Bytes that are not UTF-8 become U+FFFD.
func appendQuoted(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r != utf8.RuneError || n > 1 {
				i += n
				continue
			}
			b = append(b, s[start:i]...)
			b = append(b, "\uFFFD"...)
			i++
			start = i
			continue
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		start = i
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

// json writes the exception as a reply body. Texts made by the service stand
// under "Message"; those of the layer in front of it, which checks signatures,
// under "message".
func (x *exception) json(wrapped bool) []byte {
	b := make([]byte, 0, 256)
	if wrapped {
		b = append(b, `{"Output":`...)
	}
	field := func(name, value string) {
		if value != "" {
			b = append(b, ',', '"')
			b = append(b, name...)
			b = append(b, '"', ':')
			b = appendQuoted(b, value)
		}
	}
	b = append(b, `{"__type":`...)
	b = appendQuoted(b, x.name)
	field("AthenaErrorCode", x.code)
	field("ErrorCode", x.code)
	if x.edge {
		field("message", x.message)
	} else {
		field("Message", x.message)
	}
	field("Reason", x.reason)
	field("ResourceName", x.resource)
	b = append(b, '}')
	if wrapped {
		b = append(b, `,"Version":"1.0"}`...)
	}
	return b
}
