package hosts

import (
	"slices"
	"strings"
	"testing"

	"rootlet/internal/need"
)

// What is wrong with an outcome is found, and nothing else.
func TestProblems(t *testing.T) {
	const whole = "ids 65537\nnetwork 1\n" + done + "\n"
	plain := Outcome{Run: Said{Stdout: whole}}
	refused := Said{Code: 125, Stderr: errorLine + "no ids\nrootlet: hint: see \"ids\" in `rootlet doctor`\n"}
	for _, c := range []struct {
		name    string
		want    Want
		outcome Outcome
		found   []string // what each problem holds, in any order
	}{
		{name: "all is well", outcome: plain},
		{name: "less, and said", want: Want{Less: []string{"ids"}}, outcome: Outcome{Run: Said{Stdout: "ids 1\nnetwork 1\ndone\n", Stderr: noticeLine + "one id\n"}}},
		{name: "less, and doctor says so", want: Want{Less: []string{"ids"}}, outcome: Outcome{Doctor: Said{Stdout: "better   ids   one\n"}, Run: Said{Stdout: "ids 1\nnetwork 1\ndone\n"}}},
		{name: "more", outcome: Outcome{Run: Said{Stdout: "ids 70000\nnetwork 2\ndone\n"}}},
		{name: "less, in silence", want: Want{Less: []string{"ids"}}, outcome: Outcome{Doctor: Said{Stdout: "ok       ids   one\n"}, Run: Said{Stdout: "ids 1\nnetwork 1\ndone\n"}}, found: []string{"neither a notice nor doctor"}},
		{name: "less than it may be", outcome: Outcome{Run: Said{Stdout: "ids 65537\nnetwork 0\ndone\n", Stderr: noticeLine + "none\n"}}, found: []string{"network: want at most"}},
		{name: "half of its work", outcome: Outcome{Run: Said{Stdout: "ids 65537\n"}}, found: []string{"all of its work"}},
		{name: "a failure", outcome: Outcome{Run: refused}, found: []string{"exit code 125: want 0"}},
		{name: "doctor knows better", outcome: Outcome{Doctor: Said{Code: 1}, Run: Said{Stdout: whole}}, found: []string{"doctor: exit code 1"}},
		{name: "a hang", outcome: Outcome{Doctor: Said{Hung: true}, Run: Said{Stdout: whole}}, found: []string{"doctor: no end"}},
		{name: "a trace", outcome: Outcome{Load: Said{Stderr: "goroutine 1 [running]:\n"}, Run: Said{Stdout: whole}}, found: []string{"load prints a trace"}},
		{name: "a refusal", want: Want{Refused: true, Need: need.IDs}, outcome: Outcome{Doctor: Said{Code: 1}, Run: refused}},
		{name: "a refusal of load's", want: Want{Refused: true}, outcome: Outcome{Doctor: Said{Code: 1}, Load: Said{Code: 1, Stderr: errorLine + "x\n"}}},
		{name: "another need", want: Want{Refused: true, Need: need.Kernel}, outcome: Outcome{Doctor: Said{Code: 1}, Run: refused}, found: []string{`doctor's line "kernel"`}},
		{name: "no refusal", want: Want{Refused: true}, outcome: plain, found: []string{"exit code 0", "without an error line", "doctor: exit code 0"}},
		{name: "two errors", want: Want{Refused: true}, outcome: Outcome{Doctor: Said{Code: 1}, Run: Said{Code: 125, Stderr: errorLine + "x\n" + errorLine + "y\n"}}, found: []string{"prints 2 errors"}},
		{name: "other words", want: Want{Says: "best effort"}, outcome: plain, found: []string{"does not say"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := Condition{Want: c.want}.Problems(c.outcome, plain)
			for _, what := range c.found {
				if !slices.ContainsFunc(found, func(p string) bool { return strings.Contains(p, what) }) {
					t.Errorf("found %q: want %q", found, what)
				}
			}
			if len(found) != len(c.found) {
				t.Errorf("found %q: want %d", found, len(c.found))
			}
		})
	}
}
