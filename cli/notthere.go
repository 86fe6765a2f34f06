package cli

import "strings"

// notThere says why a flag of Docker's run is unknown here: better than a guess at
// what the user may have meant. It is empty for any other word.
func notThere(command, flag string) string {
	if !strings.HasSuffix(command, " run") && !strings.HasSuffix(command, " create") {
		return ""
	}
	switch flag {
	case "--memory-swappiness", "--kernel-memory", "--cpu-rt-period", "--cpu-rt-runtime", "--blkio-weight-device",
		"--device-read-bps", "--device-read-iops", "--device-write-bps", "--device-write-iops":
		return ": rootlet has no such limit; see --memory, --cpus, --pids-limit and --blkio-weight"
	case "--privileged":
		return ": a container never has more rights than its user; see --cap-add and --device"
	case "--link", "--link-local-ip":
		return ": containers find each other by name on a network; see --network"
	case "--gpus", "--runtime", "--isolation", "--volume-driver":
		return ": rootlet has no such thing"
	}
	return ""
}
