package integration

import (
	"os"
	"strings"
	"testing"

	"rootlet/internal/testenv"
)

// TestPackagesWithOneID installs what changes owners and ids most, and starts it. It takes a
// minute or two, and is run when it is asked for: ROOTLET_TEST_PACKAGES=1.
func TestPackagesWithOneID(t *testing.T) {
	testenv.NeedUser(t)
	if hasSubIDs() || os.Getenv("ROOTLET_TEST_PACKAGES") == "" {
		testenv.NotFor(t, "a user without subordinate ids, with ROOTLET_TEST_PACKAGES=1")
	}
	d := newDay(t)
	_, stderr, code := d.try(append([]string{"run", "--name", "made"}, append(d.apt, d.debian, "sh", "-c",
		"apt-get -q update && apt-get install -y openssh-server dbus postgresql nginx")...)...)
	if code != 0 {
		t.Fatalf("apt-get: exit code %d\n%s\n%s", code, stderr, d.rootlet("logs", "--tail", "30", "made"))
	}
	d.rootlet("commit", "made", "four:1")
	d.rootlet("rm", "made")
	for _, c := range []struct{ script, want string }{
		{"mkdir /run/sshd; sshd -t && echo well", "well"},
		{"nginx -t 2>&1 && nginx && stat -c %U /var/lib/nginx/body", "www-data"},
		{"mkdir -p /run/dbus; dbus-daemon --system && dbus-send --system --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.GetId", "string"},
		{`pg_ctlcluster 15 main start; su postgres -c "psql -Atc 'select 40 + 2'"`, "42"},
		{"stat -c %U:%G /var/lib/postgresql/15/main /etc/shadow", "postgres:postgres\nroot:shadow"},
		{"getent passwd sshd && id messagebus", "messagebus"},
	} {
		if stdout, stderr, _ := d.try("run", "--rm", "four:1", "sh", "-c", c.script); !strings.Contains(stdout, c.want) {
			t.Errorf("%s: %q, want %q: %s", c.script, stdout, c.want, stderr)
		}
	}
}
