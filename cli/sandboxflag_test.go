package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rootlet/sandbox/record"
)

func TestWhatASandboxTakes(t *testing.T) {
	profile := filepath.Join(t.TempDir(), "profile.json")
	if err := os.WriteFile(profile, []byte(`{"defaultAction": "SCMP_ACT_ALLOW"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		flags   runFlags
		refused string // a part of the error
		network string
	}{
		"alone":              {flags: runFlags{}, network: "none"},
		"what is stricter":   {flags: runFlags{CapDrop: []string{"KILL"}, ReadOnly: true, SecurityOpt: []string{"no-new-privileges"}, UserNS: "nomap"}, network: "none"},
		"mounts and limits":  {flags: runFlags{Tmpfs: []string{"/x"}, Ulimit: []string{"core=0"}, Env: []string{"A=b"}, User: "5"}, network: "none"},
		"no network by name": {flags: runFlags{networkFlags: networkFlags{Network: []string{"none"}}, Publish: []string{"80"}}, network: "none"},
		"a list":             {flags: runFlags{Egress: []string{"public"}, Publish: []string{"80"}}, network: "auto"},
		"a list of nothing":  {flags: runFlags{Egress: []string{"none"}, networkFlags: networkFlags{Network: []string{"builtin"}}}, network: "builtin"},
		"a capability":       {flags: runFlags{CapAdd: []string{"CHOWN"}}, refused: "--cap-add"},
		"a device":           {flags: runFlags{Device: []string{"/dev/null"}}, refused: "--device"},
		"everything":         {flags: runFlags{Privileged: true}, refused: "--privileged"},
		"what is masked":     {flags: runFlags{SecurityOpt: []string{"systempaths=unconfined"}}, refused: "systempaths"},
		"the host's pids":    {flags: runFlags{namespaceFlags: namespaceFlags{PID: "host"}}, refused: "--pid host"},
		"the host's memory":  {flags: runFlags{namespaceFlags: namespaceFlags{IPC: "host"}}, refused: "--ipc host"},
		"the host's name":    {flags: runFlags{namespaceFlags: namespaceFlags{UTS: "host"}}, refused: "--uts host"},
		"keep-id":            {flags: runFlags{UserNS: "keep-id"}, refused: "--userns keep-id"},
		"privileges":         {flags: runFlags{SecurityOpt: []string{"no-new-privileges=false"}}, refused: "no-new-privileges=false"},
		"no filter":          {flags: runFlags{SecurityOpt: []string{"seccomp=unconfined"}}, refused: "--security-opt seccomp"},
		"another filter":     {flags: runFlags{SecurityOpt: []string{"seccomp=" + profile}}, refused: "--security-opt seccomp"},
		"the host's network": {flags: runFlags{networkFlags: networkFlags{Network: []string{"host"}}}, refused: "--network host"},
		"any network":        {flags: runFlags{networkFlags: networkFlags{Network: []string{"pasta"}}}, refused: "--egress LIST"},
		"a named network":    {flags: runFlags{networkFlags: networkFlags{Network: []string{"front"}}}, refused: "--egress LIST"},
		"ports":              {flags: runFlags{PublishAll: true}, refused: "--egress none"},
	} {
		c.flags.Sandbox = true
		r, err := requested(t, c.flags)
		if c.refused != "" {
			if err == nil || !strings.Contains(err.Error(), c.refused) || !strings.HasPrefix(err.Error(), "--sandbox: ") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || !r.Spec.Sandbox || r.Spec.Network != c.network || r.Spec.Seccomp.Profile != record.Sandboxed {
			t.Errorf("%s: %v, %+v", name, err, r.Spec)
		}
	}
}
