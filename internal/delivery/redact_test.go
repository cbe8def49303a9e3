package delivery

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// made is a token of the given beginning.
func made(begin string) string { return begin + strings.Repeat("aB3", 40) }

func TestCredentialsAreHidden(t *testing.T) {
	r := newRedactor([]string{"AQABCD"})
	r.always("0123456789abcdef")
	now := []string{"short", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "0123456789abcdefgh"}
	for text, want := range map[string]string{
		"nothing":                                       "nothing",
		"short and 0123456789abcde are words":           "short and 0123456789abcde are words",
		"x0123456789abcdefy":                            "x[hidden]y",
		"x0123456789abcdefghy":                          "x[hidden]y",
		"key=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY;": "key=[hidden];",
		"token " + made("AQABCD") + "== end":            "token [hidden] end",
		"?a=" + made("AQABCD") + "&b=1":                 "?a=[hidden]&b=1",
		"AQABCD is too short":                           "AQABCD is too short",
		"zzz" + made("AQABCD"):                          "zzz" + made("AQABCD"), // the middle of something else
		"Authorization: Bearer abc.def-ghi":             "Authorization: [hidden]",
		`{"Authorization": "AWS4-HMAC-SHA256 Credential=A/b, Signature=0f"}`:  `{"Authorization": "[hidden]"}`,
		"sends Bearer abcdefghijklmnop to it":                                 "sends Bearer [hidden] to it",
		"the bearer of good news":                                             "the bearer of good news",
		"sc://h:443/;use_ssl=true;x-aws-proxy-auth=AAAA-bb_c":                 "sc://h:443/;use_ssl=true;x-aws-proxy-auth=[hidden]",
		"('x-aws-proxy-auth', 'AAAA')":                                        "('x-aws-proxy-auth', '[hidden]')",
		"x-glaux-session-secret: 12":                                          "x-glaux-session-secret: [hidden]",
		"GET /?X-Amz-Security-Token=IQ%2Fx&X-Amz-Signature=00ff&x=1":          "GET /?X-Amz-Security-Token=[hidden]&X-Amz-Signature=[hidden]&x=1",
		"AWS_SECRET_ACCESS_KEY=abc AWS_SESSION_TOKEN=def A=b":                 "AWS_SECRET_ACCESS_KEY=[hidden] AWS_SESSION_TOKEN=[hidden] A=b",
		`"SecretAccessKey":"abc","Token":"t"`:                                 `"SecretAccessKey":"[hidden]","Token":"[hidden]"`,
		"aws_secret_access_key='abc', region='r'":                             "aws_secret_access_key='[hidden]', region='r'",
		"fs.s3a.secret.key=abc, spark.authenticate.secret -> x":               "fs.s3a.secret.key=[hidden], spark.authenticate.secret -> x",
		"spark.authenticate.secret=x":                                         "spark.authenticate.secret=[hidden]",
		"GLAUX_UI_SECRET=x and AWS_CONTAINER_AUTHORIZATION_TOKEN=y":           "GLAUX_UI_SECRET=[hidden] and AWS_CONTAINER_AUTHORIZATION_TOKEN=[hidden]",
		"AWS4-HMAC-SHA256 Credential=AKIA/x, SignedHeaders=h, Signature=ff":   "AWS4-HMAC-SHA256 [hidden]",
		"the author's secret is a token of love":                              "the author's secret is a token of love",
		"GET https://k.host/_glaux/enter?ticket=AAAAbbbb-cccc_ddd&x HTTP":     "GET https://k.host/_glaux/enter?ticket=[hidden]&x HTTP",
		"Cookie: a=b; __Host-glaux-ui=abc.d; glaux-ui=e; c=d":                 "Cookie: a=b; __Host-glaux-ui=[hidden]; glaux-ui=[hidden]; c=d",
		"fs.s3a.bucket.my-b.secret.key=ab, fs.azure.account.key.x=cd":         "fs.s3a.bucket.my-b.secret.key=[hidden], fs.azure.account.key.x=[hidden]",
		"connect(secret_key='a,b;c', password = \"x y\")":                     "connect(secret_key='[hidden]', password = \"[hidden]\")",
		"s3a://KEY:SEC/RET+x@bucket/a:b@c and https://u:p@h:1/ but h://a:1/@": "s3a://KEY:[hidden]@bucket/a:b@c and https://u:[hidden]@h:1/ but h://a:1/@",
		"Password: hunter2, passwords are words":                              "Password: [hidden], passwords are words",
		`{"password":"","x":1,"a":"token=","tokenCount":5,"token":{"b":"c"}}`: `{"password":"","x":1,"a":"token=","tokenCount":5,"token":{"b":"c"}}`,
		`{"line":"{\"password\":\"p,q\",\"x\":1}"}`:                           `{"line":"{\"password\":\"[hidden]\",\"x\":1}"}`,
		"Token=" + made("AQABCD") + "&İİ PASSWORD=x":                          "Token=[hidden]&İİ PASSWORD=[hidden]",
		"secretsecret=a secret\tsecret = b":                                   "secretsecret=[hidden] secret\tsecret = [hidden]",
	} {
		if got := r.line(text, now); got != want {
			t.Errorf("%q became\n%q, want\n%q", text, got, want)
		}
	}
}

