package reportcard

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// capSets are /proc/self/status's names for the five sets of capabilities.
var capSets = []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}

// capNames are capabilities(7) by number.
var capNames = strings.Fields(`CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP
	LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO
	SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE
	AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON
	BPF CHECKPOINT_RESTORE`)

var limits = map[string]int{
	"AS": unix.RLIMIT_AS, "CORE": unix.RLIMIT_CORE, "CPU": unix.RLIMIT_CPU, "DATA": unix.RLIMIT_DATA,
	"FSIZE": unix.RLIMIT_FSIZE, "LOCKS": unix.RLIMIT_LOCKS, "MEMLOCK": unix.RLIMIT_MEMLOCK,
	"MSGQUEUE": unix.RLIMIT_MSGQUEUE, "NICE": unix.RLIMIT_NICE, "NOFILE": unix.RLIMIT_NOFILE,
	"NPROC": unix.RLIMIT_NPROC, "RSS": unix.RLIMIT_RSS, "RTPRIO": unix.RLIMIT_RTPRIO,
	"RTTIME": unix.RLIMIT_RTTIME, "SIGPENDING": unix.RLIMIT_SIGPENDING, "STACK": unix.RLIMIT_STACK,
}

// identity is what is known of the process itself.
func identity(c *Card) (err error) {
	status, err := statusOf("self")
	if err != nil {
		return err
	}
	c.UID, c.GID = os.Getuid(), os.Getgid()
	if c.Groups, err = os.Getgroups(); err != nil {
		return err
	}
	if c.IDs, err = mappedIDs(); err != nil {
		return err
	}
	c.Capabilities = map[string][]string{}
	for _, set := range capSets {
		bits, err := strconv.ParseUint(status[set], 16, 64)
		if err != nil {
			return fmt.Errorf("%s: %w", set, err)
		}
		c.Capabilities[set] = capsOf(bits)
	}
	c.NoNewPrivs = status["NoNewPrivs"] == "1"
	c.SeccompMode, _ = strconv.Atoi(status["Seccomp"])
	c.SeccompFilters, _ = strconv.Atoi(status["Seccomp_filters"]) // Linux 5.9
	c.Umask = unix.Umask(0)
	unix.Umask(c.Umask)
	if c.Securebits, err = unix.PrctlRetInt(unix.PR_GET_SECUREBITS, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("PR_GET_SECUREBITS: %w", err)
	}
	if c.Dumpable, err = unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("PR_GET_DUMPABLE: %w", err)
	}
	adjustment, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		return err
	}
	c.OOMScoreAdj, _ = strconv.Atoi(strings.TrimSpace(string(adjustment)))
	c.Limits = map[string]uint64{}
	for name, number := range limits {
		var l unix.Rlimit
		if err := unix.Getrlimit(number, &l); err != nil {
			return fmt.Errorf("getrlimit %s: %w", name, err)
		}
		c.Limits[name] = l.Max
	}
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		c.Environment = append(c.Environment, name)
	}
	slices.Sort(c.Environment)
	c.Namespaces, err = Namespaces()
	return err
}

func statusOf(pid string) (map[string]string, error) {
	text, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return nil, err
	}
	status := map[string]string{}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		status[key] = strings.TrimSpace(value)
	}
	return status, nil
}

func mappedIDs() (n int, err error) {
	text, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line) // first inside, first outside, how many
		if len(fields) != 3 {
			return 0, fmt.Errorf("uid_map: %q", line)
		}
		count, err := strconv.Atoi(fields[2])
		if err != nil {
			return 0, fmt.Errorf("uid_map: %w", err)
		}
		n += count
	}
	return n, nil
}

func capsOf(bits uint64) []string {
	names := []string{}
	for i := range 64 {
		if bits&(1<<i) == 0 {
			continue
		}
		if i < len(capNames) {
			names = append(names, capNames[i])
		} else {
			names = append(names, strconv.Itoa(i))
		}
	}
	return names
}

// Namespaces are this process's own, by kind.
func Namespaces() (map[string]string, error) {
	found := map[string]string{}
	for _, kind := range []string{"cgroup", "ipc", "mnt", "net", "pid", "user", "uts"} {
		id, err := os.Readlink("/proc/self/ns/" + kind)
		if err != nil {
			return nil, err
		}
		found[kind] = id
	}
	return found, nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
