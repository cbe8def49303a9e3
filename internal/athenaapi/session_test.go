package athenaapi_test

import (
	"context"
	"encoding/json"
	"errors"
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
	"glaux/internal/athenaapi"
	"glaux/internal/awsapi"
	"glaux/internal/calc"
	"glaux/internal/cell"
	"glaux/internal/engine"
	"glaux/internal/engine/enginetest"
	"glaux/internal/ident"
	"glaux/internal/session"
	"glaux/internal/store/storetest"
	"glaux/internal/workgroup"
)

var (
	home = ident.Home{Partition: "aws", Region: "us-east-1", Account: "000000000000"}
	root = access.Caller{Account: home.Account, UserID: home.Account, ARN: "arn:aws:iam::000000000000:root"}
)

type yes struct{}

func (yes) Authenticate(*http.Request, []byte, string) (access.Caller, error) { return root, nil }

func (yes) Decide(context.Context, access.Caller, string, string) error { return nil }

// sink is an object store that forgets.
type sink struct{}

func (sink) Put(_ context.Context, o cell.Object) error {
	_, err := io.Copy(io.Discard, o.Body)
	return err
}
func (sink) Get(context.Context, string, int64) (io.ReadCloser, error) {
	return nil, errors.New("nothing is kept")
}

// wire is the operation table over managers with a fake engine.
type wire struct {
	dispatcher *awsapi.JSON
	machine    *enginetest.Fake
}

// bubble runs a test against the operations, on a fake clock.
func bubble(t *testing.T, f func(t *testing.T, w *wire)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { f(t, newWire(t)) })
}

func newWire(t *testing.T) *wire {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	w := &wire{machine: &enginetest.Fake{}}
	store := storetest.NewMemory()
	must(workgroup.CreateDefaults(t.Context(), store, workgroup.Defaults(home.Account, "s3://results", home.Role("r"))))
	epoch, err := store.NextEpoch(t.Context())
	must(err)
	log := slog.New(slog.DiscardHandler)
	pages := ident.NewPages([]byte("0123456789abcdef"))
	groups := workgroup.New(store, yes{}, home, pages)
	sessions, err := session.New(session.Config{
		Home: home, Store: store, Workgroups: groups, Access: yes{}, Launcher: w.machine, Log: log, Epoch: epoch,
		AgentToken: func(k session.Key) string { return string(k) },
	})
	must(err)
	calcs, err := calc.New(calc.Config{Home: home, Store: store, Sessions: sessions, Access: yes{}, Objects: sink{}, Log: log})
	must(err)
	sessions.Attach(calcs)
	api := &athenaapi.API{Home: home, Pages: pages, Workgroups: groups, Sessions: sessions, Calcs: calcs}
	rows, err := api.Operations()
	must(err)
	w.dispatcher, err = awsapi.NewJSON(rows, awsapi.Options{Authenticator: yes{}, Log: log})
	must(err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = sessions.Run(ctx) })
	running.Go(func() { _ = calcs.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return w
}

// reply is a decoded response; paths go through it as a.b.0.c.
type reply map[string]any

func (r reply) at(path string) any {
	var v any = map[string]any(r)
	for part := range strings.SplitSeq(path, ".") {
		switch in := v.(type) {
		case map[string]any:
			v = in[part]
		case []any:
			v = in[part[0]-'0']
		default:
			return nil
		}
	}
	return v
}

func (r reply) text(path string) string { s, _ := r.at(path).(string); return s }

// try sends one request and returns status and reply.
func (w *wire) try(t *testing.T, operation, body string) (int, reply) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonAthena."+operation)
	rec := httptest.NewRecorder()
	w.dispatcher.ServeHTTP(rec, r)
	out := reply{}
	if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil {
		t.Fatalf("%s answered %s: %v", operation, rec.Body, err)
	}
	return rec.Code, out
}

func (w *wire) call(t *testing.T, operation, body string) reply {
	t.Helper()
	status, r := w.try(t, operation, body)
	if status != http.StatusOK {
		t.Fatalf("%s %s: %d %v", operation, body, status, r)
	}
	return r
}

// refused wants an InvalidRequestException whose message contains the text.
func (w *wire) refused(t *testing.T, operation, body, want string) {
	t.Helper()
	status, r := w.try(t, operation, body)
	if status != http.StatusBadRequest || r.text("__type") != "InvalidRequestException" || !strings.Contains(r.text("Message"), want) {
		t.Errorf("%s %s: got %d %v, want %q", operation, body, status, r, want)
	}
}

