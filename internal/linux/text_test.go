package linux

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestReadOnlyMapping(t *testing.T) {
	const binary = "/home/a b/rootlet"
	for line, want := range map[string]bool{
		"00400000-00cfe000 r-xp 00000000 fe:00 393 /home/a b/rootlet":         true,
		"00cfe000-01500000 r--p 008fe000 fe:00 393    /home/a b/rootlet":      true,
		"01500000-01570000 rw-p 01100000 fe:00 393 /home/a b/rootlet":         false,
		"01570000-01580000 ---p 01100000 fe:00 393 /home/a b/rootlet":         false,
		"00400000-00cfe000 r-xp 00000000 fe:00 393 /elsewhere/home/a b/other": false,
		"c000000000-c000400000 rw-p 00000000 00:00 0":                         false,
		"nonsense": false, "": false, "zz-yy r-xp 0 0 0 /home/a b/rootlet": false, "2-1 r-xp 0 0 0 /home/a b/rootlet": false,
	} {
		start, size, ok := readOnlyMapping(line, binary)
		if ok != want || ok && (start == 0 || size == 0 || size > 1<<32) {
			t.Errorf("%q: %#x, %d, %v", line, start, size, ok)
		}
	}
}

// The process goes on, with less of its binary mapped.
func TestLetGoOfText(t *testing.T) {
	before := mapped(t)
	LetGoOfText()
	if after := mapped(t); after >= before {
		t.Errorf("%d kB before, %d after", before, after)
	}
}

// mapped is how much of files the process has mapped, in kB (proc_pid_status(5)).
func mapped(t *testing.T) (kB int) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if _, err := fmt.Sscanf(line, "RssFile: %d kB", &kB); err == nil {
			return kB
		}
	}
	t.Fatal("no RssFile")
	return 0
}
