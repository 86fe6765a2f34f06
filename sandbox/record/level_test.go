package record

import (
	"strings"
	"testing"
)

func TestParseRequire(t *testing.T) {
	for _, c := range []struct{ values, want, wrong string }{
		{"", "", ""},
		{"full", "full", ""},
		{"host-pid,limits ids", "host-pid limits ids", ""},
		{"limits limits,limits", "limits", ""},
		{"everything", "", `--require "everything": rootlet knows full, bound-proc, host-pid, host-network, limits, ids`},
		{"ids,", "", `--require "": rootlet knows`},
		{"full,host-pid", "", "--require full and host-pid"},
		{"bound-sys", "", "rootlet knows"}, // a word of bound-proc's rung
	} {
		got, err := ParseRequire(strings.Fields(c.values))
		if c.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%q: %v, want %q", c.values, err, c.wrong)
			}
			continue
		}
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%q: %v, %v", c.values, got, err)
		}
	}
}

func TestLevelsAreInOrder(t *testing.T) {
	var level []string
	for _, word := range []string{"root-emulation", HostNetwork, BoundSys, HostPID, BoundSys, BoundProc} {
		level = WithWord(level, word)
	}
	if got := LevelName(level); got != "bound-proc,bound-sys,host-pid,host-network,root-emulation" {
		t.Error(got)
	}
	if got := LevelName(nil); got != Full {
		t.Error(got)
	}
}

func TestAccepts(t *testing.T) {
	for require, want := range map[string]string{
		"":             "bound-proc bound-sys host-pid host-network root-emulation",
		"limits":       "bound-proc bound-sys host-pid host-network root-emulation",
		"full":         "root-emulation",
		"bound-proc":   "bound-proc bound-sys root-emulation",
		"host-pid":     "bound-proc bound-sys host-pid root-emulation",
		"host-network": "bound-proc bound-sys host-pid host-network root-emulation",
	} {
		s := Spec{Require: strings.Fields(require)}
		var got []string
		for _, word := range []string{BoundProc, BoundSys, HostPID, HostNetwork, "root-emulation"} {
			if s.Accepts(word) {
				got = append(got, word)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("--require %s accepts %v, want %s", require, got, want)
		}
	}
	for require, want := range map[string]bool{"": false, "limits": false, "full": false, "bound-proc": true} {
		s := Spec{Sandbox: true, Require: strings.Fields(require)}
		if s.Accepts(BoundSys) != want {
			t.Errorf("--sandbox --require %s: %v", require, !want)
		}
	}
}