func TestSessionOnTheWire(t *testing.T) {
	bubble(t, func(t *testing.T, w *wire) {
		r := w.call(t, "StartSession", `{"WorkGroup":"spark","Description":"d","EngineConfiguration":{"CoordinatorDpuSize":1,"MaxConcurrentDpus":2,"DefaultExecutorDpuSize":1},"SessionIdleTimeoutInMinutes":7}`)
		id := r.text("SessionId")
		if len(r) != 2 || len(id) != 36 || r.text("State") != "CREATING" {
			t.Fatalf("StartSession: %v", r)
		}
		synctest.Wait()
		time.Sleep(1234567 * time.Microsecond)
		r = w.call(t, "GetSession", `{"SessionId":"`+id+`"}`)
		for path, want := range map[string]any{
			"SessionId": id, "Description": "d", "WorkGroup": "spark", "EngineVersion": "PySpark engine version 3",
			"EngineConfiguration.MaxConcurrentDpus": 2.0, "EngineConfiguration.CoordinatorDpuSize": 1.0,
			"SessionConfiguration.ExecutionRole":               home.Role("r"),
			"SessionConfiguration.SessionIdleTimeoutInMinutes": 7.0, "SessionConfiguration.IdleTimeoutSeconds": 420.0,
			"SessionConfiguration.WorkingDirectory": "s3://results/spark/" + id,
			"Status.State":                          "IDLE", "Status.StateChangeReason": nil, "Status.EndDateTime": nil,
			"Statistics.DpuExecutionInMillis": 1234.0,
		} {
			if got := r.at(path); got != want {
				t.Errorf("GetSession: %s is %v, want %v", path, got, want)
			}
		}
		if r.at("Status.IdleSinceDateTime") == nil || r.at("Status.StartDateTime") == nil || r.at("Status.LastModifiedDateTime") == nil {
			t.Errorf("GetSession: status %v", r["Status"])
		}
		r = w.call(t, "GetSessionStatus", `{"SessionId":"`+id+`"}`)
		if len(r) != 2 || r.text("Status.State") != "IDLE" {
			t.Errorf("GetSessionStatus: %v", r)
		}
		r = w.call(t, "ListSessions", `{"WorkGroup":"spark"}`)
		if r.text("Sessions.0.SessionId") != id || r.text("Sessions.0.EngineVersion.EffectiveEngineVersion") != "PySpark engine version 3" || r["NextToken"] != nil {
			t.Errorf("ListSessions: %v", r)
		}
		r = w.call(t, "ListExecutors", `{"SessionId":"`+id+`"}`)
		if r.text("SessionId") != id || r.text("ExecutorsSummary.0.ExecutorType") != "COORDINATOR" ||
			r.text("ExecutorsSummary.0.ExecutorState") != "REGISTERED" || r.at("ExecutorsSummary.0.ExecutorSize") != 1.0 ||
			r.at("ExecutorsSummary.0.StartDateTime") == nil || r.at("ExecutorsSummary.0.TerminationDateTime") != nil {
			t.Errorf("ListExecutors: %v", r)
		}
		if r := w.call(t, "TerminateSession", `{"SessionId":"`+id+`"}`); r.text("State") != "TERMINATING" {
			t.Errorf("TerminateSession: %v", r)
		}
		synctest.Wait()
		if r := w.call(t, "TerminateSession", `{"SessionId":"`+id+`"}`); r.text("State") != "TERMINATED" {
			t.Errorf("TerminateSession again: %v", r)
		}
		r = w.call(t, "GetSession", `{"SessionId":"`+id+`"}`)
		if r.at("Status.EndDateTime") == nil || r.at("Status.IdleSinceDateTime") != nil || r.text("Status.StateChangeReason") == "" {
			t.Errorf("GetSession after the end: %v", r["Status"])
		}
		r = w.call(t, "ListExecutors", `{"SessionId":"`+id+`","ExecutorStateFilter":"TERMINATED"}`)
		if r.at("ExecutorsSummary.0.TerminationDateTime") == nil {
			t.Errorf("ListExecutors after the end: %v", r)
		}
		r = w.call(t, "ListApplicationDPUSizes", `{}`)
		if r.text("ApplicationDPUSizes.0.ApplicationRuntimeId") != "Athena notebook version 1" || r.at("ApplicationDPUSizes.0.SupportedDPUSizes.0") != 1.0 {
			t.Errorf("ListApplicationDPUSizes: %v", r)
		}
	})
}

