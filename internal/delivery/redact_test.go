package delivery

import (
	"fmt"
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
		`{"Authorization": "AWS4-HMAC-SHA256 Credential=A/b, Signature=0f"}`: `{"Authorization": "[hidden]"}`,
		"sends Bearer abcdefghijklmnop to it":                                "sends Bearer [hidden] to it",
		"the bearer of good news":                                            "the bearer of good news",
		"sc://h:443/;use_ssl=true;x-aws-proxy-auth=AAAA-bb_c":                "sc://h:443/;use_ssl=true;x-aws-proxy-auth=[hidden]",
		"('x-aws-proxy-auth', 'AAAA')":                                       "('x-aws-proxy-auth', '[hidden]')",
		"x-glaux-session-secret: 12":                                         "x-glaux-session-secret: [hidden]",
		"GET /?X-Amz-Security-Token=IQ%2Fx&X-Amz-Signature=00ff&x=1":         "GET /?X-Amz-Security-Token=[hidden]&X-Amz-Signature=[hidden]&x=1",
		"AWS_SECRET_ACCESS_KEY=abc AWS_SESSION_TOKEN=def A=b":                "AWS_SECRET_ACCESS_KEY=[hidden] AWS_SESSION_TOKEN=[hidden] A=b",
		`"SecretAccessKey":"abc","Token":"t"`:                                `"SecretAccessKey":"[hidden]","Token":"t"`,
		"aws_secret_access_key='abc', region='r'":                            "aws_secret_access_key='[hidden]', region='r'",
		"fs.s3a.secret.key=abc, spark.authenticate.secret -> x":              "fs.s3a.secret.key=[hidden], spark.authenticate.secret -> x",
		"spark.authenticate.secret=x":                                        "spark.authenticate.secret=[hidden]",
		"GLAUX_UI_SECRET=x and AWS_CONTAINER_AUTHORIZATION_TOKEN=y":          "GLAUX_UI_SECRET=[hidden] and AWS_CONTAINER_AUTHORIZATION_TOKEN=[hidden]",
		"AWS4-HMAC-SHA256 Credential=AKIA/x, SignedHeaders=h, Signature=ff":  "AWS4-HMAC-SHA256 [hidden]",
		"the author's secret is a token of love":                             "the author's secret is a token of love",
	} {
		if got := r.line(text, now); got != want {
			t.Errorf("%q became\n%q, want\n%q", text, got, want)
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

func BenchmarkRedactor(b *testing.B) {
	r := newRedactor([]string{"AQABCD"})
	now := []string{"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "0123456789abcdefgh"}
	line := "25/11/25 14:00:00 WARN TaskSetManager: Lost task 0.0 in stage 1.0 (TID 1) (127.0.0.1 executor driver): java.lang.RuntimeException"
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		r.line(line, now)
	}
}
