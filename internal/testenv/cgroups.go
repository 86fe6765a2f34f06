package testenv

import (
	"os"
	"os/user"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// NeedLegacyCgroups goes on only where the user has directories among the control groups
// of version 1, and returns what they are called in each hierarchy. A host that mounts
// the controllers as version 2 only cannot give any: testdata/vm/limits.sh is for such.
func NeedLegacyCgroups(t testing.TB) string {
	t.Helper()
	const mount = "/sys/fs/cgroup"
	var st unix.Statfs_t
	if unix.Statfs(mount+"/memory", &st) != nil || st.Type != unix.CGROUP_SUPER_MAGIC {
		t.Skip("needs the memory controller in version 1 of control groups at " + mount + "/memory; testdata/vm/limits.sh is the test for version 2")
	}
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	name := "rootlet-test-" + u.Username
	for _, controller := range []string{"cpu", "cpuset", "freezer", "memory", "pids"} {
		dir := filepath.Join(mount, controller, name)
		if unix.Access(dir, unix.W_OK) != nil {
			if os.Geteuid() == 0 {
				NotFor(t, "an ordinary user's control groups")
			}
			Skip(t, dir+" to be this user's")
		}
	}
	return name
}