// TestWhatTheUIHidesIsHidden holds the names against the list of the UI.
func TestWhatTheUIHidesIsHidden(t *testing.T) {
	source, err := os.ReadFile("../../runtime/java/src/main/java/glaux/Pages.java")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(source), `REDACTED = "(?i)`)
	list, _, ok := strings.Cut(list, `|\\b(AKIA`)
	if !ok {
		t.Fatal("the UI's list is not where it was")
	}
	names := regexp.MustCompile(`"\s*\+\s*"`).ReplaceAllString(list, "")
	for name := range strings.SplitSeq(names, "|") {
		for _, between := range []string{"", ".", "_", "-"} {
			word := strings.NewReplacer("(or)?", "or", "[._-]?", between).Replace(name)
			text := "spark.my" + strings.ToUpper(word) + "s.x"
			if got := newRedactor(nil).line(text+"=value and "+text+": other", nil); got != text+"=[hidden] and "+text+": other" {
				t.Errorf("%s is not hidden: %s", word, got)
			}
		}
	}
}

func TestSecretsAreHiddenAcrossCuts(t *testing.T) {
	secret := "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	r := newRedactor(nil)
	record := func(kind byte, text string) string { return fmt.Sprintf("1764000000123 p%c %s\n", kind, text) }
	long := strings.Repeat("y", 256<<10-20)
	stream := record('L', "one "+secret) +
		record('P', long+secret[:20]) + record('L', secret[20:]+" two") +
		record('P', strings.Repeat("z", 10)+secret[:3]) + "1764000000124 jL between\n" + record('P', secret[3:9]) + record('L', secret[9:])
	for _, size := range []int{1, 7, 100, 32 << 10, len(stream)} {
		g := newGatherer(1000, func(s string) string { return r.line(s, []string{secret}) })
		for at := 0; at < len(stream); at += size {
			g.add([]byte(stream[at:min(at+size, len(stream))]))
		}
		g.finish()
		b := g.take()
		var all strings.Builder
		for _, l := range b.lines {
			all.WriteString(l.text)
		}
		got := all.String()
		if strings.Contains(got, secret[:12]) || strings.Contains(got, secret[20:]) || strings.Count(got, hiddenText) != 3 {
			t.Errorf("in pieces of %d: %d are hidden", size, strings.Count(got, hiddenText))
		}
		if b.from != 1000 || b.next != 1000+int64(len(stream)) || !strings.Contains(got, "between") {
			t.Errorf("in pieces of %d: the batch is from %d to %d", size, b.from, b.next)
		}
	}
}

func TestAPartOfALineIsReadAgainAfterARestart(t *testing.T) {
	g := newGatherer(0, func(s string) string { return s })
	whole := "1764000000123 pL one\n"
	g.add([]byte(whole + "1764000000123 pP " + strings.Repeat("x", holdBack+1) + "\n1764000000123 jL other\n17640000"))
	b := g.take()
	if len(b.lines) != 3 || b.next != int64(len(whole)) {
		t.Errorf("%d lines, to go on at %d, want it where the line began, %d", len(b.lines), b.next, len(whole))
	}
	g.restart()
	g.skip(g.at + 100)
	b = g.take()
	if len(b.lines) != 2 || !strings.HasPrefix(b.lines[1].text, "[100 bytes of the log were dropped") || b.next != g.at {
		t.Errorf("after a gap: %+v", b)
	}
	g.skip(g.at + 100)
	if b = g.take(); b.from != g.at {
		t.Errorf("what comes after a gap begins at %d, want %d, behind it", b.from, g.at)
	}
}

