package ident

import "testing"

func TestParseUndoesWhatMadeTheARN(t *testing.T) {
	t.Parallel()
	h := Home{Partition: "aws", Region: "us-east-1", Account: "000000000000"}
	for arn, want := range map[string]Resource{
		h.Workgroup("spark"):        {Workgroup: "spark"},
		h.Session("spark", "s1"):    {Workgroup: "spark", Session: "s1"},
		h.Catalog("AwsDataCatalog"): {Catalog: "AwsDataCatalog"},
	} {
		if got, ok := h.Parse(arn); !ok || got != want {
			t.Errorf("%s: got %+v, %v; want %+v", arn, got, ok, want)
		}
	}
	for _, arn := range []string{
		"", "arn:aws:athena:us-east-1:000000000000:", "arn:aws:athena:us-east-1:000000000000:workgroup",
		"arn:aws:athena:us-east-1:000000000000:workgroup/", "arn:aws:athena:us-east-1:000000000000:session/x",
		"arn:aws:athena:us-east-1:000000000000:workgroup/a/b", "arn:aws:athena:us-east-1:000000000000:workgroup/a/session/",
		"arn:aws:athena:us-east-1:000000000000:workgroup/a/session/b/c", "arn:aws:athena:eu-west-1:000000000000:workgroup/a",
		"arn:aws:athena:us-east-1:000000000001:workgroup/a", "arn:aws:glue:us-east-1:000000000000:workgroup/a",
		"arn:aws:athena:us-east-1:000000000000:datacatalog/a/b", "arn:aws:athena:us-east-1:000000000000:workgroup/a/session/b/calculation/c/d/e",
	} {
		if got, ok := h.Parse(arn); ok {
			t.Errorf("%q: got %+v, want a refusal", arn, got)
		}
	}
}

func TestGlueARNsReadBack(t *testing.T) {
	home := Home{Partition: "aws", Region: "us-east-1", Account: "000000000000"}
	for _, id := range []string{"a", "a b/c:d", "é/"} {
		kind, name, ok := home.ParseGlue(home.GlueSession(id))
		if !ok || kind != "session" || name != id {
			t.Errorf("ParseGlue(GlueSession(%q)) = %q, %q, %v", id, kind, name, ok)
		}
	}
	for _, arn := range []string{"", "arn:aws:glue:us-east-1:000000000000:session/", "arn:aws:glue:us-east-1:111111111111:session/a", "arn:aws:athena:us-east-1:000000000000:session/a"} {
		if _, _, ok := home.ParseGlue(arn); ok {
			t.Errorf("ParseGlue(%q) succeeded", arn)
		}
	}
}
