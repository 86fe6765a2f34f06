// Command bench measures rootlet beside rootless podman, in one run on one machine
// as one user, and writes the table in docs/benchmarks.md.
//
//	go run ./testdata/bench [-rootlet ./rootlet] [-doc docs/benchmarks.md]
//
// As root it installs what it needs from Debian and works as an ordinary user with
// subordinate ids; as an ordinary user it works with what is there. Everything it
// makes stands in one scratch directory and is gone at the end. BENCH_RUNS is the
// number of runs of each short command (30), BENCH_CHURN of the connections that one
// stack is to survive (100000), ROOTLET_BENCH_USER the user (rootlet-sub). It exits 1
// when a target is missed.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"

	"rootlet/internal/markers"
)

func main() {
	if filepath.Base(os.Args[0]) == peerName {
		if err := peer(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	binary := flag.String("rootlet", "rootlet", "the binary to measure")
	doc := flag.String("doc", "docs/benchmarks.md", "the page that holds the table")
	only := flag.String("only", "", "measure the cases whose name holds this, and leave the page alone")
	flag.Parse()
	passed, err := bench(*binary, *doc, *only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	if !passed {
		os.Exit(1)
	}
}

func bench(binary, doc, only string) (passed bool, err error) {
	runs, err := runCount()
	if err != nil {
		return false, err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b, err := prepare(ctx, binary, runs)
	if err != nil {
		return false, err
	}
	defer b.cleanup()
	if err := b.images(b.needsLarge(only)); err != nil {
		return false, err
	}
	if err := b.describe(); err != nil {
		return false, err
	}
	rows, err := b.measure(only)
	if err != nil {
		return false, err
	}
	table := b.table(rows)
	fmt.Print(table)
	if only == "" {
		err = markers.Write(doc, "bench", table)
	}
	return allPassed(rows), err
}

func runCount() (int, error) {
	text := os.Getenv("BENCH_RUNS")
	if text == "" {
		return 30, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 3 {
		return 0, fmt.Errorf("BENCH_RUNS=%q: a number of at least 3 is wanted", text)
	}
	return n, nil
}
