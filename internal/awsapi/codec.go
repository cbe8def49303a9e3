package awsapi

import (
	"cmp"
	"fmt"
	"path"
	"reflect"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// kind is what a codec node reads.
type kind uint8

// The kinds, by what stands in JSON.
const (
	kindStruct   kind = iota // object with known members
	kindUnion                // object with exactly one known member
	kindMap                  // object with free keys
	kindList                 // array
	kindString               // string, enums included
	kindBool                 // true, false
	kindInt                  // number, truncated
	kindFloat                // number, or "NaN", "Infinity", "-Infinity"
	kindTime                 // epoch seconds, or text where the model says so
	kindBlob                 // base64 text
	kindDocument             // anything
)

// node is how values of one Go type are read where the model says what the
// rule says. Nodes are made once and shared; recursive types make cycles.
type node struct {
	kind   kind
	typ    reflect.Type   // without pointer
	ptr    bool           // the value is a pointer to typ
	rule   *rule          // nil: the model demands nothing
	item   *node          // list item or map value
	key    *rule          // map keys
	fields []field        // structures and unions
	index  map[string]int // wire name to position in fields
	echo   bool           // messages repeat the offending value
	open   *openType      // documents

	// required lists the positions of the members that must be there.
	required []int
}

// field is one member of a structure or union.
type field struct {
	name  string       // on the wire
	lower string       // in messages
	order int          // position in the model, for the order of violations
	at    []int        // index of the Go field; unused by unions
	as    reflect.Type // unions: the wrapper struct whose Value the node reads
	node  *node
}

// openType tells what an interface of the SDK can hold, which reflection
// cannot find out.
type openType struct {
	iface    reflect.Type
	members  []reflect.Type          // union: the SDK's XMemberY structs
	document func(any) reflect.Value // document: makes one of decoded JSON
}

// Open describes an interface type among an operation's inputs. Union and
// Document make it.
type Open struct{ t *openType }

// Union says which types a union of the SDK can hold: pointers to the
// structs that the SDK documents as satisfying it.
func Union[I any](members ...I) Open {
	t := &openType{iface: reflect.TypeFor[I]()}
	for _, m := range members {
		t.members = append(t.members, reflect.TypeOf(m).Elem())
	}
	return Open{t}
}

// Document says how to make the SDK's free-form documents from decoded JSON:
// the function is the service's document.NewLazyDocument.
func Document[I any](newDocument func(any) I) Open {
	return Open{&openType{iface: reflect.TypeFor[I](), document: func(v any) reflect.Value {
		return reflect.ValueOf(newDocument(v))
	}}}
}

// codec reads one input type. The nodes are made at first use, so that an
// operation table costs nothing at start.
type codec struct {
	once sync.Once
	typ  reflect.Type
	open []Open
	root *node
	err  error // why there is no root
}

func newCodec(typ reflect.Type, open []Open) *codec {
	return &codec{typ: typ, open: open}
}

// node returns the root node. It fails for types that no JSON can fill, which
// is a fault of the program.
func (c *codec) node() (*node, error) {
	c.once.Do(func() { c.root, c.err = c.build() })
	return c.root, c.err
}

// build makes the nodes.
func (c *codec) build() (*node, error) {
	service, operation := operationOf(c.typ)
	m, err := modelOf(service)
	if err != nil {
		return nil, err
	}
	b := &builder{model: m, echo: service != Athena, open: c.open, made: map[nodeKey]*node{}}
	root := b.node(c.typ, m.Inputs[operation])
	return root, b.err
}

// operationOf finds the service and operation of an SDK input type by its
// package and name. Other types have neither, and therefore no constraints.
func operationOf(t reflect.Type) (service, operation string) {
	if !strings.HasPrefix(t.PkgPath(), "github.com/aws/aws-sdk-go-v2/service/") {
		return "", ""
	}
	operation, _ = strings.CutSuffix(t.Name(), "Input")
	service = path.Base(t.PkgPath())
	if service == "cloudwatchlogs" { // the one package that is not named as the service signs
		service = Logs
	}
	return service, operation
}

// nodeKey identifies a node while building.
type nodeKey struct {
	typ   reflect.Type
	shape string
}

// builder makes the nodes of one input.
type builder struct {
	model *model
	echo  bool // see node.echo; Athena does not repeat values
	open  []Open
	made  map[nodeKey]*node
	err   error // the first type that cannot be decoded into
}

// rule returns the model's rule for a shape, or nil.
func (b *builder) rule(shape string) *rule {
	if shape == "" {
		return nil
	}
	return b.model.Shapes[shape]
}

// node makes the node for a Go type and a shape.
func (b *builder) node(t reflect.Type, shape string) *node {
	key := nodeKey{t, shape}
	if n, ok := b.made[key]; ok {
		return n
	}
	n := &node{typ: t, rule: b.rule(shape), echo: b.echo}
	b.made[key] = n
	if t.Kind() == reflect.Pointer {
		n.ptr, n.typ = true, t.Elem()
	}
	if n.rule != nil && n.rule.Sensitive {
		n.echo = false
	}
	b.fill(n)
	return n
}

// fill completes a node by the kind of its Go type.
func (b *builder) fill(n *node) {
	t, r := n.typ, n.rule
	if r == nil {
		r = new(rule)
	}
	switch t.Kind() {
	case reflect.Struct:
		if t == reflect.TypeFor[time.Time]() {
			n.kind = kindTime
			return
		}
		n.kind = kindStruct
		b.structure(n, r)
	case reflect.Interface:
		b.interfaced(n, r)
	case reflect.Map:
		n.kind = kindMap
		n.item, n.key = b.node(t.Elem(), r.Value), b.rule(r.Key)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			n.kind = kindBlob
			return
		}
		n.kind = kindList
		n.item = b.node(t.Elem(), r.Item)
	case reflect.String:
		n.kind = kindString
	case reflect.Bool:
		n.kind = kindBool
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Int:
		n.kind = kindInt
	case reflect.Float32, reflect.Float64:
		n.kind = kindFloat
	default:
		b.err = cmp.Or(b.err, fmt.Errorf("cannot decode into %s: no JSON value has this type", t))
	}
}

