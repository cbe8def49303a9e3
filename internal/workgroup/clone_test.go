package workgroup_test

import (
	"encoding/json"
	"reflect"
	"testing"

	. "glaux/internal/workgroup"
)

// scramble sets everything reachable from v, in place, to text or number n.
func scramble(t *testing.T, v reflect.Value, n int64, grow bool) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("text" + string(rune('a'+n)))
	case reflect.Bool:
		v.SetBool(n%2 == 0)
	case reflect.Int32, reflect.Int64:
		v.SetInt(n)
	case reflect.Pointer:
		if grow {
			v.Set(reflect.New(v.Type().Elem()))
		}
		scramble(t, v.Elem(), n, grow)
	case reflect.Slice:
		if grow {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		}
		scramble(t, v.Index(0), n, grow)
	case reflect.Map:
		if grow {
			v.Set(reflect.MakeMap(v.Type()))
		}
		for _, key := range v.MapKeys() { // slices inside maps are shared unless copied
			if v.Type().Elem().Kind() == reflect.Slice {
				scramble(t, v.MapIndex(key), n, false)
			}
		}
		value := reflect.New(v.Type().Elem()).Elem()
		scramble(t, value, n, true)
		v.SetMapIndex(reflect.ValueOf("key"+string(rune('a'+n))), value)
	case reflect.Struct:
		for i := range v.NumField() {
			scramble(t, v.Field(i), n, grow)
		}
	default:
		t.Fatalf("cannot scramble a %s", v.Kind())
	}
}

// TestClone fills every member, clones, edits everything in the clone, and
// finds the first as it was.
func TestClone(t *testing.T) {
	var c Config
	scramble(t, reflect.ValueOf(&c).Elem(), 2, true)
	text := func() string {
		b, err := json.Marshal(c)
		wantNil(t, err)
		return string(b)
	}
	before, clone := text(), c.Clone()
	if !reflect.DeepEqual(c, clone) {
		t.Fatalf("the clone is %+v, want %+v", clone, c)
	}
	scramble(t, reflect.ValueOf(&clone).Elem(), 3, false)
	if after := text(); after != before {
		t.Fatalf("editing a clone changed its origin:\n%s\n%s", before, after)
	}
	if clone := (Config{}).Clone(); !reflect.DeepEqual(clone, Config{}) {
		t.Fatalf("the clone of nothing is %+v", clone)
	}
}
