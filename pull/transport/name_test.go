package transport

import "testing"

func TestParse(t *testing.T) {
	for arg, want := range map[string]Name{
		"docker://debian:12":                 {Registry, "", "debian:12"},
		"oci:dir":                            {OCI, "dir", ""},
		"oci:/a/b:tag":                       {OCI, "/a/b", "tag"},
		"oci-archive:f.tar:docker.io/x:1":    {OCIArchive, "f.tar", "docker.io/x:1"},
		"docker-archive:f.tar":               {DockerArchive, "f.tar", ""},
		"docker-archive:f.tar:localhost/x:1": {DockerArchive, "f.tar", "localhost/x:1"},
		"docker-archive:f.tar:@2":            {DockerArchive, "f.tar", "@2"},
		"dir:a:b":                            {Dir, "a:b", ""},
	} {
		got, ok, err := Parse(arg)
		if err != nil || !ok || got != want {
			t.Errorf("%s: %+v, %v, %v", arg, got, ok, err)
		}
		if got.String() != arg {
			t.Errorf("%s comes back as %s", arg, got)
		}
	}
	for _, arg := range []string{"", "debian", "debian:12", "docker:dind", "localhost:5000/x", "docker-daemon:x", "oci"} {
		if got, ok, err := Parse(arg); ok || err != nil {
			t.Errorf("%s: %+v, %v", arg, got, err)
		}
	}
	for _, arg := range []string{"oci:", "dir:", "docker-archive::x", "docker://"} {
		if _, ok, err := Parse(arg); !ok || err == nil {
			t.Errorf("%s was taken", arg)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"docker://debian:12", "oci:/a/b:tag", "docker-archive:f.tar:@2", "dir:a:b", "oci::", "docker:dind"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		got, ok, err := Parse(arg)
		if !ok || err != nil {
			return
		}
		again, ok, err := Parse(got.String())
		if !ok || err != nil || again != got {
			t.Errorf("%q: %+v, then %+v, %v", arg, got, again, err)
		}
	})
}
