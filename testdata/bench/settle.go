package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// What is removed before a pull, so that it begins with an empty store, is felt by
// the pull: for a minute, and for six where the inodes were not written out, ext4
// without a journal looks at each inode that was removed before it gives a file a new
// one, as long as it remembers them (recently_deleted in fs/ext4/ialloc.c). A pull
// took three times as long for it once, with either tool, and another time not. So
// the kernel is made to forget its caches, and then reads again what a pull does.

// settled is a command for hyperfine's --prepare: the lines of a shell, and then the
// machine is as if nothing had been removed.
func (b *bencher) settled(lines string) string {
	last := "sync"
	if b.cred != nil {
		last = "curl -sf --unix-socket " + b.path("settle") + " http://bench/"
	}
	return "sh -c '" + lines + "; " + last + "'"
}

// serveSettle is the other end: dropping caches is root's.
func (b *bencher) serveSettle() error {
	if b.cred == nil {
		b.facts = append(b.facts, "Not run by root: what was removed before a pull may have slowed it down, on ext4 without a journal.")
		return nil
	}
	l, err := net.Listen("unix", b.path("settle"))
	if err != nil {
		return err
	}
	if err := os.Chmod(b.path("settle"), 0o666); err != nil {
		return errors.Join(err, l.Close())
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := b.settle(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})}
	go func() { _ = server.Serve(l) }()
	b.undo = append(b.undo, func() { _ = server.Close() })
	b.facts = append(b.facts, "Before each pull and load the disk was flushed, the kernel's caches were dropped, and the registry's files, the archive and the programs were read.")
	return nil
}

func (b *bencher) settle() error {
	syscall.Sync()
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0); err != nil {
		return err
	}
	files := []string{b.path("bin/rootlet"), b.path("large.tar")}
	for program := range programs {
		if path, err := exec.LookPath(program); err == nil {
			files = append(files, path)
		}
	}
	err := filepath.WalkDir(b.path("registry"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, path := range files {
		if err := readOnce(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read %s: %w", path, err)
		}
	}
	return nil
}

func readOnce(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(struct{ io.Writer }{io.Discard}, f)
	return err
}
