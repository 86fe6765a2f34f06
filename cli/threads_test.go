package cli

import (
	"os"
	"path/filepath"
	"testing"
)

func TestThreadsOf(t *testing.T) {
	proc := t.TempDir()
	for name, status := range map[string]string{
		"1":    "Name:\tinit\nUid:\t0\t0\t0\t0\nThreads:\t1\n",
		"20":   "Name:\tsh\nUid:\t1001\t1001\t1001\t1001\nThreads:\t1\n",
		"21":   "Name:\trootlet\nUid:\t1001\t0\t0\t0\nThreads:\t12\n",
		"22":   "Name:\tother\nUid:\t10011\t1001\t1001\t1001\nThreads:\t7\n",
		"self": "Name:\tsh\nUid:\t1001\t1001\t1001\t1001\nThreads:\t100\n",
	} {
		dir := filepath.Join(proc, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "status"), []byte(status), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n := threadsOf(proc, 1001); n != 13 {
		t.Errorf("%d threads: want 13", n)
	}
}
