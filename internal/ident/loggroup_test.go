package ident

import "testing"

func TestLogGroupARNs(t *testing.T) {
	t.Parallel()
	h := Home{Partition: "aws", Region: "us-east-1", Account: "000000000000"}
	arn := h.LogGroup("/a/b")
	if arn != "arn:aws:logs:us-east-1:000000000000:log-group:/a/b" || h.LogStream("/a/b", "s") != arn+":log-stream:s" {
		t.Errorf("%s, %s", arn, h.LogStream("/a/b", "s"))
	}
	for text, want := range map[string]string{
		arn: "/a/b", arn + ":*": "/a/b", arn + ":log-stream:s": "", h.LogGroup(""): "", "/a/b": "",
		"arn:aws:logs:eu-west-1:000000000000:log-group:/a/b": "", "arn:aws:logs:us-east-1:000000000000:destination:x": "",
	} {
		if name, ok := h.ParseLogGroup(text); ok != (want != "") || ok && name != want {
			t.Errorf("%s is %q, %v", text, name, ok)
		}
	}
}
