package awsapi

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"sync"
	"time"
)

// decoder reads one request body into one input. It collects violations of
// the model on the way; a value of the wrong JSON type ends it at once, since
// AWS reports those before any violation.
type decoder struct {
	text     []byte
	pos      int
	depth    int
	unquoted []byte // for strings with escapes; reused
	checker
}

// maxUnquoted bounds the buffers that are kept for reuse, in bytes.
const maxUnquoted = 64 << 10

// decoders holds decoders between requests.
var decoders = sync.Pool{New: func() any { return &decoder{checker: checker{path: make([]step, 0, 16)}} }}

// decode reads the body into v, a settable struct of the codec's type. It
// fails with a serializationError or a violationError.
func (c *codec) decode(body []byte, v reflect.Value) error {
	n, err := c.node()
	if err != nil {
		return err
	}
	d, _ := decoders.Get().(*decoder)
	d.text, d.pos, d.depth = body, 0, 0
	d.path, d.violations = d.path[:0], nil
	err = d.all(n, v)
	if err == nil {
		err = d.err()
	}
	d.text = nil
	if cap(d.unquoted) > maxUnquoted {
		d.unquoted = nil
	}
	decoders.Put(d)
	return err
}

// all reads the whole body.
func (d *decoder) all(n *node, v reflect.Value) error {
	switch d.peek() {
	case '{':
	case '[':
		return &serializationError{listFound}
	default:
		return notJSON()
	}
	if err := d.structure(n, v); err != nil {
		return err
	}
	if d.peek() != 0 || d.pos != len(d.text) {
		return notJSON()
	}
	return nil
}

// value reads one value. It reports false for null, which counts as absent.
func (d *decoder) value(n *node, v reflect.Value) (bool, error) {
	if null, err := d.null(); null || err != nil {
		v.SetZero()
		return false, err
	}
	if !n.ptr {
		return true, d.plain(n, v)
	}
	if n.kind == kindString && n.typ == stringType {
		// By far the most frequent member: half the cost without reflect.New.
		text, err := d.str()
		if err != nil {
			return false, err
		}
		s := string(text)
		d.checkString(n, s)
		*(v.Addr().Interface().(**string)) = &s
		return true, nil
	}
	p := reflect.New(n.typ)
	if err := d.plain(n, p.Elem()); err != nil {
		return false, err
	}
	v.Set(p)
	return true, nil
}

// stringType is compared with on every string.
var stringType = reflect.TypeFor[string]()

// plain reads a value that is not null into v, which is not a pointer.
func (d *decoder) plain(n *node, v reflect.Value) error {
	switch n.kind {
	case kindStruct:
		return d.structure(n, v)
	case kindUnion:
		return d.union(n, v)
	case kindMap:
		return d.mapping(n, v)
	case kindList:
		return d.list(n, v)
	case kindString:
		text, err := d.str()
		if err != nil {
			return err
		}
		v.SetString(string(text))
		d.checkString(n, v.String())
		return nil
	case kindBool:
		return d.boolean(v)
	case kindInt:
		return d.integer(n, v)
	case kindFloat:
		return d.float(n, v)
	case kindTime:
		return d.time(n, v)
	case kindBlob:
		return d.blob(n, v)
	default:
		return d.document(n, v)
	}
}

// str consumes a string.
func (d *decoder) str() ([]byte, error) {
	if d.peek() != '"' {
		return nil, d.mismatch("a String")
	}
	return d.quoted()
}

// structure reads an object with known members. Unknown ones are skipped.
func (d *decoder) structure(n *node, v reflect.Value) error {
	if d.peek() != '{' {
		return d.mismatched("Expected null", listFound, "")
	}
	var seen memberSet
	err := d.object(func(key []byte) error {
		i, ok := n.index[string(key)]
		if !ok {
			return d.skip()
		}
		f := &n.fields[i]
		d.push(step{name: f.lower, order: f.order})
		set, err := d.value(f.node, v.FieldByIndex(f.at))
		d.pop()
		seen.put(i, set)
		return err
	})
	if err == nil {
		d.checkRequired(n, &seen)
	}
	return err
}

