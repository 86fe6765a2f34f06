// Package autostart writes the systemd user unit by which containers start when
// their user logs in, or at boot where he lingers. It knows files only: what the
// unit runs, and what systemd says of it, is for cli.
package autostart

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
)

// Name is that of the unit.
const Name = "rootlet-autostart.service"

// mark is the first line of what we write. A file without it is not ours.
const mark = "# Written by `rootlet system autostart enable`; `disable` removes it.\n"

// Unit is what the unit runs.
type Unit struct {
	Program string            // absolute path of rootlet
	Env     map[string]string // what rootlet needs to find its helpers and its data
}

// Text is the unit's file (systemd.unit(5), systemd.service(5)).
func (u Unit) Text() (string, error) {
	if !filepath.IsAbs(u.Program) {
		return "", fmt.Errorf("%s: not an absolute path", u.Program)
	}
	program, err := quoted(u.Program)
	if err != nil {
		return "", err
	}
	env := ""
	for _, name := range slices.Sorted(maps.Keys(u.Env)) {
		word, err := quoted(name + "=" + u.Env[name])
		if err != nil {
			return "", err
		}
		env += "Environment=" + word + "\n"
	}
	// In ExecStart $ begins a variable, in Environment it does not.
	program = strings.ReplaceAll(program, "$", "$$")
	return mark + `[Unit]
Description=Containers of rootlet that are to run always, or unless they were stopped

[Service]
# The containers outlive the program that starts them, and belong to this unit:
# stopping it ends them. A unit that fails would be stopped, and with it those
# that did start; hence the minus sign.
Type=oneshot
RemainAfterExit=yes
ExecStart=-` + program + ` system autostart run
ExecStop=-` + program + ` system autostart stop
Delegate=yes
TimeoutStopSec=60
` + env + `
[Install]
WantedBy=default.target
`, nil
}

// quoted is one word of a unit's line (systemd.syntax(7)): % begins a specifier,
// \ an escape.
func quoted(word string) (string, error) {
	if strings.ContainsFunc(word, unicode.IsControl) {
		return "", fmt.Errorf("control characters in %q", word)
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%").Replace(word) + `"`, nil
}
