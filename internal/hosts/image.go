package hosts

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
)

// writeArchive is what docker save makes of an image of one layer.
func writeArchive(name, reference string, layer []byte) error {
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "config": map[string]any{"Env": []string{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(layer))}},
	})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal([]any{map[string]any{"Config": "config.json", "RepoTags": []string{reference}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	w := tar.NewWriter(f)
	return errors.Join(
		add(w, "config.json", 0o644, config), add(w, "layer.tar", 0o644, layer), add(w, "manifest.json", 0o644, manifest),
		w.Close(), f.Close())
}

func add(w *tar.Writer, name string, mode int64, text []byte) error {
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(text))}); err != nil {
		return err
	}
	_, err := w.Write(text)
	return err
}

func directories(w *tar.Writer, names ...string) (err error) {
	for _, name := range names {
		mode := int64(0o755)
		if name == "tmp" || name == "var/tmp" {
			mode = 0o1777
		}
		err = errors.Join(err, w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: mode}))
	}
	return err
}

func links(w *tar.Writer, target string, names ...string) (err error) {
	for _, name := range names {
		err = errors.Join(err, w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: strings.ReplaceAll(target, "NAME", name), Mode: 0o777}))
	}
	return err
}

// busybox is an image with that program, as Debian builds it.
func busybox(w *tar.Writer) error {
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return fmt.Errorf("%w (Debian: apt-get install busybox-static)", err)
	}
	return errors.Join(
		directories(w, "bin", "dev", "etc", "proc", "root", "run", "sys", "tmp", "usr", "var"),
		add(w, "etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/bin/sh\n")),
		add(w, "etc/group", 0o644, []byte("root:x:0:\n")),
		add(w, "bin/busybox", 0o755, program),
		links(w, "busybox", "bin/awk", "bin/cat", "bin/chown", "bin/grep", "bin/ls", "bin/sh", "bin/stat", "bin/true", "bin/sleep"))
}

// hostsPrograms is an image for the programs of this machine, which are mounted at /usr:
// what a CI job's image holds.
func hostsPrograms(w *tar.Writer) error {
	return errors.Join(
		directories(w, "dev", "etc", "etc/containers", "proc", "root", "run", "srv", "sys", "tmp", "usr", "var", "var/tmp", "var/lib"),
		links(w, "usr/NAME", "bin", "lib", "lib64", "sbin"),
		add(w, "etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/bin/sh\n")),
		add(w, "etc/group", 0o644, []byte("root:x:0:\n")))
}