// union reads an object with exactly one known member that is not null.
func (d *decoder) union(n *node, v reflect.Value) error {
	if d.peek() != '{' {
		return d.mismatched("Expected null", listFound, "")
	}
	members := 0
	return d.object(func(key []byte) error {
		i, ok := n.index[string(key)]
		if !ok {
			return d.skip()
		}
		f := &n.fields[i]
		wrapper := reflect.New(f.as)
		d.push(step{name: f.lower, order: f.order})
		set, err := d.value(f.node, wrapper.Elem().FieldByIndex(f.at))
		d.pop()
		if set {
			if members++; members > 1 {
				return notJSON()
			}
			v.Set(wrapper)
		}
		return err
	})
}

// mapping reads an object with free keys. Null values are dropped, unless the
// Go type has room for them.
func (d *decoder) mapping(n *node, v reflect.Value) error {
	if d.peek() != '{' {
		return d.mismatched("Expected map or null", listFound, "")
	}
	m := reflect.MakeMap(n.typ)
	item := reflect.New(n.typ.Elem()).Elem()
	var broken mapBreach
	err := d.object(func(key []byte) error {
		k := string(key)
		d.push(step{name: k, order: m.Len(), member: true})
		mark := len(d.violations)
		item.SetZero()
		set, err := d.value(n.item, item)
		broken.value = broken.value || d.leafBroken(n.item, mark)
		d.pop()
		broken.key = broken.key || !satisfies(n.key, k)
		if set || n.item.ptr {
			m.SetMapIndex(reflect.ValueOf(k).Convert(n.typ.Key()), item)
		}
		return err
	})
	if err != nil {
		return err
	}
	v.Set(m)
	d.checkMap(n, m.Len(), broken)
	return nil
}

// list reads an array. Null items are dropped, unless
// the Go type has room for them.
func (d *decoder) list(n *node, v reflect.Value) error {
	if d.peek() != '[' {
		return d.mismatched("Expected list or null", "", structFound)
	}
	s := reflect.New(n.typ).Elem() // a variable, which alone can grow
	s.Set(reflect.MakeSlice(n.typ, 0, 4))
	broken := false
	err := d.array(func() error {
		k := s.Len()
		if k == s.Cap() {
			s.Grow(k)
		}
		s.SetLen(k + 1)
		d.push(step{order: k, member: true})
		mark := len(d.violations)
		set, err := d.value(n.item, s.Index(k))
		broken = broken || d.leafBroken(n.item, mark)
		d.pop()
		if !set && !n.item.ptr {
			s.SetLen(k)
		}
		return err
	})
	if err != nil {
		return err
	}
	v.Set(s)
	d.checkList(n, s, broken)
	return nil
}

// boolean reads true or false.
func (d *decoder) boolean(v reflect.Value) error {
	switch d.peek() {
	case 't':
		v.SetBool(true)
		return d.word("true")
	case 'f':
		v.SetBool(false)
		return d.word("false")
	}
	return d.mismatch("a Boolean")
}

// integer reads a number and drops its fraction. What is out of the type's
// range becomes the nearest value, which is what the constraints then judge.
func (d *decoder) integer(n *node, v reflect.Value) error {
	if !d.atNumber() {
		name := "an Integer"
		switch n.typ.Kind() {
		case reflect.Int64:
			name = "a Long"
		case reflect.Int16:
			name = "a Short"
		case reflect.Int8:
			name = "a Byte"
		default:
		}
		return d.mismatch(name)
	}
	text, err := d.number()
	if err != nil {
		return err
	}
	v.SetInt(clamp(text, n.typ.Bits()))
	d.checkNumber(n, float64(v.Int()), string(text))
	return nil
}

// clamp converts the text of a number to an integer of so many bits.
func clamp(text []byte, bits int) int64 {
	i, err := strconv.ParseInt(string(text), 10, bits)
	if err == nil {
		return i
	}
	f, _ := strconv.ParseFloat(string(text), 64) // the text is a number; out of range is ±Inf
	least, most := int64(math.MinInt64)>>(64-bits), int64(math.MaxInt64)>>(64-bits)
	switch {
	case f <= float64(least):
		return least
	case f >= float64(most):
		return most
	}
	return int64(f)
}

