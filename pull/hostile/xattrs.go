package hostile

import (
	"archive/tar"
	"strings"

	"rootlet/pull/registrytest"
)

// xattrs are attributes that the drivers, other tools or the kernel heed.
// Whoever runs a case looks into the stored layer for them.
func xattrs() []Case {
	shown := shell("ls /bin/busybox; ls -ln /x /d; id -u")
	one := func(name, value string) func(*Scene, string) {
		return members(attributed(file("x", "x"), name, value), attributed(directory("d"), name, value), attributed(directory("bin"), name, value))
	}
	capability := func(revision byte, rest string) string { return "\x01\x00\x00" + string(revision) + rest }
	return of(27,
		Case{Name: "overlay-opaque", What: "/bin stays as it was below", Serve: one("user.overlay.opaque", "y"), Run: shown, Shows: "/bin/busybox"},
		Case{Name: "overlay-redirect", Serve: one("user.overlay.redirect", "/root"), Run: shown, Shows: "/bin/busybox"},
		Case{Name: "overlay-metacopy", Serve: one("user.overlay.metacopy", ""), Run: shown, Shows: "/bin/busybox"},
		Case{Name: "overlay-whiteout", Serve: one("user.overlay.whiteout", ""), Run: shown, Shows: "/bin/busybox"},
		Case{Name: "overlay-whiteouts", Serve: one("user.overlay.whiteouts", "x"), Run: shown, Shows: "/bin/busybox"},
		Case{Name: "overlay-origin", Serve: one("user.overlay.origin", "\x00\xfb\x21"), Run: shown, Shows: "/bin/busybox"},
		Case{Name: "overlay-nested", Serve: one("user.overlay.overlay.opaque", "y"), Run: shown, Shows: "/bin/busybox"},
		Case{Name: "trusted-overlay", Serve: one("trusted.overlay.opaque", "y"), Run: shown, Shows: "/bin/busybox"},
		Case{Name: "containers-override", What: "gives x another owner and the set-user-ID bit", Serve: one("user.containers.override_stat", "1000:1000:0104755"), Run: shown, Shows: `-rw-r--r-- +1 0 +0 `},
		Case{Name: "fuseoverlayfs-override", Serve: one("user.fuseoverlayfs.override_stat", "1000:1000:0104755"), Run: shown, Shows: `-rw-r--r-- +1 0 +0 `},
		Case{Name: "fuseoverlayfs-opaque", Serve: one("user.fuseoverlayfs.opaque", "y"), Run: shown, Shows: "/bin/busybox"},
		Case{Name: "rootlet-owner", What: "our own record", Serve: one("user.rootlet.owner", "1000:1000"), Run: shown, Shows: `-rw-r--r-- +1 0 +0 `},
		Case{Name: "selinux-label", Serve: one("security.selinux", "system_u:object_r:shadow_t:s0"), Run: shown, Shows: "/bin/busybox"},
		Case{Name: "ima", Serve: one("security.ima", "\x03\x02"), Run: shown, Shows: "/bin/busybox"},
		Case{Name: "evm", Serve: one("security.evm", "\x02"), Run: shown, Shows: "/bin/busybox"},
		Case{Name: "capability-host-root", What: "version 3 for uid 0 of the host: becomes the user's own namespace's", Serve: members(attributed(file("x", "x"), "security.capability", capability(3, strings.Repeat("\xff", 16)+"\x00\x00\x00\x00"))), Run: shown, Shows: "/bin/busybox"},
		Case{Name: "capability-short", Serve: members(attributed(file("x", "x"), "security.capability", "\x01\x00")), Refused: "malformed file capabilities"},
		Case{Name: "capability-revision-9", Serve: members(attributed(file("x", "x"), "security.capability", capability(9, strings.Repeat("\x00", 16)))), Refused: "malformed file capabilities"},
		Case{Name: "capability-v3-cut", Serve: members(attributed(file("x", "x"), "security.capability", capability(3, strings.Repeat("\x00", 16)))), Refused: "malformed file capabilities"},
		Case{Name: "acl-junk", Serve: one("system.posix_acl_access", "junk"), Run: shown, Shows: "/bin/busybox"},
		Case{Name: "acl-default", What: "no file made later inherits it outside", Serve: one("system.posix_acl_default", "\x02\x00\x00\x00\x01\x00\x07\x00\xff\xff\xff\xff\x04\x00\x07\x00\xff\xff\xff\xff\x20\x00\x07\x00\xff\xff\xff\xff"), Run: shown, Shows: "/bin/busybox"},
		Case{Name: "unknown-namespace", Serve: one("evil.thing", "x"), Run: shown, Shows: "/bin/busybox"},
		Case{Name: "empty-name", Serve: one("", "x"), Run: shown, Shows: "/bin/busybox"},
		Case{Name: "name-of-300-bytes", Serve: one("user."+strings.Repeat("n", 300), "x"), Run: shown, Shows: "/bin/busybox"},
		Case{Name: "value-of-300-kib", Serve: members(attributed(file("x", "x"), "user.big", strings.Repeat("v", 300<<10))), Refused: "bytes of extended attributes"},
		Case{Name: "four-thousand", Serve: members(attributed(file("x", "x"), manyXattrs(4000)...)), Refused: "bytes of extended attributes"},
		Case{Name: "libarchive-spelling", What: "LIBARCHIVE.xattr is not read", Serve: archived(joined(
			pax(tar.TypeXHeader, "LIBARCHIVE.xattr.user.overlay.opaque", "eQ"), raw(rawHeader{name: "bin/", kind: tar.TypeDir}, ""))), Run: shell("ls /bin/busybox"), Shows: "/bin/busybox"},
	)
}

