package autostart

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var unit = Unit{Program: "/home/me/bin/rootlet", Env: map[string]string{"PATH": "/usr/bin:/home/me/bin"}}

func TestText(t *testing.T) {
	text, err := Unit{Program: `/home/m e/$x%h"/rootlet`, Env: map[string]string{"B": `a\b`, "A": "50%$"}}.Text()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`ExecStart=-"/home/m e/$$x%%h\"/rootlet" system autostart run`,
		`ExecStop=-"/home/m e/$$x%%h\"/rootlet" system autostart stop`,
		`Environment="A=50%%$"` + "\n" + `Environment="B=a\\b"`,
		"WantedBy=default.target",
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %s in\n%s", line, text)
		}
	}
	for _, u := range []Unit{{Program: "rootlet"}, {Program: "/x\ny"}, {Program: "/x", Env: map[string]string{"A": "b\nExecStart=/bin/sh"}}} {
		if text, err := u.Text(); err == nil {
			t.Errorf("%+v: %s", u, text)
		}
	}
}

func TestEnableTwiceAndDisable(t *testing.T) {
	d := Dir(filepath.Join(t.TempDir(), "systemd", "user"))
	steps := []struct {
		name    string
		do      func() (bool, error)
		changed bool
		enabled bool
	}{
		{"disable what is not there", d.Disable, false, false},
		{"enable", func() (bool, error) { return d.Enable(unit) }, true, true},
		{"enable again", func() (bool, error) { return d.Enable(unit) }, false, true},
		{"enable another program", func() (bool, error) { return d.Enable(Unit{Program: "/usr/bin/rootlet"}) }, true, true},
		{"enable without the link", func() (bool, error) { return true, os.Remove(d.link()) }, true, false},
		{"mend the link", func() (bool, error) { return d.Enable(unit) }, true, true},
		{"disable", d.Disable, true, false},
		{"disable again", d.Disable, false, false},
	}
	for _, step := range steps {
		if changed, err := step.do(); changed != step.changed || err != nil {
			t.Fatalf("%s: %v, %v", step.name, changed, err)
		}
		if enabled, err := d.Enabled(); enabled != step.enabled || err != nil {
			t.Fatalf("after %s: enabled %v, %v", step.name, enabled, err)
		}
	}
	if left, _ := filepath.Glob(string(d) + "/*"); len(left) != 1 { // default.target.wants
		t.Errorf("left: %v", left)
	}
}

func TestForeignUnitStays(t *testing.T) {
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	for name, place := range map[string]func(path string) error{
		"file":      func(path string) error { return os.WriteFile(path, []byte("[Service]\n"), 0o600) },
		"symlink":   func(path string) error { return os.Symlink(elsewhere, path) },
		"directory": func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		d := Dir(t.TempDir())
		if err := place(d.Path()); err != nil {
			t.Fatal(err)
		}
		var foreign *ForeignError
		if _, err := d.Enable(unit); !errors.As(err, &foreign) {
			t.Errorf("%s: enable: %v", name, err)
		}
		if _, err := d.Disable(); !errors.As(err, &foreign) {
			t.Errorf("%s: disable: %v", name, err)
		}
		if _, err := os.Lstat(d.Path()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Lstat(elsewhere); err == nil {
		t.Error("written through a symlink")
	}
}