// structure fills in the members of a struct. A member is spelled as its
// field, unless the model has it with a small first letter.
func (b *builder) structure(n *node, r *rule) {
	small, members := membersOf(r)
	for i := range n.typ.NumField() {
		f := n.typ.Field(i)
		if !f.IsExported() || f.Name == "ResultMetadata" {
			continue
		}
		name := wireName(f.Name, small)
		m := members[name]
		n.fields = append(n.fields, field{name: name, lower: lowerCamel(name), order: m.order, at: f.Index, node: b.node(f.Type, m.shape)})
		if m.required {
			n.required = append(n.required, len(n.fields)-1)
		}
	}
	n.reindex()
}

// interfaced fills in a union or document.
func (b *builder) interfaced(n *node, r *rule) {
	for _, o := range b.open {
		if o.t.iface != n.typ {
			continue
		}
		n.open = o.t
		if o.t.document != nil {
			n.kind = kindDocument
			return
		}
		n.kind = kindUnion
		small, members := membersOf(r)
		for _, as := range o.t.members {
			_, name, _ := strings.Cut(as.Name(), "Member")
			name = wireName(name, small)
			m := members[name]
			value, _ := as.FieldByName("Value")
			n.fields = append(n.fields, field{name: name, lower: lowerCamel(name), order: m.order, as: as, at: value.Index, node: b.node(value.Type, m.shape)})
		}
		n.reindex()
		return
	}
	b.err = cmp.Or(b.err, fmt.Errorf("cannot decode into interface %s: the operation's row does not say what it can hold", n.typ))
}

// reindex builds the lookup by wire name.
func (n *node) reindex() {
	n.index = make(map[string]int, len(n.fields))
	for i, f := range n.fields {
		n.index[f.name] = i
	}
}

// modelMember is a structure's member as the model has it.
type modelMember struct {
	order    int
	shape    string
	required bool
}

// membersOf takes a rule's members apart: those with a small first letter by
// their Go name, and all by their wire name. Members that the rule leaves out
// demand nothing, so their order does not matter.
func membersOf(r *rule) (small map[string]string, members map[string]modelMember) {
	small, members = map[string]string{}, map[string]modelMember{}
	for i, m := range r.Members {
		name, mm := m[0], modelMember{order: i}
		if len(m) > 1 {
			mm.shape = m[1]
		}
		mm.required = len(m) > 2
		members[name] = mm
		if c, n := utf8.DecodeRuneInString(name); unicode.IsLower(c) {
			small[string(unicode.ToUpper(c))+name[n:]] = name
		}
	}
	return small, members
}

// wireName gives the wire spelling of a Go field.
func wireName(goName string, small map[string]string) string {
	if s, ok := small[goName]; ok {
		return s
	}
	return goName
}
