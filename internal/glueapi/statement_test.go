package glueapi_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"glaux/internal/access"
	"glaux/internal/awsapi"
	"glaux/internal/cell"
	"glaux/internal/engine"
	"glaux/internal/engine/enginetest"
	"glaux/internal/glueapi"
	"glaux/internal/ident"
	"glaux/internal/session"
	"glaux/internal/statement"
	"glaux/internal/store/storetest"
	"glaux/internal/workgroup"
)

// statements is the table of operations over statements with a fake engine,
// and a session.
type statements struct {
	dispatcher *awsapi.JSON
	machine    *enginetest.Fake
	sessions   *session.Manager
	made       session.Session
}

type forgetful struct{}

func (forgetful) Put(_ context.Context, o cell.Object) error {
	_, err := io.Copy(io.Discard, o.Body)
	return err
}

type everybody struct{}

var nobody = access.Caller{Account: "000000000000", UserID: "000000000000", ARN: "arn:aws:iam::000000000000:root"}

func (everybody) Authenticate(*http.Request, []byte, string) (access.Caller, error) {
	return nobody, nil
}

func (everybody) Decide(context.Context, access.Caller, string, string) error { return nil }

// withStatements runs a test against the operations, on a fake clock.
func withStatements(t *testing.T, f func(t *testing.T, w *statements)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		home := ident.Home{Partition: "aws", Region: "us-east-1", Account: "000000000000"}
		store, log, pages := storetest.NewMemory(), slog.New(slog.DiscardHandler), ident.NewPages([]byte("0123456789abcdef"))
		must(workgroup.CreateDefaults(t.Context(), store, workgroup.Defaults(home.Account, "s3://results", home.Role("r"))))
		epoch, err := store.NextEpoch(t.Context())
		must(err)
		w := &statements{machine: &enginetest.Fake{}}
		w.sessions, err = session.New(session.Config{
			Home: home, Store: store, Workgroups: workgroup.New(store, everybody{}, home, pages), Access: everybody{},
			Launcher: w.machine, Log: log, Epoch: epoch, AgentToken: func(k session.Key) string { return string(k) },
		})
		must(err)
		all, err := statement.New(statement.Config{Home: home, Store: store, Sessions: w.sessions, Objects: forgetful{}, Log: log})
		must(err)
		w.sessions.Attach(all)
		rows, err := (&glueapi.API{Home: home, Pages: pages, Statements: all}).Operations()
		must(err)
		w.dispatcher, err = awsapi.NewJSON(rows, awsapi.Options{Authenticator: everybody{}, Log: log})
		must(err)
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { _ = w.sessions.Run(ctx) })
		running.Go(func() { _ = all.Run(ctx) })
		t.Cleanup(func() { cancel(); running.Wait() })
		w.made, err = w.sessions.StartGlue(t.Context(), nobody, session.GlueRequest{ID: "statements", Role: home.Role("r"), Command: "glueetl"})
		must(err)
		synctest.Wait()
		f(t, w)
	})
}

// call sends one request about the session; the body may hold SESSION.
func (w *statements) call(t *testing.T, operation, body string) (int, string) {
	t.Helper()
	body = strings.ReplaceAll(body, "SESSION", w.made.ID)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AWSGlue."+operation)
	rec := httptest.NewRecorder()
	w.dispatcher.ServeHTTP(rec, r)
	return rec.Code, strings.ReplaceAll(rec.Body.String(), w.made.ID, "SESSION")
}

func (w *statements) want(t *testing.T, operation, body, answer string) {
	t.Helper()
	if _, got := w.call(t, operation, body); got != answer {
		t.Errorf("%s %s:\n got %s\nwant %s", operation, body, got, answer)
	}
}

func TestStatementsOnTheWire(t *testing.T) {
	withStatements(t, func(t *testing.T, w *statements) {
		// 2000-01-01 is 946684800 s.
		w.want(t, "RunStatement", `{"SessionId":"SESSION","Code":"out hi\nsleep 2s","RequestOrigin":"x"}`, `{"Id":0}`)
		w.want(t, "RunStatement", `{"SessionId":"SESSION","Code":"raise E x"}`, `{"Id":1}`)
		w.want(t, "RunStatement", `{"SessionId":"SESSION","Code":"out z"}`, `{"Id":2}`)
		synctest.Wait()
		w.want(t, "GetStatement", `{"SessionId":"SESSION","Id":0}`,
			`{"Statement":{"Id":0,"Code":"out hi\nsleep 2s","State":"RUNNING","Progress":0,"StartedOn":946684800000}}`)
		w.want(t, "GetStatement", `{"SessionId":"SESSION","Id":1}`,
			`{"Statement":{"Id":1,"Code":"raise E x","State":"WAITING","Progress":0}}`)
		w.want(t, "CancelStatement", `{"SessionId":"SESSION","Id":2}`, `{}`)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		const all = `{"Id":0,"Code":"out hi\nsleep 2s","State":"AVAILABLE","Output":{"Data":{"TextPlain":"hi"},"ExecutionCount":0,"Status":"ok"},"Progress":1,"StartedOn":946684800000,"CompletedOn":946684802000},` +
			`{"Id":1,"Code":"raise E x","State":"AVAILABLE","Output":{"Data":{"TextPlain":"  File \"<stdin>\", line 1, in <module>\nE: x"},"ExecutionCount":1,"Status":"error","ErrorName":"E","ErrorValue":"x","Traceback":["  File \"<stdin>\", line 1, in <module>\n","E: x\n"]},"Progress":1,"StartedOn":946684802000,"CompletedOn":946684802000},` +
			`{"Id":2,"Code":"out z","State":"CANCELLED","Output":{},"Progress":0,"CompletedOn":946684800000}`
		w.want(t, "ListStatements", `{"SessionId":"SESSION"}`, `{"Statements":[`+all+`]}`)
	})
}

