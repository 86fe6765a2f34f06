package transport

import (
	"strings"
	"testing"
)

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

func TestMisplaced(t *testing.T) {
	for given, want := range map[string]string{
		"docker://h:1/x:1":           `"docker://h:1/x:1": an image that is here is named without a transport: h:1/x:1`,
		"oci:lay:1":                  "pull, run, create and the destination of push take one",
		"dir:x:y":                    "without a transport",
		"containers-storage:bb:1":    "the transport containers-storage is not known; docker://, oci:, oci-archive:, docker-archive: and dir: are",
		"docker-daemon:x:1":          "the transport docker-daemon is not known",
		"https://docker.io/x:1":      "the transport https is not known",
		"":                           "",
		"x:y:z":                      "",
		"docker:x:y":                 "",
		"localhost:5000//x":          "",
		"example.com://x":            "",
		"docker.io/library/UPPER:12": "",
	} {
		err := Misplaced(given)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, not %s", given, err, want)
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
