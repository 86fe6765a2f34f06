package distro

import (
	"strconv"
	"strings"
)

// Programs and services that packages are named for here.
const (
	Newuidmap     = "newuidmap"
	Slirp4netns   = "slirp4netns"
	Pasta         = "pasta"
	FuseOverlayfs = "fuse-overlayfs"
	UserBus       = "dbus-user-session"
)

// packageOf is the package that has a program; most are named like it.
func (d Distro) packageOf(program string) string {
	names := map[string]map[Family]string{
		Newuidmap: {Debian: "uidmap", Ubuntu: "uidmap", Fedora: "shadow-utils", RHEL: "shadow-utils", SUSE: "shadow", Arch: "shadow", Alpine: "shadow-subids"},
		Pasta:     {Debian: "passt", Ubuntu: "passt", Fedora: "passt", RHEL: "passt", SUSE: "passt", Arch: "passt", Alpine: "passt", Other: "passt"},
		UserBus:   {Fedora: "dbus-daemon", RHEL: "dbus-daemon", SUSE: "dbus-1", Arch: "dbus", Alpine: "dbus"},
	}
	if name, ok := names[program][d.Family]; ok {
		return name
	}
	return program
}

// managers are the words before the packages: to install, and to install again.
func managers() map[Family][2]string {
	return map[Family][2]string{
		Debian: {"apt-get install", "apt-get install --reinstall"},
		Ubuntu: {"apt-get install", "apt-get install --reinstall"},
		Fedora: {"dnf install", "dnf reinstall"},
		RHEL:   {"dnf install", "dnf reinstall"},
		SUSE:   {"zypper install", "zypper install --force"},
		Arch:   {"pacman -S", "pacman -S"},
		Alpine: {"apk add", "apk fix"},
	}
}

// Install is the line that installs what has these programs.
func (d Distro) Install(programs ...string) string { return d.packages(0, programs) }

// Reinstall is the line that puts it back as it came.
func (d Distro) Reinstall(programs ...string) string { return d.packages(1, programs) }

func (d Distro) packages(which int, programs []string) string {
	var names []string
	for _, program := range programs {
		names = append(names, d.packageOf(program))
	}
	list := strings.Join(names, " ")
	if words, ok := managers()[d.Family]; ok {
		return words[which] + " " + list
	}
	return "# install " + list + " with your distribution's package manager"
}

// GiveIDs is the line that gives a user count subordinate ids from first on.
func (d Distro) GiveIDs(user string, first, count uint32, uids, gids bool) []string {
	if d.Family == Alpine { // whose usermod is in a package of its own, and rarely there
		var files []string
		if uids {
			files = append(files, "/etc/subuid")
		}
		if gids {
			files = append(files, "/etc/subgid")
		}
		return []string{"echo " + user + ":" + number(first) + ":" + number(count) + " | tee -a " + strings.Join(files, " ")}
	}
	line := "usermod"
	span := number(first) + "-" + number(first+count-1)
	if uids {
		line += " --add-subuids " + span
	}
	if gids {
		line += " --add-subgids " + span
	}
	return []string{line + " " + user}
}

// NewerKernel are the lines that bring a newer kernel.
func (d Distro) NewerKernel() []string {
	lines := map[Family]string{
		Debian: "apt-get update && apt-get full-upgrade   # of a newer release, or its kernel from backports",
		Ubuntu: "apt-get install linux-generic-hwe-" + d.Version,
		Fedora: "dnf upgrade kernel",
		RHEL:   "dnf upgrade kernel",
		SUSE:   "zypper update kernel-default",
		Arch:   "pacman -Syu linux",
		Alpine: "apk upgrade linux-lts",
	}
	if line, ok := lines[d.Family]; ok {
		return []string{line, "reboot"}
	}
	return []string{"# upgrade the kernel, and reboot"}
}

// CgroupV2 are the lines by which the host boots with cgroups of version 2 only.
func (d Distro) CgroupV2() []string {
	if d.Is(Alpine) {
		return []string{
			"sed -i 's/^#*rc_cgroup_mode=.*/rc_cgroup_mode=\"unified\"/' /etc/rc.conf",
			"rc-update add cgroups && rc-service cgroups restart",
		}
	}
	return d.KernelArgument("systemd.unified_cgroup_hierarchy=1")
}

// KernelArgument are the lines by which the kernel boots with one more word on its
// command line.
func (d Distro) KernelArgument(argument string) []string {
	switch d.Family {
	case Alpine:
		return []string{"sed -i 's/^default_kernel_opts=\"/&" + argument + " /' /etc/update-extlinux.conf && update-extlinux", "reboot"}
	case Fedora, RHEL:
		return []string{"grubby --update-kernel=ALL --args=" + argument, "reboot"}
	}
	update := "update-grub"
	if d.Is(SUSE) {
		update = "grub2-mkconfig -o /boot/grub2/grub.cfg"
	} else if d.Is(Arch) {
		update = "grub-mkconfig -o /boot/grub/grub.cfg"
	}
	return []string{"sed -i 's/^GRUB_CMDLINE_LINUX=\"/&" + argument + " /' /etc/default/grub && " + update, "reboot"}
}

func number(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
