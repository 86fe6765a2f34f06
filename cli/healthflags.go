package cli

import (
	"errors"
	"fmt"
	"time"

	"rootlet/sandbox"
	"rootlet/sandbox/record"
)

// healthFlags say how a container is asked whether it is well.
type healthFlags struct {
	HealthCmd           string         `name:"health-cmd" placeholder:"COMMAND" help:"Command that fails when the container is unwell."`
	HealthInterval      *time.Duration `name:"health-interval" placeholder:"DURATION" help:"Time between two checks (30s)."`
	HealthRetries       *int           `name:"health-retries" placeholder:"N" help:"Failures in a row that make it unhealthy (3)."`
	HealthStartInterval *time.Duration `name:"health-start-interval" placeholder:"DURATION" help:"Time between checks in the start period (5s)."`
	HealthStartPeriod   *time.Duration `name:"health-start-period" placeholder:"DURATION" help:"Time to start, in which failures do not count (0s)."`
	HealthTimeout       *time.Duration `name:"health-timeout" placeholder:"DURATION" help:"Time that a check may take (30s)."`
	NoHealthcheck       bool           `name:"no-healthcheck" help:"No health check, not even the image's."`
}

// fillHealth reads them; what is not given is the image's (sandbox/resolve.go).
func (c *healthFlags) fillHealth(r *sandbox.Request) error {
	var h record.HealthCheck
	given := c.HealthCmd != ""
	if given {
		h.Test = []string{"CMD-SHELL", c.HealthCmd}
	}
	for _, d := range []struct {
		flag string
		from *time.Duration
		to   *time.Duration
	}{
		{"--health-interval", c.HealthInterval, &h.Interval},
		{"--health-start-interval", c.HealthStartInterval, &h.StartInterval},
		{"--health-start-period", c.HealthStartPeriod, &h.StartPeriod},
		{"--health-timeout", c.HealthTimeout, &h.Timeout},
	} {
		if d.from == nil {
			continue
		}
		if *d.from != 0 && *d.from < time.Millisecond {
			return fmt.Errorf("%s cannot be less than 1ms", d.flag)
		}
		given, *d.to = true, *d.from
	}
	if c.HealthRetries != nil {
		if *c.HealthRetries < 0 {
			return errors.New("--health-retries cannot be negative")
		}
		given, h.Retries = true, *c.HealthRetries
	}
	switch {
	case c.NoHealthcheck && given:
		return errors.New("--no-healthcheck conflicts with --health-* options")
	case c.NoHealthcheck:
		r.NoHealthCheck = true
	case given:
		r.Spec.Health = &h
	}
	return nil
}
