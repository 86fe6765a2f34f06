// Package distro tells distributions apart, by os-release(5), and knows the lines
// that an administrator types there. It runs nothing; every hint that names a
// package comes from here.
package distro

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Family is a distribution whose lines are known, and those made from it.
type Family string

// The families. Other is any that is none of these.
const (
	Debian Family = "debian"
	Ubuntu Family = "ubuntu"
	Fedora Family = "fedora"
	RHEL   Family = "rhel"
	SUSE   Family = "suse"
	Arch   Family = "arch"
	Alpine Family = "alpine"
	Other  Family = ""
)

// Distro is what os-release says.
type Distro struct {
	Family  Family
	Name    string // as people read it
	Version string // VERSION_ID; empty where it rolls
}

// Here is this host's.
func Here() Distro { return Read("/") }

// Read is the distribution whose root directory this is.
func Read(root string) Distro {
	for _, file := range []string{"etc/os-release", "usr/lib/os-release"} {
		if text, err := os.ReadFile(filepath.Join(root, file)); err == nil {
			return parse(string(text))
		}
	}
	return Distro{Name: "Linux"}
}

func parse(text string) Distro {
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			fields[key] = strings.Trim(value, `"'`)
		}
	}
	d := Distro{Name: fields["PRETTY_NAME"], Version: fields["VERSION_ID"]}
	if d.Name == "" {
		d.Name = "Linux"
	}
	// ID_LIKE begins with what is closest: "rhel centos fedora", "ubuntu debian".
	for _, id := range append([]string{fields["ID"]}, strings.Fields(fields["ID_LIKE"])...) {
		if family, ok := families()[id]; ok {
			d.Family = family
			break
		}
	}
	return d
}

func families() map[string]Family {
	return map[string]Family{
		"debian": Debian, "ubuntu": Ubuntu, "fedora": Fedora, "rhel": RHEL, "centos": RHEL,
		"suse": SUSE, "opensuse": SUSE, "sles": SUSE, "arch": Arch, "alpine": Alpine,
	}
}

// Is says whether it is one of these.
func (d Distro) Is(these ...Family) bool { return slices.Contains(these, d.Family) }
