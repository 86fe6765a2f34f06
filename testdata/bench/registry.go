package main

import (
	"archive/tar"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// images starts a registry and puts both images into it, the large one where it is
// measured, and the small one into the tools' stores.
func (b *bencher) images(large bool) error {
	if err := b.startRegistry(); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "bench: making the images")
	if _, err := b.push("busybox", []func(*tar.Writer) error{busyboxLayer}); err != nil {
		return err
	}
	if large {
		if err := b.pushLarge(); err != nil {
			return err
		}
	}
	for _, env := range [][]string{nil, b.fuseEnv()} {
		if _, err := b.output(env, "podman", "pull", "-q", "--tls-verify=false", b.ref("busybox")); err != nil {
			return err
		}
	}
	if _, err := b.output(nil, "rootlet", "pull", b.ref("busybox")); err != nil {
		return err
	}
	return b.makeRootfs()
}

func (b *bencher) pushLarge() error {
	large, err := largeLayersOf()
	if err != nil {
		return err
	}
	layers, err := b.push("large", large)
	if err != nil {
		return err
	}
	b.facts = append(b.facts, largeFact(layers))
	return nil
}

func largeFact(layers []descriptor) string {
	var packed, unpacked int64
	for _, l := range layers {
		packed += l.Size
		unpacked += l.unpacked
	}
	return fmt.Sprintf("The pulled image: %d gzip layers of files of Debian packages, %d MB, %d MB unpacked, from docker-registry on loopback, into an empty store.",
		len(layers), packed/1e6, unpacked/1e6)
}

func (b *bencher) ref(name string) string { return fmt.Sprintf("127.0.0.1:%d/%s:latest", b.port, name) }

// startRegistry runs Debian's docker-registry on a free port of the loopback.
func (b *bencher) startRegistry() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	b.port = l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	conf := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: 127.0.0.1:%d}\n",
		b.path("registry"), b.port)
	if err := os.WriteFile(b.path("registry.yml"), []byte(conf), 0o644); err != nil {
		return err
	}
	cmd := b.command([]string{"OTEL_TRACES_EXPORTER=none"}, "docker-registry", "serve", b.path("registry.yml"))
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("docker-registry: %w", err)
	}
	b.undo = append(b.undo, func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	address := fmt.Sprintf("127.0.0.1:%d", b.port)
	for range 100 {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			return conn.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("docker-registry does not answer on %s", address)
}

// push builds an image and uploads it.
func (b *bencher) push(name string, layers []func(*tar.Writer) error) ([]descriptor, error) {
	dir := b.path("oci-" + name)
	built, err := buildImage(dir, layers)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := b.giveAway(); err != nil {
		return nil, err
	}
	_, err = b.output(nil, "skopeo", "copy", "-q", "--dest-tls-verify=false", "oci:"+dir, "docker://"+b.ref(name))
	return built, err
}

// makeRootfs is bubblewrap's root.
func (b *bencher) makeRootfs() error {
	for _, dir := range []string{"bin", "dev", "proc"} {
		if err := os.MkdirAll(b.path(filepath.Join("rootfs", dir)), 0o755); err != nil {
			return err
		}
	}
	return copyFile("/bin/busybox", b.path("rootfs/bin/true"), 0o755)
}
