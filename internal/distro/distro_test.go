package distro

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFamilies(t *testing.T) {
	for text, want := range map[string]Distro{
		"ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\n":        {Debian, "Debian GNU/Linux 12 (bookworm)", "12"},
		"ID=linuxmint\nID_LIKE=\"ubuntu debian\"\nPRETTY_NAME='Linux Mint 22'\nVERSION_ID=22\n": {Ubuntu, "Linux Mint 22", "22"},
		"ID=raspbian\nID_LIKE=debian\n": {Debian, "Linux", ""},
		"ID=fedora\n":                   {Fedora, "Linux", ""},
		"ID=\"almalinux\"\nID_LIKE=\"rhel centos fedora\"\n":        {RHEL, "Linux", ""},
		"ID=\"centos\"\nID_LIKE=\"rhel fedora\"\n":                  {RHEL, "Linux", ""},
		"ID=\"amzn\"\nID_LIKE=\"fedora\"\n":                         {Fedora, "Linux", ""},
		"ID=\"opensuse-tumbleweed\"\nID_LIKE=\"opensuse suse\"\n":   {SUSE, "Linux", ""},
		"ID=manjaro\nID_LIKE=arch\n":                                {Arch, "Linux", ""},
		"ID=alpine\nVERSION_ID=3.20.1\n":                            {Alpine, "Linux", "3.20.1"},
		"NAME=NixOS\nID=nixos\n# ID=debian\n":                       {Other, "Linux", ""},
		"":                                                          {Other, "Linux", ""},
		"garbage\n=\n\"\nID\nID_LIKE=\"\nPRETTY_NAME=\n=debian\nID": {Other, "Linux", ""},
	} {
		if got := parse(text); got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
}

// /usr/lib has the file where /etc has none (os-release(5)).
func TestRead(t *testing.T) {
	root := t.TempDir()
	if d := Read(root); d != (Distro{Name: "Linux"}) {
		t.Errorf("no file: %+v", d)
	}
	for _, c := range []struct {
		dir, id string
		want    Family
	}{{"usr/lib", "alpine", Alpine}, {"etc", "arch", Arch}} {
		dir := filepath.Join(root, c.dir)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "os-release"), []byte("ID="+c.id+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if d := Read(root); d.Family != c.want {
			t.Errorf("%s: %+v", c.dir, d)
		}
	}
}

func TestPackages(t *testing.T) {
	for _, c := range []struct {
		family             Family
		install, reinstall string
	}{
		{Debian, "apt-get install uidmap passt", "apt-get install --reinstall uidmap passt"},
		{Ubuntu, "apt-get install uidmap passt", "apt-get install --reinstall uidmap passt"},
		{Fedora, "dnf install shadow-utils passt", "dnf reinstall shadow-utils passt"},
		{RHEL, "dnf install shadow-utils passt", "dnf reinstall shadow-utils passt"},
		{SUSE, "zypper install shadow passt", "zypper install --force shadow passt"},
		{Arch, "pacman -S shadow passt", "pacman -S shadow passt"},
		{Alpine, "apk add shadow-subids passt", "apk fix shadow-subids passt"},
		{Other, "# install newuidmap passt with your distribution's package manager", "# install newuidmap passt with your distribution's package manager"},
	} {
		d := Distro{Family: c.family}
		if got := d.Install(Newuidmap, Pasta); got != c.install {
			t.Errorf("%s: %s", c.family, got)
		}
		if got := d.Reinstall(Newuidmap, Pasta); got != c.reinstall {
			t.Errorf("%s: %s", c.family, got)
		}
	}
}
