package integration

import (
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/rogpeppe/go-internal/testscript"
)

// archived KIND IMAGE PATH: writes an image of the tests to a file or directory,
// by go-containerregistry: docker-archive, in which it is IMAGE:1, or oci, in
// which its tag is 1.
func archived(ts *testscript.TestScript, neg bool, args []string) {
	content, err := images[args[1]]()
	ts.Check(err)
	path := ts.MkAbs(args[2])
	switch image := content.(type) {
	case v1.Image:
		if args[0] == "docker-archive" {
			ref, err := name.ParseReference(args[1] + ":1")
			ts.Check(err)
			ts.Check(tarball.WriteToFile(path, ref, image))
			return
		}
		to, err := layout.Write(path, empty.Index)
		ts.Check(err)
		ts.Check(to.AppendImage(image, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "1"})))
	case v1.ImageIndex:
		to, err := layout.Write(path, empty.Index)
		ts.Check(err)
		ts.Check(to.AppendIndex(image, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "1"})))
	default:
		ts.Check(fmt.Errorf("no image %s", args[1]))
	}
}