func TestTimesDoNotGoBack(t *testing.T) {
	g := newGatherer(0, func(s string) string { return s })
	g.add([]byte("1764000000500 jL a\n1764000000400 pL b\nnot a record\n"))
	b := g.take()
	if len(b.lines) != 3 || !b.lines[1].time.Equal(b.lines[0].time) || b.lines[2].text != "not a record" || time.Since(b.lines[2].time) > time.Minute {
		t.Errorf("lines are %+v", b.lines)
	}
}

// FuzzGatherer checks that lines do not depend on how a stream is cut into
// pieces, and that going on where a batch ends loses nothing.
func FuzzGatherer(f *testing.F) {
	f.Add([]byte("1764000000123 jL one\n1764000000123 pP par\n1764000000124 jL two\n1764000000125 pL t\nrest"), 3)
	f.Add([]byte("\n\n1 jL \n-1 xP\n"), 1)
	f.Fuzz(func(t *testing.T, stream []byte, size int) {
		size = max(1, size)
		gather := func(size int) (batch, int64) {
			g := newGatherer(0, func(s string) string { return s })
			for at := 0; at < len(stream); at += size {
				g.add(stream[at:min(at+size, len(stream))])
				if g.b.next > g.at || g.at > int64(len(stream)) {
					t.Fatalf("goes on at %d of %d", g.b.next, g.at)
				}
			}
			g.finish()
			return g.take(), g.at
		}
		whole, end := gather(len(stream) + 1)
		cut, cutEnd := gather(min(size, len(stream)+1))
		if end != int64(len(stream)) || end != cutEnd || whole.next != end || len(whole.lines) != len(cut.lines) {
			t.Fatalf("%d lines to %d, in pieces %d lines to %d", len(whole.lines), end, len(cut.lines), cutEnd)
		}
		for i := range whole.lines {
			if whole.lines[i].text != cut.lines[i].text {
				t.Fatalf("line %d is %q, in pieces %q", i, whole.lines[i].text, cut.lines[i].text)
			}
		}
	})
}

// FuzzRedactor checks that a line that has been through stays as it is, and
// that what is no credential is not touched.
func FuzzRedactor(f *testing.F) {
	f.Add("Authorization: Bearer abcdefghijklmnop, password=x")
	f.Add(`{"password":"s3://a:b@c","token=":"x"}`)
	r := newRedactor([]string{"AQABCD"})
	f.Fuzz(func(t *testing.T, text string) {
		got := r.line(text, nil)
		at := 0
		for i, part := range strings.Split(got, hiddenText) {
			n := strings.Index(text[at:], part)
			if n < 0 || i == 0 && n > 0 {
				t.Fatalf("%q became %q", text, got)
			}
			at += n + len(part)
		}
	})
}

func BenchmarkRedactor(b *testing.B) {
	now := []string{"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "0123456789abcdefgh"}
	for name, line := range map[string]string{
		"plain":   "25/11/25 14:00:00 WARN TaskSetManager: Lost task 0.0 in stage 1.0 (TID 1) (127.0.0.1 executor driver): java.lang.RuntimeException",
		"words":   strings.Repeat("token secret authorization ", 40<<10),
		"one":     strings.Repeat("secret", 200<<10),
		"matches": strings.Repeat("token=a password='b' ", 50<<10),
		"tokens":  strings.Repeat(made("AQABCD")+" ", 8<<10),
		"urls":    strings.Repeat("s3://:", 200<<10),
	} {
		b.Run(name, func(b *testing.B) {
			r := newRedactor([]string{"AQABCD"})
			b.SetBytes(int64(len(line)))
			for b.Loop() {
				r.line(line, now)
			}
		})
	}
}