// float reads a number or the text of one that JSON lacks.
func (d *decoder) float(n *node, v reflect.Value) error {
	name := "a Double"
	if n.typ.Kind() == reflect.Float32 {
		name = "a Float"
	}
	if !d.atNumber() {
		if d.peek() != '"' {
			return d.mismatch(name)
		}
		mismatch := d.pos
		text, err := d.quoted()
		if err != nil {
			return err
		}
		switch string(text) {
		case "NaN":
			v.SetFloat(math.NaN())
		case "Infinity":
			v.SetFloat(math.Inf(1))
		case "-Infinity":
			v.SetFloat(math.Inf(-1))
		default:
			d.pos = mismatch
			return d.mismatch(name)
		}
		return nil
	}
	text, err := d.number()
	if err != nil {
		return err
	}
	f, _ := strconv.ParseFloat(string(text), n.typ.Bits()) // the text is a number; out of range is ±Inf
	v.SetFloat(f)
	d.checkNumber(n, f, string(text))
	return nil
}

// time reads epoch seconds, or the text of a time where the model has one.
func (d *decoder) time(n *node, v reflect.Value) error {
	if n.rule != nil && n.rule.Time != "" {
		return d.textTime(n.rule.Time, v)
	}
	if !d.atNumber() {
		return d.mismatch("milliseconds since epoch")
	}
	text, err := d.number()
	if err != nil {
		return err
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil || math.Abs(f) > maxSeconds {
		return notJSON()
	}
	v.Set(reflect.ValueOf(time.UnixMilli(int64(math.Round(f * 1000))).UTC()))
	return nil
}

// maxSeconds is the end of the year 9999, the last that ISO 8601 can write.
const maxSeconds = 253402300800

// textTime reads a time written as text.
func (d *decoder) textTime(format string, v reflect.Value) error {
	if d.peek() != '"' {
		return d.mismatch("milliseconds since epoch")
	}
	text, err := d.quoted()
	if err != nil {
		return err
	}
	layout := time.RFC3339Nano
	if format == "rfc822" {
		layout = "Mon, 02 Jan 2006 15:04:05 GMT"
	}
	t, err := time.Parse(layout, string(text))
	if err != nil {
		return notJSON()
	}
	v.Set(reflect.ValueOf(t.UTC()))
	return nil
}

// blob reads base64 text.
func (d *decoder) blob(n *node, v reflect.Value) error {
	if d.peek() != '"' {
		return d.mismatch("a Blob")
	}
	text, err := d.quoted()
	if err != nil {
		return err
	}
	b, err := base64.StdEncoding.AppendDecode(nil, text)
	if err != nil {
		return notJSON()
	}
	v.SetBytes(b)
	d.checkLength(n, len(b), nil)
	return nil
}

// document reads anything.
func (d *decoder) document(n *node, v reflect.Value) error {
	d.space()
	start := d.pos
	if err := d.skip(); err != nil {
		return err
	}
	var x any
	if err := json.Unmarshal(d.text[start:d.pos], &x); err != nil {
		return notJSON()
	}
	v.Set(n.open.document(x))
	return nil
}

// Texts for an array or object where none belongs. Only one has a period.
const (
	listFound   = "Start of list found where not expected"
	structFound = "Start of structure or map found where not expected."
)

// atNumber reports whether a number comes next.
func (d *decoder) atNumber() bool {
	c := d.peek()
	return c == '-' || (c >= '0' && c <= '9')
}

// mismatch is the error for the next value, which is not of the type named.
func (d *decoder) mismatch(target string) error {
	found := ""
	switch c := d.peek(); {
	case c == '"':
		found = "STRING_VALUE"
	case c == 't':
		found = "TRUE_VALUE"
	case c == 'f':
		found = "FALSE_VALUE"
	case d.atNumber():
		found = "NUMBER_VALUE"
	}
	return d.mismatched(found+" can not be converted to "+target, listFound, structFound)
}

// mismatched is the error for the next value by what it is: a scalar, an array
// or an object.
func (d *decoder) mismatched(scalar, list, object string) error {
	switch d.peek() {
	case '[':
		return &serializationError{list}
	case '{':
		return &serializationError{object}
	}
	if err := d.skip(); err != nil {
		return err
	}
	return &serializationError{scalar}
}
