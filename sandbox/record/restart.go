package record

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ParseRestart reads a restart policy as --restart has it: no, always,
// unless-stopped, or on-failure with the most restarts behind a colon. An empty
// text is no.
func ParseRestart(text string) (Restart, error) {
	policy, count, counted := strings.Cut(text, ":")
	r := Restart{Policy: policy}
	switch policy {
	case RestartNo, RestartAlways, RestartUnlessStopped, RestartOnFailure:
	case "":
		if counted {
			return Restart{}, errors.New("invalid restart policy format: no policy provided before colon")
		}
		r.Policy = RestartNo
	default:
		return Restart{}, fmt.Errorf("invalid restart policy: unknown policy %q; use one of %s, %s, %s or %s",
			policy, RestartNo, RestartAlways, RestartOnFailure, RestartUnlessStopped)
	}
	if count == "" {
		return r, nil
	}
	var err error
	if r.Retries, err = strconv.Atoi(count); err != nil {
		return Restart{}, errors.New("invalid restart policy format: maximum retry count must be an integer")
	}
	if policy != RestartOnFailure {
		return Restart{}, fmt.Errorf("invalid restart policy: maximum retry count can only be used with %q", RestartOnFailure)
	}
	if r.Retries < 0 {
		return Restart{}, errors.New("invalid restart policy: maximum retry count cannot be negative")
	}
	return r, nil
}

// String is the policy as ParseRestart reads it.
func (r Restart) String() string {
	switch {
	case r.Policy == "":
		return RestartNo
	case r.Retries > 0:
		return r.Policy + ":" + strconv.Itoa(r.Retries)
	}
	return r.Policy
}

// Active reports whether the policy ever starts a program again.
func (r Restart) Active() bool { return r.Policy != "" && r.Policy != RestartNo }
