package cli

import (
	"fmt"
	"time"

	"github.com/docker/go-units"

	"rootlet/sandbox/record"
)

// status says how a container is, in Docker's words (moby
// daemon/container/state.go).
func status(s record.State, now time.Time) string {
	up := "Up " + units.HumanDuration(now.Sub(s.Started))
	switch s.Status {
	case record.Running:
		switch health(s) {
		case noHealth:
			return up
		case record.HealthStarting:
			return up + " (health: starting)"
		}
		return up + " (" + s.Health.Status + ")"
	case record.Paused:
		return up + " (Paused)"
	case record.Restarting:
		return fmt.Sprintf("Restarting (%d) %s", s.ExitCode, ago(s.Finished, now))
	case record.Exited:
		return fmt.Sprintf("Exited (%d) %s", s.ExitCode, ago(s.Finished, now))
	case record.Dead:
		return "Dead"
	}
	return "Created"
}

// noHealth is the health of a container without health checks.
const noHealth = "none"

func health(s record.State) string {
	if s.Health == nil || s.Health.Status == "" {
		return noHealth
	}
	return s.Health.Status
}

func ago(then, now time.Time) string {
	if then.IsZero() {
		return "some time ago" // it was killed with its monitor: nobody saw it
	}
	return units.HumanDuration(now.Sub(then)) + " ago"
}
