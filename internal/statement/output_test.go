package statement_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"glaux/internal/engine"
	"glaux/internal/engine/enginetest"
	"glaux/internal/session"
	"glaux/internal/statement"
)

// display is a line of displays.
func display(of map[string]any) string {
	b, err := json.Marshal(of)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestOutputIsComposed(t *testing.T) {
	text := func(s string) string { return display(map[string]any{"text/plain": s}) }
	const awkward = "ä☃😀 \"quoted\" \\ back\tslash\x01 <b>&"
	for name, c := range map[string]struct {
		script enginetest.Script
		text   string
		errors string // what is standard error in it
		mime   string
		result string
		stdout string // beside the result
	}{
		"nothing":              {},
		"value":                {script: enginetest.Script{Displays: []string{text("2")}}, text: "2"},
		"order":                {script: enginetest.Script{Stdout: "out\n", Displays: []string{text("value")}, Stderr: "err\n"}, text: "out\nvalue\nerr", errors: "err"},
		"value on its own":     {script: enginetest.Script{Stdout: "no newline", Displays: []string{text("value")}}, text: "no newline\nvalue"},
		"errors as they come":  {script: enginetest.Script{Stdout: "a", Stderr: "b"}, text: "ab", errors: "b"},
		"white space":          {script: enginetest.Script{Stdout: "\n  a  \n\n \t\r\n"}, text: "\n  a"},
		"only white space":     {script: enginetest.Script{Stdout: " \n "}},
		"more white space":     {script: enginetest.Script{Stdout: "a" + strings.Repeat("\n", 5000)}, text: "a"},
		"values":               {script: enginetest.Script{Displays: []string{text("a\nb"), text(""), text("c")}}, text: "a\nb\nc"},
		"awkward":              {script: enginetest.Script{Stdout: awkward + "\n", Displays: []string{text(awkward)}}, text: awkward + "\n" + awkward},
		"escapes":              {script: enginetest.Script{Displays: []string{`{"text/plain":"\u00e4\u2603\ud83d\ude00\ud83d!\/\b\f\r\n."}`}}, text: "ä☃😀\uFFFD!/\b\f\r\n."},
		"no UTF-8":             {script: enginetest.Script{Stdout: "a\xffb", Stderr: "\xfec"}, text: "a\uFFFDb\uFFFDc", errors: "\uFFFDc"},
		"image":                {script: enginetest.Script{Stdout: "out\n", Displays: []string{`{"image/png":"aGk=","text/plain":""}`}, Stderr: "err"}, text: "out\nerr", errors: "err", mime: "image/png", result: "aGk=", stdout: "out\n"},
		"shown once":           {script: enginetest.Script{Stdout: "out\n", Displays: []string{text("a"), `{"text/plain":"[1]","application/json":"[1]"}`, text("b")}, Stderr: "err"}, text: "out\na\n[1]\nb\nerr", errors: "err", mime: "application/json", result: "[1]", stdout: "out\na\nb\n"},
		"image first":          {script: enginetest.Script{Displays: []string{`{"text/html":"<b>","image/png":"aGk=","application/json":{"a":[1,"}"]}}`}}, mime: "image/png", result: "aGk="},
		"the last of equals":   {script: enginetest.Script{Displays: []string{`{"image/png":"YQ=="}`, `{"image/png":"Yg=="}`}}, mime: "image/png", result: "Yg=="},
		"JSON":                 {script: enginetest.Script{Displays: []string{`{"application/json": {"a": [1, "}\"", null]} , "text/plain":"x"}`}}, text: "x", mime: "application/json", result: `{"a": [1, "}\"", null]}`},
		"JSON that is a word":  {script: enginetest.Script{Displays: []string{`{"application/json":true}`, `{}`}}, mime: "application/json", result: "true"},
		"unknown type":         {script: enginetest.Script{Displays: []string{`{"application/vnd.x+json":"[]","text/plain":"shown"}`}}, text: "shown", mime: "application/vnd.x+json", result: "[]"},
		"as long as may be":    {script: enginetest.Script{Stdout: strings.Repeat("x", 1000) + "\n"}, text: strings.Repeat("x", 1000)},
		"a value of that size": {script: enginetest.Script{Displays: []string{text(strings.Repeat("é", 500))}}, text: strings.Repeat("é", 500)},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.machine.OnCell = func(engine.Key, engine.Cell) enginetest.Script { return c.script }
				s := w.serve(t)
				made := s.ready(t)
				s.start(t, made.ID, "x")
				synctest.Wait()
				o := s.want(t, made.ID, 0, statement.Available).Output
				if o.Text != c.text || o.MimeType != c.mime || o.Result != c.result {
					t.Errorf("got text %q, %s %q", o.Text, o.MimeType, o.Result)
				}
				if got := o.Text[o.ErrorsFrom:]; got != c.errors {
					t.Errorf("standard error is %q, want %q", got, c.errors)
				}
				if got, _ := o.Streams(); o.MimeType != "" && c.stdout != "" && got != c.stdout {
					t.Errorf("standard output is %q, want %q", got, c.stdout)
				}
				if len(w.objects.all) != 0 {
					t.Errorf("objects were written: %v", w.objects.all)
				}
			})
		})
	}
}

