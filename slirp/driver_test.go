package slirp_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"rootlet/slirp"
	"rootlet/slirp/slirptest"
)

func TestMain(m *testing.M) { slirptest.Main(m) }

func TestDrivers(t *testing.T) {
	for _, driver := range slirp.Drivers() {
		t.Run(driver, func(t *testing.T) { slirptest.Run(t, driver) })
	}
}

func TestReadyEndsWithContext(t *testing.T) {
	for _, driver := range []string{slirp.Slirp4netns, slirp.Pasta} {
		t.Run(driver, func(t *testing.T) { slirptest.EndsWithContext(t, driver) })
	}
}

func TestStartNamesTheProgram(t *testing.T) {
	for _, driver := range []string{slirp.Slirp4netns, slirp.Pasta} {
		_, err := slirp.Start(t.Context(), slirp.Options{Driver: driver, PID: os.Getpid(), Path: "/nonexistent/" + driver, Dir: t.TempDir()})
		if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "/nonexistent/"+driver) {
			t.Errorf("Start says %v", err)
		}
	}
}
