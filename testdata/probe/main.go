// Command probe prints a report card of the container that it runs in: what a program
// there can see and do (internal/reportcard).
//
//	CGO_ENABLED=0 go build -o probe ./testdata/probe
//	podman run -v ./probe:/probe:ro IMAGE /probe --in-container [--json]
//
// It makes real system calls, so it has to be told that it is in a container, and looks
// whether that can be.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"

	"rootlet/internal/reportcard"
)

func main() {
	reportcard.Stage()
	inside := flag.Bool("in-container", false, "yes, this is a container")
	asJSON := flag.Bool("json", false, "print the card as JSON")
	flag.Parse()
	if err := probe(*inside, *asJSON); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

func probe(inside, asJSON bool) error {
	if !inside {
		return errors.New("it runs in a container only: --in-container")
	}
	card, err := reportcard.Take()
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(os.Stdout).Encode(card)
	}
	fmt.Print(card)
	return nil
}
