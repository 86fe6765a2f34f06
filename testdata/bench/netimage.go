package main

import (
	"archive/tar"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// nginxConf is a server that does nothing but answer.
const nginxConf = `user root root; worker_processes 1; daemon off; pid /tmp/nginx.pid; error_log /dev/null;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 1000000000;
  client_body_temp_path /tmp/1; proxy_temp_path /tmp/2; fastcgi_temp_path /tmp/3; uwsgi_temp_path /tmp/4; scgi_temp_path /tmp/5;
  server { listen 80; location / { return 200 "hello\n"; } }
}
`

// pushTraffic makes the image of the containers whose network is measured, and pulls it.
func (b *bencher) pushTraffic() error {
	if _, err := b.push("traffic", gzipped, []fill{busyboxLayer, trafficLayer}); err != nil {
		return err
	}
	if _, err := b.output(nil, "podman", "pull", "-q", "--tls-verify=false", b.ref("traffic")); err != nil {
		return err
	}
	_, err := b.output(nil, "rootlet", "pull", b.ref("traffic"))
	return err
}

// trafficLayer is Debian's iperf3 and nginx with their libraries, and this program.
func trafficLayer(tw *tar.Writer) error {
	l := &tree{tw: tw, made: map[string]bool{}}
	for _, name := range []string{"iperf3", "nginx"} {
		path, err := exec.LookPath(name)
		if err != nil {
			return err
		}
		if err := errors.Join(l.copy("/bin/"+name, path), l.libraries(path)); err != nil {
			return err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := static(self); err != nil {
		return err
	}
	return errors.Join(l.copy("/bin/"+peerName, self), l.write("/etc/nginx.conf", []byte(nginxConf)))
}

// static fails for a program that a root without libraries does not run.
func static(path string) error {
	f, err := elf.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return errors.New("the bench is to be built with CGO_ENABLED=0")
		}
	}
	return nil
}

// A tree writes files and the directories above them.
type tree struct {
	tw   *tar.Writer
	made map[string]bool
}

func (t *tree) write(name string, content []byte) error {
	if t.made[name] {
		return nil
	}
	t.made[name] = true
	if err := t.directory(filepath.Dir(name)); err != nil {
		return err
	}
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name[1:], Mode: 0o755, Size: int64(len(content)), ModTime: time.Unix(0, 0)}
	if err := t.tw.WriteHeader(h); err != nil {
		return err
	}
	_, err := t.tw.Write(content)
	return err
}

func (t *tree) directory(name string) error {
	if name == "/" || t.made[name] {
		return nil
	}
	t.made[name] = true
	if err := t.directory(filepath.Dir(name)); err != nil {
		return err
	}
	return t.tw.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name[1:] + "/", Mode: 0o755, ModTime: time.Unix(0, 0)})
}

func (t *tree) copy(name, from string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return t.write(name, content)
}

// libraries copies what ldd(1) lists, to where it says.
func (t *tree) libraries(program string) error {
	out, err := exec.Command("ldd", program).Output()
	if err != nil {
		return fmt.Errorf("ldd %s: %w", program, err)
	}
	for word := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(word, "/") {
			if err := t.copy(word, word); err != nil {
				return err
			}
		}
	}
	return nil
}