func TestCalculationOnTheWire(t *testing.T) {
	bubble(t, func(t *testing.T, w *wire) {
		id := w.call(t, "StartSession", `{"WorkGroup":"spark35","EngineConfiguration":{}}`).text("SessionId")
		synctest.Wait()
		r := w.call(t, "StartCalculationExecution", `{"SessionId":"`+id+`","CodeBlock":"sleep 2s","Description":"d"}`)
		c := r.text("CalculationExecutionId")
		if len(r) != 2 || len(c) != 36 || r.text("State") != "CREATING" {
			t.Fatalf("StartCalculationExecution: %v", r)
		}
		r = w.call(t, "GetCalculationExecutionStatus", `{"CalculationExecutionId":"`+c+`"}`)
		if len(r) != 2 || r.at("Statistics.DpuExecutionInMillis") != 0.0 || r.text("Statistics.Progress") != "0%" {
			t.Errorf("GetCalculationExecutionStatus at once: %v", r)
		}
		w.refused(t, "StartCalculationExecution", `{"SessionId":"`+id+`","CodeBlock":"1"}`, "Session is in the BUSY state; needs to be IDLE to accept Calculations.")
		time.Sleep(3 * time.Second)
		synctest.Wait()
		r = w.call(t, "GetCalculationExecution", `{"CalculationExecutionId":"`+c+`"}`)
		at := "s3://results/spark35/" + id + "/" + c
		for path, want := range map[string]any{
			"CalculationExecutionId": c, "SessionId": id, "Description": "d", "WorkingDirectory": at,
			"Status.State": "COMPLETED", "Status.StateChangeReason": nil,
			"Statistics.DpuExecutionInMillis": 2000.0, "Statistics.Progress": "100%",
			"Result.StdOutS3Uri": at + "/stdout", "Result.StdErrorS3Uri": at + "/stderr", "Result.ResultS3Uri": at + "/results",
			"Result.ResultType": "application/vnd.aws.athena.v1+json",
		} {
			if got := r.at(path); got != want {
				t.Errorf("GetCalculationExecution: %s is %v, want %v", path, got, want)
			}
		}
		if r := w.call(t, "GetCalculationExecutionCode", `{"CalculationExecutionId":"`+c+`"}`); r.text("CodeBlock") != "sleep 2s" {
			t.Errorf("GetCalculationExecutionCode: %v", r)
		}
		// The deprecated form; a stop; no result for what was cancelled.
		c = w.call(t, "StartCalculationExecution", `{"SessionId":"`+id+`","CalculationConfiguration":{"CodeBlock":"forever"}}`).text("CalculationExecutionId")
		time.Sleep(time.Second)
		if r := w.call(t, "StopCalculationExecution", `{"CalculationExecutionId":"`+c+`"}`); r.text("State") != "CANCELING" {
			t.Errorf("StopCalculationExecution: %v", r)
		}
		synctest.Wait()
		r = w.call(t, "GetCalculationExecution", `{"CalculationExecutionId":"`+c+`"}`)
		if r.text("Status.State") != "CANCELED" || r["Result"] != nil || r.text("Status.StateChangeReason") == "" {
			t.Errorf("GetCalculationExecution of a cancelled one: %v", r)
		}
		if r := w.call(t, "StopCalculationExecution", `{"CalculationExecutionId":"`+c+`"}`); r.text("State") != "CANCELED" {
			t.Errorf("StopCalculationExecution again: %v", r)
		}
		r = w.call(t, "ListCalculationExecutions", `{"SessionId":"`+id+`","StateFilter":"CANCELED"}`)
		if r.text("Calculations.0.CalculationExecutionId") != c || len(r["Calculations"].([]any)) != 1 {
			t.Errorf("ListCalculationExecutions: %v", r)
		}
	})
}

