package cli

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestKeepProcesses(t *testing.T) {
	const output = "UID   PID LWP CMD\nroot    1 1 init splash\nann    20 20 sh -c  two words\n-       - 21 -\nbob   200 200 other\n-       - 201 -\n"
	table, err := keepProcesses(output, []int{20})
	want := [][]string{{"UID", "PID", "LWP", "CMD"}, {"ann", "20", "20", "sh -c two words"}, {"-", "-", "21", "-"}}
	if err != nil || !slices.EqualFunc(table, want, slices.Equal[[]string]) {
		t.Errorf("got %q, %v", table, err)
	}
	for _, output := range []string{"", "CMD\nx\n", "PID CMD\nx y\n"} {
		if table, err := keepProcesses(output, []int{20}); err == nil {
			t.Errorf("%q: got %q", output, table)
		}
	}
}

func TestOwnTable(t *testing.T) {
	table, err := ownTable([]int{os.Getpid(), 1 << 30}, time.Now())
	if err != nil || len(table) != 2 {
		t.Fatalf("got %q, %v", table, err)
	}
	row := table[1]
	if len(row) != len(table[0]) || row[1] != strconv.Itoa(os.Getpid()) || row[0] != strconv.Itoa(os.Geteuid()) {
		t.Errorf("got %q", row)
	}
}

func TestColumnsOfOwnTable(t *testing.T) {
	now := time.Date(2026, 1, 20, 12, 0, 0, 0, time.Local)
	for _, c := range []struct{ got, want string }{
		{startTime(now.Add(-time.Hour), now), "11:00"},
		{startTime(now.Add(-48*time.Hour), now), "Jan18"},
		{clock(3*time.Hour + 25*time.Minute + 7*time.Second), "03:25:07"},
		{terminalName(0), "?"},
		{terminalName(136<<8 | 5), "pts/5"},
		{strconv.Itoa(share(time.Second, 4*time.Second)), "25"},
		{strconv.Itoa(share(time.Second, 0)), "0"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

// FuzzKeepProcesses holds that whatever a container's processes are called, top shows none
// but the container's, one in a line, and nothing that moves a terminal.
func FuzzKeepProcesses(f *testing.F) {
	f.Add("UID   PID LWP CMD\nroot    1 1 init splash\nann    20 20 sh -c  two words\n-       - 21 -\n")
	f.Add("CMD PID\n20 20\na 20 1\n20 1\n")
	f.Add("PID CMD\n20 \x1b[2J\xff\u202e\t\r\n20\v")
	f.Add("PID\n+20\n020\n")
	f.Fuzz(func(t *testing.T, output string) {
		table, err := keepProcesses(output, []int{20})
		if err != nil {
			return
		}
		column := slices.Index(table[0], "PID")
		for _, row := range table[1:] {
			pid, err := strconv.Atoi(row[column])
			if row[column] != "-" && column < len(table[0])-1 && (err != nil || pid != 20) || len(row) > len(table[0]) {
				t.Errorf("%q of %q", row, table[0])
			}
		}
		var shown bytes.Buffer
		if err := printColumns(&shown, table); err != nil || strings.Count(shown.String(), "\n") != len(table) || printableLines(strings.Split(shown.String(), "\n")) != shown.String() {
			t.Errorf("%q is shown, %v", shown.String(), err)
		}
	})
}
