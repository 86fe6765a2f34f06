package cli

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rootlet/sandbox"
	"rootlet/sandbox/record"
)

func TestParseVolume(t *testing.T) {
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", "/home/me")
	bind := record.Mount{Type: record.Bind, Source: "/src", Target: "/x", Recursive: true, MakeSource: true}
	with := func(m record.Mount, change func(*record.Mount)) record.Mount { change(&m); return m }
	for text, want := range map[string]record.Mount{
		"/x":                   {Type: record.Volume, Target: "/x"},
		"/src:/x":              bind,
		"/src:/x/":             bind,
		"/src:/x:":             bind,
		"/src:/x:rw,z":         bind,
		"/a/../src:/y/../x:Z":  bind,
		"/src:/x:ro":           with(bind, func(m *record.Mount) { m.ReadOnly = true }),
		"/src:/x:bind":         with(bind, func(m *record.Mount) { m.Recursive = false }),
		"/src:/x:rslave":       with(bind, func(m *record.Mount) { m.Propagation = "rslave" }),
		"/src:/x:nosuid,nodev": with(bind, func(m *record.Mount) { m.NoSuid, m.NoDev = true, true }),
		"/src:/x:noexec":       with(bind, func(m *record.Mount) { m.NoExec = true }),
		"./rel:/x":             with(bind, func(m *record.Mount) { m.Source = filepath.Join(here, "rel") }),
		".:/x":                 with(bind, func(m *record.Mount) { m.Source = here }),
		"..:/x":                with(bind, func(m *record.Mount) { m.Source = filepath.Dir(here) }),
		"~/a:/x":               with(bind, func(m *record.Mount) { m.Source = "/home/me/a" }),
		"~:/x":                 with(bind, func(m *record.Mount) { m.Source = "/home/me" }),
		"data:/x":              {Type: record.Volume, Source: "data", Target: "/x"},
		"data:/x:ro,nocopy":    {Type: record.Volume, Source: "data", Target: "/x", ReadOnly: true, NoCopy: true},
	} {
		if got, err := parseVolume(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
}

func TestParseVolumeErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":             "not an absolute path",
		"x":            "not an absolute path",
		":/x":          "source is empty",
		"/a:":          "not an absolute path",
		"/a:x":         "not an absolute path",
		"/a:/":         "must not be /",
		"/a:/..":       "must not be /",
		"/":            "must not be /",
		"/a:/b:ro:x":   "want SOURCE:TARGET",
		"/a:/b:foo":    `unknown option "foo"`,
		"rel/dir:/x":   "invalid volume name",
		"-x:/x":        "invalid volume name",
		"/a:/b\nc":     "control characters",
		"/a\x00b:/c":   "control characters",
		"data:/x:ro,!": `unknown option "!"`,
	} {
		if got, err := parseVolume(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v; want %s", text, got, err, want)
		}
	}
}

func TestParseMount(t *testing.T) {
	for text, want := range map[string]record.Mount{
		"type=bind,source=/a,target=/x":                   {Type: record.Bind, Source: "/a", Target: "/x", Recursive: true},
		"type=bind,src=/a,dst=/x,ro":                      {Type: record.Bind, Source: "/a", Target: "/x", Recursive: true, ReadOnly: true},
		"TYPE=bind,Src=/a,destination=/x,readonly=1":      {Type: record.Bind, Source: "/a", Target: "/x", Recursive: true, ReadOnly: true},
		"type=bind,src=/a,dst=/x,readonly=false":          {Type: record.Bind, Source: "/a", Target: "/x", Recursive: true},
		"type=bind,src=/a,dst=/x,bind-nonrecursive":       {Type: record.Bind, Source: "/a", Target: "/x"},
		"type=bind,src=/a,dst=/x,bind-propagation=shared": {Type: record.Bind, Source: "/a", Target: "/x", Recursive: true, Propagation: "shared"},
		`type=bind,"src=/a,b",target=/x`:                  {Type: record.Bind, Source: "/a,b", Target: "/x", Recursive: true},
		`type=bind,"src=/a""b",target=/x`:                 {Type: record.Bind, Source: `/a"b`, Target: "/x", Recursive: true},
		"type=bind,src=/a:b,dst=/x=y":                     {Type: record.Bind, Source: "/a:b", Target: "/x=y", Recursive: true},
		"target=/x":                                       {Type: record.Volume, Target: "/x"},
		"source=data,target=/x,volume-nocopy,nosuid":      {Type: record.Volume, Source: "data", Target: "/x", NoCopy: true, NoSuid: true},
		"type=tmpfs,target=/x":                            {Type: record.Tmpfs, Target: "/x", NoExec: true},
		"type=tmpfs,dst=/x,tmpfs-size=1m,tmpfs-mode=700":  {Type: record.Tmpfs, Target: "/x", NoExec: true, Size: 1 << 20, Mode: 0o700},
		"type=tmpfs,dst=/x,noexec=false":                  {Type: record.Tmpfs, Target: "/x"},
	} {
		if got, err := parseMount(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
}

func TestParseMountErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 "empty",
		"type=bind,dst=/x":                 "needs a source",
		"type=bind,src=/a":                 "not an absolute path",
		"type=nfs,src=/a,dst=/x":           `unknown type "nfs"`,
		"type=bind,src=/a,dst=/x,foo=1":    `unknown field "foo"`,
		"type=bind,src=/a,dst=/x,":         `unknown field ""`,
		"type=bind,src=/a,dst=/x,ro=maybe": "want true or false",
		"type=bind,src=/a,dst=/x,bind-propagation=ro":           "propagation",
		"type=bind,src=/a,dst=/x\ntype=tmpfs,dst=/y":            "control characters",
		"type=tmpfs,src=/a,dst=/x":                              "no source",
		"type=tmpfs,dst=/x,tmpfs-size=lots":                     "size",
		"type=tmpfs,dst=/x,tmpfs-size=-1":                       "size",
		"type=tmpfs,dst=/x,tmpfs-mode=999":                      "octal",
		"type=tmpfs,dst=/x,bind-propagation=shared":             "options of a bind",
		"type=bind,src=/a,dst=/x,tmpfs-size=1m,volume-nocopy=1": "options of a",
		"src=a/b,dst=/x":                                        "invalid volume name",
		`type=bind,"src=/a,dst=/x`:                              "quote",
	} {
		if got, err := parseMount(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v; want %s", text, got, err, want)
		}
	}
}