func TestPagesOnTheWire(t *testing.T) {
	bubble(t, func(t *testing.T, w *wire) {
		for range 5 {
			w.call(t, "StartSession", `{"WorkGroup":"spark","EngineConfiguration":{}}`)
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		seen := map[string]bool{}
		body := `{"WorkGroup":"spark","MaxResults":2}`
		pages := 0
		for body != "" {
			pages++
			r := w.call(t, "ListSessions", body)
			for _, s := range r["Sessions"].([]any) {
				seen[reply(s.(map[string]any)).text("SessionId")] = true
			}
			body = ""
			if token := r.text("NextToken"); token != "" {
				body = `{"WorkGroup":"spark","MaxResults":2,"NextToken":"` + token + `"}`
				w.refused(t, "ListSessions", `{"WorkGroup":"spark35","NextToken":"`+token+`"}`, "The nextPageToken is malformed: "+token)
				w.refused(t, "ListSessions", `{"WorkGroup":"spark","StateFilter":"IDLE","NextToken":"`+token+`"}`, "The nextPageToken is malformed: "+token)
			}
		}
		if len(seen) != 5 || pages != 3 {
			t.Errorf("%d sessions on %d pages", len(seen), pages)
		}
		id := ""
		for id = range seen {
			break
		}
		w.machine.SetExecutors(engine.Key(id), []engine.Executor{{ID: "2", Added: time.Now()}, {ID: "1", Added: time.Now()}, {ID: "driver", Added: time.Now().Add(-time.Second)}})
		synctest.Wait()
		var order []string
		body = `{"SessionId":"` + id + `","MaxResults":1}`
		for body != "" {
			r := w.call(t, "ListExecutors", body)
			order = append(order, r.text("ExecutorsSummary.0.ExecutorId"))
			body = ""
			if token := r.text("NextToken"); token != "" {
				body = `{"SessionId":"` + id + `","MaxResults":1,"NextToken":"` + token + `"}`
			}
		}
		if strings.Join(order, " ") != "2 1 driver" {
			t.Errorf("executors %v", order)
		}
	})
}

func TestRefusalsOnTheWire(t *testing.T) {
	bubble(t, func(t *testing.T, w *wire) {
		id := w.call(t, "StartSession", `{"WorkGroup":"spark","EngineConfiguration":{}}`).text("SessionId")
		synctest.Wait()
		for _, c := range [][3]string{
			{"StartSession", `{"WorkGroup":"spark"}`, "Value null at 'engineConfiguration' failed to satisfy constraint: Member must not be null"},
			{"StartSession", `{"WorkGroup":"spark","EngineConfiguration":{"CoordinatorDpuSize":2}}`, "less than or equal to 1"},
			{"StartSession", `{"WorkGroup":"spark","EngineConfiguration":{"MaxConcurrentDpus":1}}`, "greater than or equal to 2"},
			{"StartSession", `{"WorkGroup":"spark","EngineConfiguration":{"MaxConcurrentDpus":5001}}`, "less than or equal to 5000"},
			{"StartSession", `{"WorkGroup":"spark","EngineConfiguration":{},"SessionIdleTimeoutInMinutes":481}`, "less than or equal to 480"},
			{"StartSession", `{"WorkGroup":"spark","EngineConfiguration":{},"Description":""}`, "greater than or equal to 1"},
			{"StartSession", `{"WorkGroup":"spark","EngineConfiguration":{},"ClientRequestToken":"short"}`, "greater than or equal to 32"},
			{"StartSession", `{"WorkGroup":"nope","EngineConfiguration":{}}`, "WorkGroup is not found."},
			{"GetSession", `{"SessionId":"nope"}`, "Session nope is not found."},
			{"GetSessionStatus", `{"SessionId":"nope"}`, "Session nope is not found."},
			{"TerminateSession", `{"SessionId":"nope"}`, "Session nope is not found."},
			{"ListExecutors", `{"SessionId":"nope"}`, "Session nope is not found."},
			{"ListSessions", `{"WorkGroup":"spark","MaxResults":101}`, "less than or equal to 100"},
			{"ListSessions", `{"WorkGroup":"spark","NextToken":"x"}`, "The nextPageToken is malformed: x"},
			{"StartCalculationExecution", `{"SessionId":"` + id + `"}`, "Exactly one of CodeBlock and CalculationConfiguration.CodeBlock must be provided."},
			{"StartCalculationExecution", `{"SessionId":"` + id + `","CodeBlock":"1","CalculationConfiguration":{"CodeBlock":"1"}}`, "Exactly one of CodeBlock and CalculationConfiguration.CodeBlock must be provided."},
			{"StartCalculationExecution", `{"SessionId":"` + id + `","CodeBlock":"` + strings.Repeat("x", 68001) + `"}`, "less than or equal to 68000"},
			{"StartCalculationExecution", `{"SessionId":"nope","CodeBlock":"1"}`, "Session nope is not found."},
			{"GetCalculationExecution", `{"CalculationExecutionId":"nope"}`, "Calculation execution nope is not found."},
			{"GetCalculationExecutionStatus", `{"CalculationExecutionId":"nope"}`, "Calculation execution nope is not found."},
			{"GetCalculationExecutionCode", `{"CalculationExecutionId":"nope"}`, "Calculation execution nope is not found."},
			{"StopCalculationExecution", `{"CalculationExecutionId":"nope"}`, "Calculation execution nope is not found."},
			{"ListCalculationExecutions", `{"SessionId":"nope"}`, "Session nope is not found."},
		} {
			w.refused(t, c[0], c[1], c[2])
		}
		if r := w.call(t, "ListCalculationExecutions", `{"SessionId":"`+id+`"}`); len(r["Calculations"].([]any)) != 0 {
			t.Errorf("something was created: %v", r)
		}
		if r := w.call(t, "ListSessions", `{"WorkGroup":"spark"}`); len(r["Sessions"].([]any)) != 1 {
			t.Errorf("something was created: %v", r)
		}
	})
}
