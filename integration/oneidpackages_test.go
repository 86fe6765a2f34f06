package integration

import (
	"os"
	"strings"
	"testing"

	"rootlet/internal/testenv"
)

// makePackages makes a package for rpm and one for dpkg, with files of others and a device.
const makePackages = `set -e
mkdir -p /own/DEBIAN /own/opt/deb /repo && echo x >/own/opt/deb/f && chown games:mail /own/opt/deb/f
printf 'Package: owndeb\nVersion: 1\nArchitecture: all\nMaintainer: x\nDescription: x\n' >/own/DEBIAN/control
printf '#!/bin/sh\nset -e\nadduser --quiet --system --group --no-create-home owndeb\nchown owndeb:owndeb /opt/deb\nmknod /opt/deb/null c 1 3\n' >/own/DEBIAN/postinst
chmod 755 /own/DEBIAN/postinst && dpkg-deb -b /own /own.deb
cat >/own.spec <<S
Name: own
Version: 1
Release: 1
Summary: owners
License: none
BuildArch: noarch
%description
owners
%install
mkdir -p %{buildroot}/opt/own && echo x >%{buildroot}/opt/own/f
%files
%attr(750, games, mail) %dir /opt/own
%attr(640, daemon, mail) /opt/own/f
S
rpmbuild -bb /own.spec && cp /root/rpmbuild/RPMS/noarch/own-1-1.noarch.rpm /repo && createrepo_c -q /repo
`

// otherManagers installs with rpm, dnf and dpkg.
func (d *day) otherManagers() {
	d.t.Helper()
	if _, stderr, code := d.try(append([]string{"run", "--name", "tools"}, append(d.apt, d.debian, "sh", "-c",
		"apt-get -q update && apt-get install -y --no-install-recommends rpm dnf createrepo-c && "+makePackages)...)...); code != 0 {
		d.t.Fatalf("rpm and dnf: exit code %d\n%s\n%s", code, stderr, d.rootlet("logs", "--tail", "30", "tools"))
	}
	d.rootlet("commit", "tools", "tools:1")
	d.rootlet("rm", "tools")
	const owners = "; stat -c '%U:%G %a' /opt/own /opt/own/f"
	for _, c := range []struct{ script, want string }{
		{"rpm -i /repo/own-1-1.noarch.rpm && rpm -V own" + owners, "games:mail 750\ndaemon:mail 640"},
		{"dnf -q -y --releasever 12 --disablerepo='*' --repofrompath=own,/repo --nogpgcheck install own" + owners, "games:mail 750\ndaemon:mail 640"},
		{"dpkg -i /own.deb; stat -c '%U:%G %F' /opt/deb /opt/deb/f /opt/deb/null", "owndeb:owndeb directory\ngames:mail regular file\nroot:root character special file"},
	} {
		if stdout, stderr, _ := d.try("run", "--rm", "--network", "none", "tools:1", "sh", "-c", c.script); !strings.Contains(stdout, c.want) {
			d.t.Errorf("%s: %q, want %q: %s", c.script, stdout, c.want, stderr)
		}
	}
}

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
	d.otherManagers()
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
