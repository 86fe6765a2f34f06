// Command report runs testdata/probe under rootlet, rootlet --sandbox, podman and
// bubblewrap, as one user on one machine, and writes the table in docs/security.md.
//
//	go run ./testdata/report -rootlet ./rootlet -probe ./probe [-doc docs/security.md]
//
// As root it works as an ordinary user with subordinate ids (ROOTLET_REPORT_USER, or
// rootlet-sub), else as who calls it. Everything it makes stands in one scratch directory
// and is gone at the end. It exits 1 when a line of rootlet's is weaker than podman's.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"rootlet/internal/markers"
	"rootlet/internal/reportcard"
)

func main() {
	binary := flag.String("rootlet", "rootlet", "the binary to look at")
	probe := flag.String("probe", "probe", "the program in the containers")
	doc := flag.String("doc", "docs/security.md", "the page that holds the table")
	flag.Parse()
	weaker, err := report(*binary, *probe, *doc)
	if err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
	if len(weaker) > 0 {
		fmt.Fprintf(os.Stderr, "report: weaker than podman: %s\n", strings.Join(weaker, "; "))
		os.Exit(1)
	}
}

func report(binary, probe, doc string) (weaker []string, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r, err := prepare(ctx, binary, probe)
	if err != nil {
		return nil, err
	}
	defer r.cleanup()
	outside, err := reportcard.Namespaces()
	if err != nil {
		return nil, err
	}
	engines := r.engines()
	for i := range engines {
		if engines[i].card, err = r.look(engines[i]); err != nil {
			return nil, err
		}
	}
	facts, err := r.facts()
	if err != nil {
		return nil, err
	}
	text, weaker := table(engines, reportcard.Rows(outside), facts)
	fmt.Print(text)
	return weaker, markers.Write(doc, "report", text)
}
