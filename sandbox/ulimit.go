package sandbox

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"rootlet/sandbox/record"
)

// ulimits are the resources of setrlimit(2) under Docker's names.
var ulimits = map[string]int{
	"core": unix.RLIMIT_CORE, "cpu": unix.RLIMIT_CPU, "data": unix.RLIMIT_DATA, "fsize": unix.RLIMIT_FSIZE,
	"locks": unix.RLIMIT_LOCKS, "memlock": unix.RLIMIT_MEMLOCK, "msgqueue": unix.RLIMIT_MSGQUEUE,
	"nice": unix.RLIMIT_NICE, "nofile": unix.RLIMIT_NOFILE, "nproc": unix.RLIMIT_NPROC, "rss": unix.RLIMIT_RSS,
	"rtprio": unix.RLIMIT_RTPRIO, "rttime": unix.RLIMIT_RTTIME, "sigpending": unix.RLIMIT_SIGPENDING,
	"stack": unix.RLIMIT_STACK,
}

// ParseUlimit reads NAME=SOFT[:HARD], with -1 or unlimited for no limit. It
// refuses what this user cannot have: nobody without CAP_SYS_RESOURCE raises a
// hard limit.
func ParseUlimit(text string) (record.Ulimit, error) {
	name, values, ok := strings.Cut(text, "=")
	resource, known := ulimits[name]
	if !ok || !known {
		return record.Ulimit{}, fmt.Errorf("invalid ulimit %q: want NAME=SOFT[:HARD], NAME one of setrlimit(2)'s", text)
	}
	softText, hardText, two := strings.Cut(values, ":")
	if !two {
		hardText = softText
	}
	soft, errSoft := parseLimit(softText)
	hard, errHard := parseLimit(hardText)
	if errSoft != nil || errHard != nil {
		return record.Ulimit{}, fmt.Errorf("invalid ulimit %q: limits are whole numbers, or -1 for none", text)
	}
	if uint64(soft) > uint64(hard) {
		return record.Ulimit{}, fmt.Errorf("invalid ulimit %q: the soft limit is above the hard one", text)
	}
	return record.Ulimit{Name: name, Soft: soft, Hard: hard}, mayHave(name, resource, hard)
}

func parseLimit(text string) (int64, error) {
	if text == "unlimited" {
		return -1, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err == nil && n < -1 {
		err = strconv.ErrRange
	}
	return n, err
}

func mayHave(name string, resource int, hard int64) error {
	var now unix.Rlimit
	if err := unix.Getrlimit(resource, &now); err != nil {
		return err
	}
	if uint64(hard) > now.Max {
		return fmt.Errorf("ulimit %s: the hard limit here is %d, and only root may raise it", name, now.Max)
	}
	return nil
}
