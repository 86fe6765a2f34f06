package cli

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"rootlet/sandbox"
	"rootlet/sandbox/record"
	"rootlet/userns"
)

// topCmd is `rootlet top`. It looks at the container's processes from the host:
// nothing of the container's is ever executed (CVE-2022-1227).
type topCmd struct {
	Container string   `arg:"" help:"Name or id."`
	Options   []string `arg:"" optional:"" passthrough:"" help:"Options of ps(1), instead of -ef."`
}

// Run prints the table.
func (c *topCmd) Run(a *app) error {
	state, err := liveState(c.Container)
	if err != nil {
		return err
	}
	pids, err := sandbox.Processes(state)
	if err != nil {
		return fmt.Errorf("list the processes of %s: %w", c.Container, err)
	}
	options := c.Options
	if len(options) == 0 {
		options = []string{"-ef"}
	}
	var table [][]string
	ps, err := userns.TrustedProgram("ps")
	switch {
	case err == nil:
		table, err = psTable(ps, options, pids)
	case len(c.Options) == 0:
		table, err = ownTable(pids, a.began)
	default:
		err = fmt.Errorf("options need the host's ps(1): %w", err)
	}
	if err != nil {
		return err
	}
	return printColumns(a.stdout, table)
}

// liveState is the state of a container that has a program.
func liveState(given string) (record.State, error) {
	found, err := findContainer(given)
	if err != nil {
		return record.State{}, err
	}
	state, err := found.live()
	if err == nil && !state.Status.Up() {
		err = fmt.Errorf("container %s is not running", given)
	}
	return state, err
}

// renamedPID is a column of ps(1) with the title PID that holds something else:
// what processes are the container's could not be told then.
var renamedPID = regexp.MustCompile(`\s+(\S*)=\s*(PID\S*)`)

// psTable has the host's ps make a table, and keeps what is the container's.
func psTable(ps string, options []string, pids []int) ([][]string, error) {
	all := strings.Join(options, " ")
	for _, m := range renamedPID.FindAllStringSubmatch(" "+all, -1) {
		if m[1] != "pid" {
			return nil, fmt.Errorf(`specifying "%s=%s" is not allowed`, m[1], m[2])
		}
	}
	words := strings.Fields(all)
	output, err := exec.Command(ps, append(slices.Clone(words), pidList(pids))...).Output()
	if err != nil {
		// Some options, such as f, cannot be had together with a list.
		output, err = exec.Command(ps, words...).Output()
	}
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		first, _, _ := strings.Cut(string(failed.Stderr), "\n")
		return nil, fmt.Errorf("ps: %s", strings.TrimPrefix(first, "error: "))
	}
	if err != nil {
		return nil, fmt.Errorf("ps: %w", err)
	}
	return keepProcesses(string(output), pids)
}

func pidList(pids []int) string {
	var list []string
	for _, pid := range pids {
		list = append(list, strconv.Itoa(pid))
	}
	return "-q" + strings.Join(list, ",")
}

// keepProcesses cuts the output of ps into columns and drops the processes of
// others. The last column may hold spaces. A thread has no pid of its own and
// goes with the line before it.
func keepProcesses(output string, pids []int) ([][]string, error) {
	lines := strings.Split(strings.TrimRight(output, "\n"), "\n")
	titles := strings.Fields(lines[0])
	column := slices.Index(titles, "PID")
	if column < 0 {
		return nil, errors.New("couldn't find PID field in ps output")
	}
	table := [][]string{titles}
	kept := false
	for _, line := range lines[1:] {
		fields := strings.Fields(line)
		if len(fields) <= column {
			continue
		}
		if fields[column] != "-" {
			pid, err := strconv.Atoi(fields[column])
			if err != nil {
				return nil, fmt.Errorf("unexpected pid %q in ps output", fields[column])
			}
			kept = slices.Contains(pids, pid)
		}
		if !kept {
			continue
		}
		if last := len(titles) - 1; len(fields) > last {
			fields = append(fields[:last:last], strings.Join(fields[last:], " "))
		}
		table = append(table, fields)
	}
	return table, nil
}

// printColumns prints a table as Docker prints that of top.
func printColumns(out io.Writer, table [][]string) error {
	w := tabwriter.NewWriter(out, 20, 1, 3, ' ', 0)
	for _, row := range table {
		for i := range row {
			row[i] = printable(row[i])
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}
