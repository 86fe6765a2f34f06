package cli

import (
	"os"
	"testing"
	"time"

	"rootlet/internal/stage"
)

// TestMain keeps a stage that a command starts, which is this very binary, from
// running the tests again; a worker plays the part that the test gives it.
func TestMain(m *testing.M) {
	switch os.Args[0] {
	case stage.Monitor:
		os.Exit(ExitEngine)
	case stage.Worker:
		os.Exit(playWorker())
	}
	time.Local = time.UTC // golden files hold times of day
	os.Exit(m.Run())
}