func manyXattrs(n int) []string {
	var pairs []string
	for i := range n {
		pairs = append(pairs, "user.n"+number(i), strings.Repeat("v", 100))
	}
	return pairs
}

// links are files in the image's /etc that lead elsewhere, where a runtime reads
// or writes them.
func links() []Case {
	ran := shell("echo ran")
	return of(33,
		Case{Name: "hosts-to-victim", Serve: members(directory("etc"), symlink("etc/hosts", "VICTIM/hello")), Run: shell("cat /etc/hosts"), Shows: "localhost"},
		Case{Name: "resolv-dotdot", Serve: members(directory("etc"), symlink("etc/resolv.conf", up+"VICTIM/new")), Run: ran, Shows: "ran"},
		Case{Name: "hostname-loop", Serve: members(directory("etc"), symlink("etc/hostname", "hostname")), Run: ran, Refused: "/etc/hostname.*symbolic links"},
		Case{Name: "hosts-fifo", Serve: members(directory("etc"), special(tar.TypeFifo, "etc/hosts")), Run: shell("cat /etc/hosts"), Shows: "localhost"},
		Case{Name: "hosts-directory", Serve: members(directory("etc/hosts")), Run: ran, Refused: "/etc/hosts"},
		Case{Name: "etc-to-victim", Serve: members(file(".wh.etc", ""), symlink("etc", "VICTIM")), Run: shell("cat /etc/hosts"), Shows: "localhost"},
		Case{Name: "etc-file", Serve: members(file("etc", "x")), Run: ran, Refused: "/etc"},
		Case{Name: "mtab-to-victim", Serve: members(directory("etc"), symlink("etc/mtab", "VICTIM/hello")), Run: ran, Shows: "ran"},
		Case{Name: "localtime-to-victim", Serve: members(directory("etc"), symlink("etc/localtime", "VICTIM/hello")), Run: append([]string{"-e", "TZ="}, ran...), Shows: "ran"},
		Case{Name: "dev-to-victim", Serve: members(symlink("dev", "VICTIM")), Run: ran, Refused: "/dev"},
		Case{Name: "proc-to-victim", Serve: members(symlink("proc", "VICTIM")), Run: ran, Refused: "/proc"},
		Case{Name: "sys-to-victim", Serve: members(symlink("sys", up+"VICTIM")), Run: ran, Refused: "/sys"},
		Case{Name: "tmpfs-to-victim", What: "--tmpfs mounts inside", Serve: members(symlink("scratch", "VICTIM")), Run: append([]string{"--tmpfs", "/scratch"}, shell("touch /scratch/new && echo ran")...), Shows: "ran"},
		Case{Name: "volume-to-victim", What: "-v mounts inside", Serve: members(symlink("data", "VICTIM")), Run: append([]string{"-v", "/data"}, shell("touch /data/new && echo ran")...), Shows: "ran"},
		Case{Name: "setuid-program", What: "belongs to the user, and to root of no other", Serve: members(registrytest.File{Name: "su", Body: "x", Mode: 0o4755}), Run: shell("ls -ln /su"), Shows: `^-rwsr-xr-x`},
	)
}
