package cgroup

import (
	"math"
	"strconv"

	"rootlet/sandbox/record"
)

// cpuWeight turns Docker's shares, 2 to 262144 with 1024 as everybody's, into a weight of
// version 2, 1 to 10000 with 100: the curve through those three points that runtimes have
// agreed on (runc 1.3.2, crun 1.23; opencontainers/cgroups issue 2).
func cpuWeight(shares int64) int {
	if shares <= 0 {
		return 100
	}
	l := math.Log2(float64(min(max(shares, 2), 262144)))
	exponent := (l*l+125*l)/612.0 - 7.0/34.0
	return int(math.Ceil(math.Pow(10, exponent) - 1e-9))
}

// ioWeight turns Docker's 10 to 1000 into version 2's 1 to 10000, in a straight line.
func ioWeight(weight int) int {
	if weight == 0 {
		return 100
	}
	return 1 + (weight-10)*9999/990
}

func or(value, otherwise int) int {
	if value == 0 {
		return otherwise
	}
	return value
}

func orMax(value int64) string {
	if value <= 0 {
		return "max"
	}
	return strconv.FormatInt(value, 10)
}

// pids is how many processes and threads there may be, 0 without a limit.
func pids(l record.Limits) int64 {
	if l.Pids == nil {
		return 0
	}
	return *l.Pids
}
