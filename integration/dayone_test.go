package integration

import (
	"strings"
	"testing"

	"rootlet/internal/testenv"
)

// TestDayWithOneID is the same day for a user without subordinate ids: root emulation
// stands for the ids that he does not have, so that nothing of it is done in another way.
func TestDayWithOneID(t *testing.T) {
	testenv.NeedUser(t)
	if hasSubIDs() {
		testenv.NotFor(t, "a user without subordinate ids")
	}
	d := newDay(t)
	t.Run("limits", d.part((*day).limits))
	t.Run("development", d.part((*day).development))
	d.services = d.makeServices("apt-get -q update && apt-get -q install -y --no-install-recommends " + packages)
	t.Run("services", d.part(func(d *day) {
		d.startServices(serviceFlags{redis: []string{"-u", "redis"}, postgres: []string{"-u", "postgres"}})
		d.lookAfterServices()
		d.crashServices()
		d.shareNetwork()
		d.upgradeServices()
		d.removeServices()
	}))
}

// limits is what one id is not enough for without root emulation; each says so.
func (d *day) limits() {
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{d.debian, "apt-get", "-q", "update"}, 100, "seteuid 42 failed"},
		{[]string{"-u", "www-data", d.debian, "id"}, 125, "run as user 33: it has no id on this host"},
		{[]string{"-u", "1000", d.debian, "id"}, 125, "run as user 1000: it has no id on this host"},
		{[]string{d.debian, "chown", "www-data", "/etc/motd"}, 1, "Invalid argument"},
	} {
		_, stderr, code := d.try(append(append([]string{"run", "--rm", "--no-root-emulation"}, d.apt...), c.args...)...)
		if code != c.code || !strings.Contains(stderr, c.want) {
			d.t.Errorf("%q: exit code %d, want %d with %q:\n%s", c.args, code, c.code, c.want, stderr)
		}
	}
	d.wants("0:0\n", "run", "--rm", "--no-root-emulation", d.debian, "stat", "-c", "%u:%g", "/etc/shadow") // root's own, as everything
}
