package seccomp

import "testing"

func TestPinned(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		m := Machine{Arch: arch, Kernel: [2]int{6, 1}, HasCap: func(string) bool { return false }}
		f, err := Pinned(m)
		if err != nil {
			t.Fatal(err)
		}
		for call, want := range map[string]bool{
			"sched_setaffinity": false, "sched_getaffinity": true, "mount": true, "seccomp": true, "execve": true, "clone3": true,
		} {
			if got := f.Permits(m, call); got != want {
				t.Errorf("%s on %s: %v", call, arch, got)
			}
		}
	}
}
