package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"rootlet/sandbox"
	"rootlet/sandbox/record"
	"rootlet/sandbox/seccomp"
)

// fillSecurity understands what can be had so far, and refuses the rest by name
// rather than do less than asked.
func (c *newContainer) fillSecurity(r *sandbox.Request) error {
	r.Spec.Privileged, r.Spec.SystemPathsOpen = c.Privileged, c.Privileged
	for _, option := range c.SecurityOpt {
		name, value := option, ""
		if at := strings.IndexAny(option, "=:"); at >= 0 { // Docker's older separator was a colon
			name, value = option[:at], option[at+1:]
		}
		var err error
		switch {
		case name == "no-new-privileges" && (value == "" || value == "true"):
			r.Spec.NoNewPrivileges = true
		case name == "no-new-privileges" && value == "false":
			r.Spec.NoNewPrivileges = false
		case name == "seccomp" && value != "":
			r.Spec.Seccomp, err = seccompProfile(value)
		case name == "systempaths" && value == record.Unconfined:
			r.Spec.SystemPathsOpen = true
		case name == "label" && value == "disable", name == "apparmor" && value == record.Unconfined:
			// That is how it is.
		case name == "label" && value != "":
			err = fmt.Errorf("--security-opt %q: rootlet gives processes and files no SELinux labels: label=disable is all there is", option)
		case name == "apparmor" && value != "":
			err = fmt.Errorf("--security-opt %q: only root loads AppArmor profiles, and rootlet changes to none: apparmor=unconfined is all there is", option)
		default:
			err = fmt.Errorf("--security-opt %q: rootlet knows no-new-privileges, seccomp=FILE, builtin or unconfined, systempaths=unconfined, label=disable and apparmor=unconfined", option)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// seccompProfile reads a profile: what becomes of its file later makes no difference
// to the container.
func seccompProfile(value string) (record.Seccomp, error) {
	if value == record.Builtin || value == record.Unconfined {
		return record.Seccomp{Profile: value}, nil
	}
	text, err := readProfile(value)
	if err != nil {
		return record.Seccomp{}, fmt.Errorf("--security-opt seccomp: %w", err)
	}
	var wrong *seccomp.LineError
	if _, err := seccomp.Parse(text); errors.As(err, &wrong) {
		return record.Seccomp{}, fmt.Errorf("--security-opt seccomp: %s:%d: %w", value, wrong.Line, wrong.Err)
	}
	path, err := filepath.Abs(value)
	return record.Seccomp{Profile: path, JSON: json.RawMessage(text)}, err
}

func readProfile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, seccomp.MaxSize+1))
}
