package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// images starts a registry and puts the images into it, the large ones where they
// are measured, and the small one into the tools' stores.
func (b *bencher) images(large bool) error {
	port, err := b.startRegistry("registry")
	if err != nil {
		return err
	}
	b.port = port
	fmt.Fprintln(os.Stderr, "bench: making the images")
	if _, err := b.push("busybox", gzipped, []fill{busyboxLayer}); err != nil {
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
	if err := b.pushTraffic(); err != nil {
		return err
	}
	return b.makeRootfs()
}

func (b *bencher) ref(name string) string { return fmt.Sprintf("127.0.0.1:%d/%s:latest", b.port, name) }

// startRegistry runs Debian's docker-registry on a free port of the loopback, over a
// directory of the scratch.
func (b *bencher) startRegistry(dir string) (port int, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port = l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	conf := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: 127.0.0.1:%d}\n",
		b.path(dir), port)
	if err := os.WriteFile(b.path(dir+".yml"), []byte(conf), 0o644); err != nil {
		return 0, err
	}
	cmd := b.command([]string{"OTEL_TRACES_EXPORTER=none"}, "docker-registry", "serve", b.path(dir+".yml"))
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("docker-registry: %w", err)
	}
	b.undo = append(b.undo, func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	address := fmt.Sprintf("127.0.0.1:%d", port)
	for range 100 {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			return port, conn.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return 0, fmt.Errorf("docker-registry does not answer on %s", address)
}

// push builds an image and uploads it.
func (b *bencher) push(name string, p packing, layers []fill) ([]descriptor, error) {
	dir := b.path("oci-" + name)
	built, err := buildImage(dir, p, layers)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	return built, b.upload(dir, name)
}

// upload sends the image of a layout to the registry.
func (b *bencher) upload(dir, name string) error {
	if err := b.giveAway(); err != nil {
		return err
	}
	_, err := b.output(nil, "skopeo", "copy", "-q", "--dest-tls-verify=false", "oci:"+dir, "docker://"+b.ref(name))
	return err
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