func TestImageOnTheWire(t *testing.T) {
	withStatements(t, func(t *testing.T, w *statements) {
		w.machine.OnCell = func(engine.Key, engine.Cell) enginetest.Script {
			return enginetest.Script{Stdout: "out\n", Stderr: "err\n", Displays: []string{`{"image/png":"aGk=","text/plain":""}`}}
		}
		w.want(t, "RunStatement", `{"SessionId":"SESSION","Code":"%matplot plt"}`, `{"Id":0}`)
		synctest.Wait()
		w.want(t, "GetStatement", `{"SessionId":"SESSION","Id":0}`,
			`{"Statement":{"Id":0,"Code":"%matplot plt","State":"AVAILABLE","Output":{"Data":{"TextPlain":"out\nerr","MimeType":"image/png","Result":"aGk=","StdOut":"out\n","StdErr":"err"},"ExecutionCount":0,"Status":"ok"},"Progress":1,"StartedOn":946684800000,"CompletedOn":946684800000}}`)
	})
}

func TestStatementErrors(t *testing.T) {
	withStatements(t, func(t *testing.T, w *statements) {
		refused := func(operation, body, exception, message string) {
			t.Helper()
			status, got := w.call(t, operation, body)
			var e struct {
				Type    string `json:"__type"`
				Message string
			}
			if err := json.Unmarshal([]byte(got), &e); err != nil || status != http.StatusBadRequest || e.Type != exception || !strings.Contains(e.Message, message) {
				t.Errorf("%s %s: %d %s", operation, body, status, got)
			}
		}
		for _, operation := range []string{"GetStatement", "CancelStatement"} {
			refused(operation, `{"SessionId":"SESSION","Id":7}`, "EntityNotFoundException", "Statement 7 of session SESSION not found.")
			refused(operation, `{"SessionId":"SESSION","Id":-1}`, "EntityNotFoundException", "")
			refused(operation, `{"SessionId":"SESSION"}`, "ValidationException", "")
			refused(operation, `{"SessionId":"nobody","Id":0}`, "EntityNotFoundException", "Session nobody not found.")
		}
		refused("RunStatement", `{"SessionId":"nobody","Code":""}`, "EntityNotFoundException", "Session nobody not found.")
		refused("ListStatements", `{"SessionId":"nobody"}`, "EntityNotFoundException", "Session nobody not found.")
		refused("ListStatements", `{"SessionId":"SESSION","NextToken":"x"}`, "InvalidInputException", "The NextToken is not valid.")
		refused("RunStatement", `{"SessionId":"SESSION","Code":"`+strings.Repeat("x", 68001)+`"}`, "ValidationException", "68000")
		if status, got := w.call(t, "RunStatement", `{"SessionId":"SESSION","Code":"#`+strings.Repeat("é", 67999)+`"}`); status != http.StatusOK {
			t.Errorf("the longest code: %d %s", status, got)
		}
		synctest.Wait()
		w.machine.Crash(w.made.Key, engine.Exit{Code: 1, Process: "java"})
		time.Sleep(time.Minute)
		synctest.Wait()
		refused("RunStatement", `{"SessionId":"SESSION","Code":"x"}`, "InvalidInputException", "Session is not ready, session_id=SESSION, status=FAILED")
		refused("GetStatement", `{"SessionId":"SESSION","Id":0}`, "IllegalSessionStateException", "Session unavailable, fail to call ReplServer.")
		refused("ListStatements", `{"SessionId":"SESSION"}`, "IllegalSessionStateException", "Session unavailable, fail to call ReplServer.")
		refused("CancelStatement", `{"SessionId":"SESSION","Id":0}`, "IllegalSessionStateException", "Session unavailable, fail to call ReplServer.")
	})
}
