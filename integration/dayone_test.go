package integration

import (
	"strings"
	"testing"

	"rootlet/internal/testenv"
)

// TestDayWithOneID is the same day for a user without subordinate ids. Packages
// that need a second user are unpacked and not configured, which apt says, and
// then their programs run all the same: as root, who is the user, or as the user.
func TestDayWithOneID(t *testing.T) {
	testenv.NeedUser(t)
	if hasSubIDs() {
		testenv.NotFor(t, "a user without subordinate ids")
	}
	d := newDay(t)
	t.Run("limits", d.part((*day).limits))
	d.first = asRoot
	t.Run("development", d.part((*day).development))
	// Debian's scripts would have made the cluster.
	d.services = d.makeServices(d.first + "apt-get -q update && apt-get -q install -y --no-install-recommends " + packages + ` >/tmp/apt.log 2>&1
		grep '^E: Sub-process /usr/bin/dpkg returned an error code' /tmp/apt.log || exit
		mkdir -p /var/lib/postgresql/15 /etc/postgresql/15/main /var/run/postgresql /var/lib/redis /var/www/html
		sed -i 's/^user .*/user root;/' /etc/nginx/nginx.conf
		ln -sf ../sites-available/default /etc/nginx/sites-enabled/default
		cp /usr/share/nginx/html/index.html /var/www/html/
		cp /usr/share/postgresql/15/postgresql.conf.sample /etc/postgresql/15/main/postgresql.conf
		echo "data_directory = '` + clusterData + `'" >>/etc/postgresql/15/main/postgresql.conf
		ls -l /usr/bin/redis-server /usr/sbin/nginx ` + postgresProgram)
	t.Run("services", d.part(func(d *day) {
		keep := []string{"--userns", "keep-id"}
		d.rootlet("run", "--rm", "--userns", "keep-id", "-v", "dbdata:/var/lib/postgresql", d.services,
			"/usr/lib/postgresql/15/bin/initdb", "-D", clusterData)
		d.startServices(serviceFlags{postgres: keep})
		d.lookAfterServices()
		d.crashServices()
		d.upgradeServices()
		d.removeServices()
	}))
}

// asRoot has apt fetch as root: its own user _apt has no id.
const asRoot = `echo 'APT::Sandbox::User "root";' >/etc/apt/apt.conf.d/98root; `

// limits is what one id is not enough for; each says so.
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
		_, stderr, code := d.try(append(append([]string{"run", "--rm"}, d.apt...), c.args...)...)
		if code != c.code || !strings.Contains(stderr, c.want) {
			d.t.Errorf("%q: exit code %d, want %d with %q:\n%s", c.args, code, c.code, c.want, stderr)
		}
	}
	d.wants("0:0\n", "run", "--rm", d.debian, "stat", "-c", "%u:%g", "/etc/shadow") // root's own, as everything
}
