package integration

import (
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"rootlet/internal/reportcard"
	"rootlet/internal/testenv"
)

// egressDrivers are those that can decide where a container may connect to.
var egressDrivers = []string{"builtin"}

// TestNothingLeavesButByTheList: a program with every capability that there is tries all
// else than what --egress allows. The host is a network namespace of the test's, with
// nothing but a cable to another one, the world: every packet that gets there is seen.
func TestNothingLeavesButByTheList(t *testing.T) {
	testenv.NeedSubIDs(t)
	p, image := someone(t, "busybox")
	p.rootlet("pull", image)
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, driver := range egressDrivers {
		t.Run(driver, func(t *testing.T) {
			p := p.in(t)
			host := exec.Command(
				"unshare", "--map-root-user", "--net", "--mount", binary, rootlet,
				"run", "--name", "prober", "--network", driver, "--egress", worldAllowed, "--egress", worldInside+":8080", "--cap-add", "ALL",
				"-v", binary+":/probe:ro", "-e", stageKey+"="+stageProbe, image, "/probe",
			)
			host.Env = append(slices.Clone(p.env), stageKey+"="+stageHost)
			var stderr strings.Builder
			host.Stderr = &stderr
			text, err := host.Output()
			if err != nil {
				t.Fatalf("%v\n%s\n%s", err, text, stderr.String())
			}
			var proof egressProof
			if err := json.Unmarshal(text, &proof); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			for _, line := range strings.Split(strings.TrimSpace(proof.Probe), "\n") {
				if !strings.HasPrefix(line, "as it should: ") {
					t.Errorf("the prober: %s", line)
				}
			}
			if !strings.Contains(proof.Probe, "as it should: all tried") {
				t.Errorf("the prober has not tried all:\n%s", stderr.String())
			}
			allowed := []string{"tcp " + worldAllowed, "udp " + worldNames + ":53", "asked for " + worldInside}
			for _, seen := range proof.Arrived {
				// Who may be connected to may be asked for an echo.
				if !slices.Contains(allowed, seen) && seen != "protocol 1 to "+worldIP {
					t.Errorf("arrived in the world: %s", seen)
				}
			}
			for _, seen := range allowed {
				if !slices.Contains(proof.Arrived, seen) {
					t.Errorf("has not arrived: %s", seen)
				}
			}
			refused := p.rootlet("logs", "--network", "prober")
			for _, one := range []string{"tcp " + worldOther + ":8080", "tcp " + worldInsideIP + ":8080 " + worldInside, "dns " + worldSecret} {
				if !strings.Contains(refused, one) {
					t.Errorf("%q is not among the refused:\n%s", one, refused)
				}
			}
			p.rootlet("rm", "prober")
		})
	}
}

// egressProof is what the host stage prints.
type egressProof struct {
	Probe   string   // output of the program in the container
	Arrived []string // in the world, each kind once
}

// A test binary that finds stageKey set is no test but one of these.
const (
	stageKey     = "ROOTLET_TEST_STAGE"
	stageHost    = "egress-host"
	stageWorld   = "egress-world"
	stageProbe   = "egress-probe"
	stageAnother = "another"
)

// egressStage is the stage that this process is, nil for a test.
func egressStage() func() error {
	switch os.Getenv(stageKey) {
	case stageHost:
		return egressHost
	case stageWorld:
		return egressWorld
	case stageProbe:
		return egressProbe
	case stageAnother:
		return another
	case stageSeccomp:
		return func() error { return seccompProbe(probedCalls()) }
	case stageCard:
		return func() error { return printCard(reportcard.Take) }
	case stageGlance:
		return func() error { return printCard(reportcard.Glance) }
	case stageSandbox:
		return func() error { return seccompProbe(sandboxCalls()) }
	case stageAttack:
		return attack
	}
	return nil
}
