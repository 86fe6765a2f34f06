package cli

import (
	"os"
	"testing"
	"time"

	"rootlet/internal/stage"
)

// TestMain keeps a stage that a command starts, which is this very binary, from
// running the tests again.
func TestMain(m *testing.M) {
	switch os.Args[0] {
	case stage.Monitor, stage.Worker:
		os.Exit(ExitEngine)
	}
	time.Local = time.UTC // golden files hold times of day
	os.Exit(m.Run())
}