func TestLargeResultIsCutAndKept(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		script := enginetest.Script{
			Stdout:   strings.Repeat("é", 400),
			Displays: []string{display(map[string]any{"text/plain": strings.Repeat("☃", 300)})},
			Stderr:   "careful\n",
		}
		w.machine.OnCell = func(engine.Key, engine.Cell) enginetest.Script { return script }
		s := w.serve(t)
		made := s.ready(t)
		at := made.WorkingDir + "/statement-0/output.txt"
		s.start(t, made.ID, "x")
		synctest.Wait()
		whole := script.Stdout + "\n" + strings.Repeat("☃", 300) + "\n" + script.Stderr
		mark := fmt.Sprintf("\n[glaux: the output was cut after 1000 of its %d bytes; the whole is %s]", len(whole), at)
		o := s.want(t, made.ID, 0, statement.Available).Output
		if want := whole[:999] + mark; o.Text != want { // 1000 is within a character
			t.Errorf("text %q, want %q", o.Text, want)
		}
		if got := w.objects.all[at]; got != whole {
			t.Errorf("the object has %q", got)
		}
		if o.Status != "ok" {
			t.Errorf("status %s", o.Status)
		}
	})
}

func TestLargeImageIsKept(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		line := `{"image/png":"` + strings.Repeat("A", 2000) + `","text/plain":"figure"}`
		w.machine.OnCell = func(engine.Key, engine.Cell) enginetest.Script { return enginetest.Script{Displays: []string{line}} }
		s := w.serve(t)
		made := s.ready(t)
		at := made.WorkingDir + "/statement-0/displays.json"
		s.start(t, made.ID, "x")
		synctest.Wait()
		o := s.want(t, made.ID, 0, statement.Available).Output
		if want := "figure\n[glaux: the result of type image/png has 2000 bytes, more than the 1000 of an answer; the whole is " + at + "]"; o.Text != want {
			t.Errorf("text %q", o.Text)
		}
		if o.MimeType != "" || w.objects.all[at] != line+"\n" {
			t.Errorf("type %q, object %q", o.MimeType, w.objects.all[at])
		}
	})
}

func TestLargeResultThatCannotBeKept(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made := s.ready(t)
		at := made.WorkingDir + "/statement-%d/output.txt"
		w.objects.why = "the bucket does not exist"
		s.start(t, made.ID, "fill 2000")
		synctest.Wait()
		want := strings.Repeat("x", 1000) + "\n[glaux: the output was cut after 1000 of its 2000 bytes; the whole could not be written to " + fmt.Sprintf(at, 0) + ": the bucket does not exist]"
		if o := s.want(t, made.ID, 0, statement.Available).Output; o.Text != want || o.Status != "ok" {
			t.Errorf("text %q", o.Text)
		}
		w.objects.mu.Lock()
		w.objects.why, w.objects.down = "", true
		w.objects.mu.Unlock()
		s.start(t, made.ID, "fill 2000")
		sleep(10 * time.Second)
		s.want(t, made.ID, 1, statement.Running) // it may come back
		sleep(time.Minute)
		if o := s.want(t, made.ID, 1, statement.Available).Output; !strings.HasSuffix(o.Text, fmt.Sprintf(at, 1)+": the object store did not take it]") {
			t.Errorf("text %q", o.Text)
		}
		s.wantSession(t, made.ID, session.Idle)
	})
}

func TestDriverThatDiesBeforeItsOutputIsRead(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		made := s.ready(t)
		s.start(t, made.ID, "out a\nsleep 1s")
		sleep(2 * time.Second)
		s.want(t, made.ID, 0, statement.Available)
		w.machine.Crash(made.Key, engine.Exit{Code: 1, Process: "java"})
		sleep(time.Minute)
		if got := s.row(t, made.Key, 0, statement.Available).Output.Text; got != "a" {
			t.Errorf("text %q", got)
		}
	})
}
