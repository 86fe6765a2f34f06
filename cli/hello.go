package cli

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"

	"rootlet/pull"
	"rootlet/sandbox"
	"rootlet/userns"
)

// helloName is the built-in image, as a user writes it. Docker Hub has none of
// that name; a registry's is reached by its full one.
const (
	helloName     = "hello"
	helloFullName = "localhost/hello:latest"
)

// helloLayer is all that is in the built-in image: names for the ids, and an
// empty file in whose place rootlet itself is executed (sandbox.HelloPath).
func helloLayer() ([]byte, error) {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for _, f := range []struct {
		name, content string
		mode          int64
	}{
		{"etc/", "", 0o755},
		{"etc/passwd", "root:x:0:0:root:/:/hello\n", 0o644},
		{"etc/group", "root:x:0:\n", 0o644},
		{strings.TrimPrefix(sandbox.HelloPath, "/"), "", 0o755},
		{"tmp/", "", 0o1777},
	} {
		header := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.content)), Format: tar.FormatUSTAR}
		if strings.HasSuffix(f.name, "/") {
			header.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(w, f.content); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return layer.Bytes(), err
}

func helloConfig() []byte {
	return fmt.Appendf(nil, `{"architecture":%q,"os":"linux","config":{"Cmd":[%q],"WorkingDir":"/"}}`, runtime.GOARCH, sandbox.HelloPath)
}

// helloID is the built-in image's id where that is what the user means, else
// empty. It is its content's digest, so no other image can have it.
func helloID(given string) (string, error) {
	if given != helloName {
		return "", nil
	}
	layer, err := helloLayer()
	if err != nil {
		return "", err
	}
	return pull.BuiltID(helloConfig(), []pull.Opener{opener(layer)})
}

func opener(layer []byte) pull.Opener {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer)), nil }
}

// helloWork has a worker put the built-in image into the store, on the way that
// every other image takes.
type helloWork struct{}

func installHello(a *app, plan *userns.Plan, paths sandbox.Paths) error {
	var result pull.Result
	return a.have(plan, work{Paths: paths, Hello: &helloWork{}}, nil, &result)
}

func (*helloWork) do(ctx context.Context, t *task) (any, error) {
	layer, err := helloLayer()
	if err != nil {
		return nil, err
	}
	options, err := t.installOptions()
	if err != nil {
		return nil, err
	}
	return pull.Install(ctx, helloFullName, helloConfig(), []pull.Opener{opener(layer)}, options, storeForPull{t.store})
}
