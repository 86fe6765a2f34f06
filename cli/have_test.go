package cli

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"rootlet/fuseoverlay"
	"rootlet/internal/stage"
	"rootlet/internal/testenv"
	"rootlet/sandbox"
	"rootlet/userns"
)

// playedPart says how the test binary behaves as a worker: see TestMain.
const playedPart = "ROOTLET_TEST_WORKER"

// playWorker stands in for Worker, one part at a time.
func playWorker() int {
	conn, err := stage.Inherited()
	if err != nil {
		return ExitEngine
	}
	var w work
	if err := conn.RecvJSON(kindWork, &w); err != nil {
		return ExitEngine
	}
	gone := func() { _, _, _ = conn.Recv() }
	part, more, _ := strings.Cut(os.Getenv(playedPart), " with ")
	switch part {
	case "intruder":
		if err := intruder(conn, w, more); err != nil {
			_ = conn.SendJSON(kindFailed, packed(err))
		}
	case "answers":
		_ = conn.Send(kindNotice, []byte("by the way"))
		_ = conn.Send(kindEvent, []byte("one"))
		_ = conn.Send(kindEvent, []byte("two"))
		_ = conn.SendJSON(kindDone, "result")
	case "fails":
		_ = conn.SendJSON(kindFailed, packed(fuseoverlay.ErrNoImage))
	case "is forbidden":
		_ = conn.SendJSON(kindFailed, packed(&userns.Forbidden{Setting: "kernel.x", Value: "1", Fix: "sysctl", Err: syscall.EPERM}))
	case "dies":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "tidies up":
		_ = conn.Send(kindEvent, nil)
		gone()
		time.Sleep(100 * time.Millisecond)
	case "hangs":
		_ = conn.Send(kindEvent, nil)
		gone()
		time.Sleep(time.Minute)
	}
	return 0
}

// played has a worker play a part. An event of the last two brings a SIGINT.
func played(t *testing.T, part string, event func([]byte)) (result, printed string, err error) {
	t.Helper()
	testenv.NeedUser(t)
	testenv.NeedUserNS(t)
	t.Setenv(playedPart, part)
	plan, err := userns.NewPlan()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	a := &app{printer: &printer{out: &out}}
	err = a.have(plan, work{Info: &infoWork{}}, event, &result)
	return result, out.String(), err
}

func TestHaveAnAnswer(t *testing.T) {
	var events []string
	result, printed, err := played(t, "answers", func(e []byte) { events = append(events, string(e)) })
	if err != nil || result != "result" || strings.Join(events, " ") != "one two" || printed != "rootlet: notice: by the way\n" {
		t.Errorf("%q, %q, %q, %v", result, events, printed, err)
	}
}

func TestHaveErrors(t *testing.T) {
	_, _, err := played(t, "fails", nil)
	var failure *sandbox.Failure
	if !errors.Is(err, fuseoverlay.ErrNoImage) || !errors.As(err, &failure) || failure.Code != ExitError {
		t.Errorf("fails: %v", err)
	}
	_, _, err = played(t, "is forbidden", nil)
	var forbidden *userns.Forbidden
	if !errors.As(err, &forbidden) || forbidden.Setting != "kernel.x" || forbidden.Hint() != "sysctl" {
		t.Errorf("is forbidden: %v", err)
	}
	_, _, err = played(t, "dies", nil)
	var dead *diedError
	if !errors.As(err, &dead) || !strings.Contains(err.Error(), "killed") {
		t.Errorf("dies: %v", err)
	}
}

func TestInterruptIsAnsweredWithinASecond(t *testing.T) {
	for part, most := range map[string]time.Duration{"tidies up": 800 * time.Millisecond, "hangs": 1500 * time.Millisecond} {
		var began time.Time
		_, _, err := played(t, part, func([]byte) {
			began = time.Now()
			_ = syscall.Kill(os.Getpid(), syscall.SIGINT)
		})
		var interrupted *interruptedError
		if !errors.As(err, &interrupted) || interrupted.signal != syscall.SIGINT {
			t.Errorf("%s: %v", part, err)
		}
		if took := time.Since(began); took > most {
			t.Errorf("%s: %v after the signal", part, took)
		}
	}
}
