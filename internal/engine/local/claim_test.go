package local

import (
	"bufio"
	"context"
	"encoding/json"
	"strings"
	"syscall"
	"testing"
	"time"

	"glaux/internal/engine"
	"glaux/internal/shim"
	"glaux/internal/supervise"
)

// waiting launches a driver that waits and returns once it does.
func waiting(t *testing.T, w *world, properties map[string]string) *live {
	t.Helper()
	spec := testSpec()
	spec.Wait, spec.Properties = engine.WaitContext, properties
	v := launch(t, w, spec)
	ctx, cancel := context.WithCancel(v.ctx)
	defer cancel()
	waits := false
	_ = v.d.Watch(ctx, func(s engine.Status) { // ends with ctx
		if s.Phase == engine.Waiting {
			waits = true
			cancel()
		}
	})
	if !waits {
		t.Fatal("the driver does not wait")
	}
	return v
}

// claimedBy is the spec of a session for the driver.
func (v *live) claimedBy(properties map[string]string) engine.Spec {
	spec := testSpec()
	spec.Key, spec.Properties = v.d.key, properties
	return spec
}

// gone waits for the end of a driver that was not handed out.
func (v *live) gone() {
	v.Helper()
	if _, err := v.d.Wait(v.ctx); err != nil {
		v.Fatal(err)
	}
}

func TestAClaimBringsWhatTheDriverWasNotLaunchedWith(t *testing.T) {
	v := waiting(t, newWorld(t), map[string]string{"spark.serializer": "kept"})
	spec := v.claimedBy(map[string]string{"spark.serializer": "kept", "spark.sql.shuffle.partitions": "3", "spark.ui.enabled": "true", "spark.local.dir": "/else"})
	spec.Warehouse = "s3://bucket/warehouse"
	if err := v.d.Claim(v.ctx, spec); err != nil {
		t.Fatal(err)
	}
	log, err := v.d.Log(v.ctx, engine.LogStdout, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	line, err := bufio.NewReader(log).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var command struct{ Settings map[string]string }
	_, text, _ := strings.Cut(line, "claimed by ")
	if err := json.Unmarshal([]byte(text), &command); err != nil {
		t.Fatalf("%v in %q", err, line)
	}
	if len(command.Settings) != 2 || command.Settings["spark.sql.shuffle.partitions"] != "3" || command.Settings["spark.sql.warehouse.dir"] != "s3://bucket/warehouse" {
		t.Errorf("settings are %v", command.Settings)
	}
}

func TestARefusedClaimEndsTheDriver(t *testing.T) {
	v := waiting(t, newWorld(t), map[string]string{"spark.test.refuse": "spark.x cannot be set"})
	err := v.d.Claim(v.ctx, v.claimedBy(map[string]string{"spark.test.refuse": "spark.x cannot be set"}))
	if err == nil || !strings.Contains(err.Error(), "spark.x cannot be set") {
		t.Errorf("got %v", err)
	}
	v.gone()
}

func TestADriverThatDoesNotAnswerAClaimIsNotHandedOut(t *testing.T) {
	v := waiting(t, newWorld(t), map[string]string{"spark.test.unclaimable": "yes"})
	began := time.Now()
	err := v.d.Claim(v.ctx, v.claimedBy(map[string]string{"spark.test.unclaimable": "yes"}))
	if err == nil || !strings.Contains(err.Error(), "did not answer the claim") || time.Since(began) > 10*time.Second {
		t.Errorf("got %v after %v", err, time.Since(began))
	}
	v.gone()
}

func TestADriverThatDiedWhileItWaitedIsNotHandedOut(t *testing.T) {
	v := waiting(t, newWorld(t), map[string]string{})
	var st supervise.State
	if err := readJSON(v.d.file(shim.StateFile), &st); err != nil || !st.Waits {
		t.Fatalf("%+v, %v", st, err)
	}
	if err := st.JVM.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := v.d.Claim(v.ctx, v.claimedBy(nil)); err == nil {
		t.Error("it was handed out")
	}
	v.gone()
}

func TestADriverIsOneSessionsOnly(t *testing.T) {
	v := waiting(t, newWorld(t), map[string]string{})
	first := v.claimedBy(map[string]string{"spark.sql.shuffle.partitions": "3"})
	if err := v.d.Claim(v.ctx, first); err != nil {
		t.Fatal(err)
	}
	other := v.claimedBy(map[string]string{"spark.sql.shuffle.partitions": "4"})
	if err := v.d.Claim(v.ctx, other); err == nil {
		t.Error("another session has claimed it too")
	}
	if err := v.d.Claim(v.ctx, first); err != nil {
		t.Errorf("the first, asking again: %v", err)
	}
	if got := v.print("out it works"); got != "it works" {
		t.Errorf("it says %q", got)
	}
}

func TestAServersDeathDuringAClaimLeavesItToTheNext(t *testing.T) {
	v := waiting(t, newWorld(t), map[string]string{})
	ctx, cancel := context.WithCancel(v.ctx)
	cancel() // the request may or may not have left
	_ = v.d.Claim(ctx, v.claimedBy(nil))
	next, err := v.w.launcher(t).Adopt(v.ctx, engine.Handle{Key: v.d.key, Epoch: 2})
	if err != nil {
		t.Fatal(err)
	}
	spec := v.claimedBy(nil)
	spec.Epoch = 2
	if err := next.(engine.Claimer).Claim(v.ctx, spec); err != nil {
		t.Fatal(err)
	}
	if err := next.Ready(v.ctx); err != nil || next.Handle().Waits {
		t.Errorf("%v, waits %v", err, next.Handle().Waits)
	}
	v.d = next.(*Driver)
}