func TestParseTmpfs(t *testing.T) {
	for text, want := range map[string]record.Mount{
		"/x":                           {Type: record.Tmpfs, Target: "/x", NoExec: true},
		"/x:":                          {Type: record.Tmpfs, Target: "/x", NoExec: true},
		"/x:rw,exec,size=64k":          {Type: record.Tmpfs, Target: "/x", Size: 64 << 10},
		"/x:ro,nosuid,mode=1770":       {Type: record.Tmpfs, Target: "/x", NoExec: true, ReadOnly: true, Mode: 0o1770},
		"/x/../y:noexec,nodev,size=1g": {Type: record.Tmpfs, Target: "/y", NoExec: true, Size: 1 << 30},
	} {
		if got, err := parseTmpfs(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "x", "/", "/x:foo", "/x:size=", "/x:mode=9", "/x:suid"} {
		if got, err := parseTmpfs(text); err == nil {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

func TestFillMountsOrderAndDuplicates(t *testing.T) {
	c := newContainer{runFlags: runFlags{Volume: []string{"/b:/2", "/a:/1"}, Mount: []string{"type=tmpfs,dst=/3"}, Tmpfs: []string{"/0"}}}
	var r sandbox.Request
	if err := c.fillMounts(&r); err != nil {
		t.Fatal(err)
	}
	var targets []string
	for _, m := range r.Spec.Mounts {
		targets = append(targets, m.Target)
	}
	if want := []string{"/2", "/1", "/3", "/0"}; !slices.Equal(targets, want) {
		t.Errorf("order: %q, want %q", targets, want)
	}
	for _, flags := range []runFlags{
		{Volume: []string{"/a:/x", "/b:/x/"}},
		{Volume: []string{"/a:/x"}, Tmpfs: []string{"/y/../x"}},
		{Mount: []string{"target=/x"}, Tmpfs: []string{"/x"}},
	} {
		c := newContainer{runFlags: flags}
		if err := c.fillMounts(new(sandbox.Request)); err == nil || err.Error() != "duplicate mount point: /x" {
			t.Errorf("%+v: %v", flags, err)
		}
	}
	c = newContainer{runFlags: runFlags{Volume: []string{"x"}, Mount: []string{"y"}, Tmpfs: []string{"z"}}}
	for range 20 { // the same error each time
		if err := c.fillMounts(new(sandbox.Request)); err == nil || !strings.HasPrefix(err.Error(), `invalid --volume "x": `) {
			t.Fatal(err)
		}
	}
}

// FuzzMounts holds what sandbox relies on: absolute, clean targets, absolute
// sources of binds, and nothing that would break a line.
func FuzzMounts(f *testing.F) {
	for _, seed := range []string{"/a:/b:ro", "data:/x", "type=bind,src=/a,dst=/b", `type=bind,"src=/a,b",dst=/x`, "/x:size=1m"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for name, parse := range map[string]func(string) (record.Mount, error){"volume": parseVolume, "mount": parseMount, "tmpfs": parseTmpfs} {
			m, err := parse(text)
			if err != nil {
				continue
			}
			if !filepath.IsAbs(m.Target) || m.Target != filepath.Clean(m.Target) || m.Target == "/" || strings.ContainsAny(m.Target+m.Source, "\x00\n") {
				t.Errorf("%s %q: target %q", name, text, m.Target)
			}
			if m.Type == record.Bind && !filepath.IsAbs(m.Source) || m.Type == record.Volume && strings.Contains(m.Source, "/") || m.Type == record.Tmpfs && m.Source != "" {
				t.Errorf("%s %q: %s source %q", name, text, m.Type, m.Source)
			}
		}
	})
}
