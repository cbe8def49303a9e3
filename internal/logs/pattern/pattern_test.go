package pattern

import (
	"strings"
	"testing"
)

// The events of the documentation's examples.
const (
	info200  = "[INFO 200] SUCCESSFUL REQUEST"
	error401 = "[ERROR 401] UNAUTHORIZED REQUEST"
	error419 = "[ERROR 419] MISSING ARGUMENTS"
	error420 = "[ERROR 420] INVALID ARGUMENTS"
	error500 = "[ERROR 500] INTERNAL SERVER ERROR"
	warning  = "[WARNING 404] PAGE NOT FOUND"
	trail    = `{"eventType": "UpdateTrail", "sourceIPAddress": "111.111.111.111", "arrayKey": ["value", "another value"],
		"objectList": [{"name": "a", "id": 1}, {"name": "b", "id": 2}], "SomeObject": null, "ThisFlag": true, "cluster.name": "c", "detail-type": "d",
		"int": 123, "float": 12.34, "whole": 12.0, "empty": "", "object": {}, "array": [], "escaped": "error \"message\"", "coords": {"lat": -1.5e-3}}`
	access = `127.0.0.1 - frank [10/Oct/2000:13:25:15 -0700] "GET /apache_pb.html HTTP/1.0" 404 1534`
)

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern string
		yes, no []string
	}{
		{``, []string{info200, ""}, nil},
		{`"   "`, []string{info200, ""}, nil},
		{`""`, []string{info200}, nil},
		{`ERROR`, []string{error401, error500, "anERRORCODE"}, []string{info200, "error"}},
		{`ERROR ARGUMENTS`, []string{error419, error420}, []string{error401}},
		{`?ERROR ?ARGUMENTS`, []string{error401, "ARGUMENTS", error419}, []string{info200}},
		{`?ERROR ?ARGUMENTS REQUEST`, []string{info200, error401}, []string{error419}},
		{`"INTERNAL SERVER ERROR"`, []string{error500}, []string{error401, "INTERNAL  SERVER ERROR"}},
		{`ERROR -ARGUMENTS`, []string{error401, error500}, []string{error419, info200}},
		{`-ERROR`, []string{info200}, []string{error401}},
		{`-"ERROR 4"`, []string{info200, error500}, []string{error401}},
		{`"a \"b\" c"`, []string{`x a "b" c`}, []string{`a b c`}},
		{`%AUTHORIZED%`, []string{error401}, []string{info200, error500}},
		{`%4[01][0-9]% -INVALID`, []string{error401, error419, warning}, []string{error420, error500}},
		{`%^\[ERROR%`, []string{error401}, []string{"x [ERROR"}},
		{`?%^a% ?"b c"`, []string{"ab", "xb c"}, []string{"xb"}},
		{"\tüber 日本", []string{"日本 über"}, []string{"uber 日本"}},

		{`{ $.eventType = "UpdateTrail" }`, []string{trail}, []string{"{}", "UpdateTrail", `{"eventType":"UpdateTrail"`, `{"eventType":["UpdateTrail"]}`, `{"eventType":"UpdateTrail"} {}`}},
		{`{$.eventType=UpdateTrail}`, []string{trail}, nil},
		{`{ $.eventType != NoTrail }`, []string{trail}, []string{"{}"}},
		{`{ $.eventType = "Update*" }`, []string{trail}, nil},
		{`{ $.eventType = *Trail && $.eventType = *dateTr* }`, []string{trail}, nil},
		{`{ $.eventType = "Upd*rail" }`, []string{`{"eventType": "Upd*rail"}`}, []string{trail}},
		{`{ $.sourceIPAddress != 123.123.* }`, []string{trail}, []string{`{"sourceIPAddress":"123.123.1.1"}`}},
		{`{ $.sourceIPAddress = %111\.111\.111\.1[0-9]{1,2}% }`, []string{trail}, []string{`{"sourceIPAddress":"111.111.111.2"}`}},
		{`{ $.arrayKey[0] = "value" }`, []string{trail}, []string{`{"arrayKey": "value"}`, `{"arrayKey": []}`}},
		{`{ $.objectList[1].id = 2 }`, []string{trail}, nil},
		{`{ $.objectList[*].id = 2 }`, []string{trail}, []string{`{"objectList":[{"id":1}]}`}},
		{`{ $.SomeObject IS NULL }`, []string{trail}, []string{"{}", `{"SomeObject":0}`}},
		{`{ $.SomeOtherObject NOT EXISTS }`, []string{trail, "{}"}, []string{`{"SomeOtherObject":null}`, "text"}},
		{`{ $.SomeObject EXISTS }`, []string{trail}, []string{"{}"}},
		{`{ $.ThisFlag IS TRUE }`, []string{trail}, []string{`{"ThisFlag":"true"}`, `{"ThisFlag":false}`}},
		{`{ $.ThisFlag is false }`, []string{`{"ThisFlag":false}`}, []string{trail}},
		{`{ $.['cluster.name'] = "c" && $["cluster.name"] = c }`, []string{trail}, nil},
		{`{ $.detail-type = d }`, []string{trail}, nil},
		{`{ $.int = 123 && $.int = 123.0 && $.int = 1.23e2 && $.int > 122 && $.int >= 123 && $.int < 124 && $.int <= 123 && $.int != 5 }`, []string{trail}, nil},
		{`{ $.int = "123" && $.int != "123.0" && $.int = 12* && $.int = "*23" && $.int != "3*" }`, []string{trail}, nil},
		{`{ $.whole = 12 && $.whole != "12" }`, []string{trail}, nil},
		{`{ $.coords.lat = -1.5e-3 && $.coords.lat < 0 }`, []string{trail}, nil},
		{`{ $.empty = "*" }`, []string{trail}, nil},
		{`{ $.escaped = "error \"message\"" }`, []string{trail}, nil},
		// Objects, arrays, null and what is missing compare with nothing.
		{`{ $.object = 1 || $.object != 1 || $.array = "x" || $.array != "x" || $.SomeObject != 1 || $.none != 1 || $.eventType > 1 }`, nil, []string{trail}},
		{`{ ($.a = 1 || $.b = 1) && $.c = 1 }`, []string{`{"a":1,"c":1}`, `{"b":1,"c":1}`}, []string{`{"a":1}`, `{"c":1}`}},
		{`{ $.a = 1 || $.b = 1 && $.c = 1 }`, []string{`{"a":1}`, `{"b":1,"c":1}`}, []string{`{"b":1}`}},
		{`{ $[0] = 1 }`, []string{"[1]"}, []string{"[2]", "[]", "1"}},

		{`[ip, id, user, timestamp, request, status_code = 4*, size]`, []string{access}, []string{access + " more", strings.ReplaceAll(access, "404", "200")}},
		{`[ip, id, user, timestamp, request = *html*, status_code = 404, bytes > 1000]`, []string{access}, []string{strings.ReplaceAll(access, "1534", "900")}},
		{`[..., request = "GET *", status_code = 4*, bytes]`, []string{access}, nil},
		{`[ip = 127.0.0.1, ..., bytes >= 1534]`, []string{access}, []string{"127.0.0.1", "x 1534"}},
		{`[ip, ...]`, []string{access, "x"}, []string{""}},
		{`[..., request = *.html*, status_code = 4*,]`, []string{`"GET x.html" 404`}, []string{access}},
		{`[a, b = x,, c]`, []string{"1 x 2 3"}, []string{"1 x 2", "1 y 2 3"}},
		{`[w1!=ERROR && w1!=WARN, w2]`, []string{"INFO x"}, []string{"ERROR x", "WARN x", "INFO"}},
		{`[w1, (s = 404 || s = 410)]`, []string{"x 404", "x 410.0"}, []string{"x 400", "x y"}},
		{`[w1 = %^[a-c]+$%, w2]`, []string{"abc x"}, []string{"abcd x"}},
		{`[a]`, []string{`"x y"`, "[x y]", `"xy`}, []string{`"x y`}},
	} {
		p, err := Parse(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		for _, m := range c.yes {
			if !p.Match([]byte(m)) {
				t.Errorf("%s does not match %s", c.pattern, m)
			}
		}
		for _, m := range c.no {
			if p.Match([]byte(m)) {
				t.Errorf("%s matches %s", c.pattern, m)
			}
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`x-y`:             "Invalid character(s) in term 'x-y'",
		`error: -x`:       "Invalid character(s) in term 'error:'",
		`"open`:           `Invalid filter pattern: '"' expected at position 6, found the end`,
		`a -`:             "Invalid filter pattern: a term expected at position 4, found the end",
		`%open`:           "Invalid filter pattern: '%' expected at position 6, found the end",
		`%(a)%`:           "Invalid filter pattern: a character that a regular expression can have expected at position 2, found '('",
		`%a[%`:            "Invalid filter pattern: 'a[' is not a regular expression",
		`%%`:              "Invalid filter pattern: '' is not a regular expression",
		`%a% %b% %c%`:     "Invalid filter pattern: it has more than 2 regular expressions",
		`{}`:              "Invalid filter pattern: a selector that begins with '$' expected at position 2, found '}'",
		`{ $.a }`:         "Invalid filter pattern: an operator expected at position 7, found '}'",
		`{ $.a = }`:       "Invalid filter pattern: a value expected at position 9, found '}'",
		`{ $.a > "1" }`:   `Invalid character(s) in term '"1"'`,
		`{ $.a > b }`:     "Invalid character(s) in term 'b'",
		`{ $.a = 1`:       "Invalid filter pattern: '}' expected at position 10, found the end",
		`{ $.a = 1 } x`:   "Invalid filter pattern: the end expected at position 13, found 'x'",
		`{ ($.a = 1 }`:    "Invalid filter pattern: ')' expected at position 12, found '}'",
		`{ $.a[x] = 1 }`:  "Invalid filter pattern: an index expected at position 7, found 'x'",
		`{ $.a[1 = 1 }`:   "Invalid filter pattern: ']' expected at position 9, found '='",
		`{ $.a['x] = 1 }`: "Invalid filter pattern: the end of a member's name expected at position 16, found the end",
		`{ $.a IS 1 }`:    "Invalid filter pattern: NULL, TRUE or FALSE expected at position 10, found '1'",
		`{ $.a NOT x }`:   "Invalid filter pattern: EXISTS expected at position 11, found 'x'",
		`{ $ = 1 }`:       "Invalid filter pattern: '.' expected at position 4, found ' '",
		`{ $. = 1 }`:      "Invalid filter pattern: a member's name expected at position 5, found ' '",
		`{ $.a = 1 && }`:  "Invalid filter pattern: a selector that begins with '$' expected at position 14, found '}'",
		`{ $.a = %a% || $.b = %b% || $.c = %c% }`: "Invalid filter pattern: it has more than 2 regular expressions",
		`[`:                       "Invalid filter pattern: a field's name expected at position 2, found the end",
		`[]`:                      "Invalid filter pattern: it names no fields",
		`[a b]`:                   "Invalid filter pattern: an operator expected at position 4, found 'b'",
		`[a, ..., b, ...]`:        "Invalid filter pattern: it has more than one ellipsis",
		`[a] b`:                   "Invalid filter pattern: the end expected at position 5, found 'b'",
		strings.Repeat("x", 1025): "Filter pattern is longer than 1024 characters",
	} {
		_, err := Parse(text)
		if err == nil {
			t.Errorf("%s is accepted", text)
		} else if err.Error() != want {
			t.Errorf("%s is refused with %q, want %q", text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{`ERROR -"a b" ?c %x[0-9]+%`, `{ ($.a[0].b = "x*" || $.c != 1e3) && $.['d e'] NOT EXISTS && $.f[*] IS TRUE }`, `[a, b = 4*, ..., (c > 1 || c < 0)]`} {
		f.Add(text, trail)
		f.Add(text, access)
	}
	f.Fuzz(func(t *testing.T, text, message string) {
		p, err := Parse(text)
		if err != nil {
			if err.Error() == "" || p != nil {
				t.Error("refused without a text")
			}
			return
		}
		p.Match([]byte(message))
	})
}
