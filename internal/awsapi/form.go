package awsapi

import (
	"encoding/base64"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// formReader reads the form of the query protocol into one input: a
// structure's members are joined by dots, lists are Name.member.N and maps
// Name.entry.N.key and .value.
type formReader struct {
	form url.Values
	checker
}

// decodeForm reads the form into v, a settable struct of the codec's type. It
// fails with a serializationError or a violationError.
func (c *codec) decodeForm(form url.Values, v reflect.Value) error {
	n, err := c.node()
	if err != nil {
		return err
	}
	r := &formReader{form: form}
	if err := r.structure(n, "", v); err != nil {
		return err
	}
	return r.err()
}

// has reports whether the form mentions a name or anything below it.
func (r *formReader) has(name string) bool {
	if r.form.Has(name) {
		return true
	}
	for key := range r.form {
		if strings.HasPrefix(key, name+".") {
			return true
		}
	}
	return false
}

// structure reads the members whose names begin with the prefix.
func (r *formReader) structure(n *node, prefix string, v reflect.Value) error {
	var seen memberSet
	for i := range n.fields {
		f := &n.fields[i]
		if !r.has(prefix + f.name) {
			continue
		}
		seen.put(i, true)
		r.push(step{name: f.lower, order: f.order})
		err := r.value(f.node, prefix+f.name, v.FieldByIndex(f.at))
		r.pop()
		if err != nil {
			return err
		}
	}
	r.checkRequired(n, &seen)
	return nil
}

// value reads what stands under a name.
func (r *formReader) value(n *node, name string, v reflect.Value) error {
	if n.ptr {
		p := reflect.New(n.typ)
		v.Set(p)
		v = p.Elem()
	}
	switch n.kind {
	case kindStruct:
		return r.structure(n, name+".", v)
	case kindList:
		return r.list(n, name, v)
	case kindMap:
		return r.mapping(n, name, v)
	default:
		return r.scalar(n, r.form.Get(name), v)
	}
}

// indexes lists the numbers that follow a prefix, ascending.
func (r *formReader) indexes(prefix string) []int {
	var found []int
	for key := range r.form {
		rest, ok := strings.CutPrefix(key, prefix)
		if !ok {
			continue
		}
		digits, _, _ := strings.Cut(rest, ".")
		if i, err := strconv.Atoi(digits); err == nil && i > 0 {
			found = append(found, i)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// list reads Name.member.1, Name.member.2 and so on. Gaps close.
func (r *formReader) list(n *node, name string, v reflect.Value) error {
	at := r.indexes(name + ".member.")
	s := reflect.MakeSlice(n.typ, len(at), len(at))
	broken := false
	for k, i := range at {
		r.push(step{order: k, member: true})
		mark := len(r.violations)
		err := r.value(n.item, name+".member."+strconv.Itoa(i), s.Index(k))
		broken = broken || r.leafBroken(n.item, mark)
		r.pop()
		if err != nil {
			return err
		}
	}
	v.Set(s)
	r.checkList(n, s, broken)
	return nil
}

// mapping reads Name.entry.1.key, Name.entry.1.value and so on.
func (r *formReader) mapping(n *node, name string, v reflect.Value) error {
	m := reflect.MakeMap(n.typ)
	var broken mapBreach
	for k, i := range r.indexes(name + ".entry.") {
		entry := name + ".entry." + strconv.Itoa(i)
		key := r.form.Get(entry + ".key")
		item := reflect.New(n.typ.Elem()).Elem()
		r.push(step{name: key, order: k, member: true})
		mark := len(r.violations)
		err := r.value(n.item, entry+".value", item)
		broken.value = broken.value || r.leafBroken(n.item, mark)
		r.pop()
		if err != nil {
			return err
		}
		broken.key = broken.key || !satisfies(n.key, key)
		m.SetMapIndex(reflect.ValueOf(key).Convert(n.typ.Key()), item)
	}
	v.Set(m)
	r.checkMap(n, m.Len(), broken)
	return nil
}

// scalar converts one text.
func (r *formReader) scalar(n *node, text string, v reflect.Value) error {
	malformed := func() error {
		return &serializationError{"Could not convert the value of " + r.where()}
	}
	switch n.kind {
	case kindString:
		v.SetString(text)
		r.checkString(n, text)
	case kindBool:
		switch text {
		case "true":
			v.SetBool(true)
		case "false":
			v.SetBool(false)
		default:
			return malformed()
		}
	case kindInt:
		i, err := strconv.ParseInt(text, 10, n.typ.Bits())
		if err != nil {
			return malformed()
		}
		v.SetInt(i)
		r.checkNumber(n, float64(i), text)
	case kindFloat:
		f, err := strconv.ParseFloat(text, n.typ.Bits())
		if err != nil {
			return malformed()
		}
		v.SetFloat(f)
		r.checkNumber(n, f, text)
	case kindTime:
		t, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return malformed()
		}
		v.Set(reflect.ValueOf(t.UTC()))
	case kindBlob:
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return malformed()
		}
		v.SetBytes(b)
		r.checkLength(n, len(b), nil)
	default:
		return malformed()
	}
	return nil
}
