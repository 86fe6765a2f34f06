package integration

import (
	"archive/tar"
	"fmt"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// The images of hostile.txtar attack what runs them; shared/threats.md numbers
// the attacks. Each is busybox with something in the wrong place, or one that
// leads to the victim, $VICTIM in the script: a directory of the user's.
var victim = fmt.Sprintf("/tmp/rootlet-victim-%d", os.Getuid())

var hostileImages = map[string]func() (remote.Taggable, error){
	// 1: a working directory through a descriptor that was left open.
	"workdir-fd": hostileImage(v1.Config{WorkingDir: "/proc/self/fd/7"}),
	"workdir-up": hostileImage(v1.Config{WorkingDir: "/leads/out/../../../../../../" + victim}, symlink("leads", "../../../../../../..")),
	// 3: the entrypoint is whatever executed it.
	"self-exe": hostileImage(v1.Config{Entrypoint: []string{"/script"}}, file("script", 0o755, "#!/proc/self/exe\n")),
	// 4: /dev/null is something else.
	"dev-null": hostileImage(v1.Config{}, dir("dev", 0o755), symlink("dev/null", "/proc/sys/kernel/core_pattern")),
	// 5, 6: the runtime's own mount points lead away.
	"dev-link":     hostileImage(v1.Config{}, symlink("dev", victim)),
	"proc-link":    hostileImage(v1.Config{}, symlink("proc", victim)),
	"sys-link":     hostileImage(v1.Config{}, symlink("sys", "../../../../../.."+victim)),
	"dev-file":     hostileImage(v1.Config{}, file("dev", 0o644, "")),
	"console-link": hostileImage(v1.Config{}, dir("dev", 0o755), symlink("dev/console", victim+"/hello"), symlink("dev/pts", victim), symlink("dev/ptmx", victim+"/hello")),
	// 9, 33: /etc and its files lead away.
	"etc-link":   hostileImage(v1.Config{}, entry{tar.Header{Typeflag: tar.TypeReg, Name: "etc/.wh..wh..opq"}, ""}, symlink("etc/hosts", victim+"/hello"), symlink("etc/resolv.conf", "../../../../.."+victim+"/new"), symlink("etc/hostname", "hostname")),
	"etc-linked": hostileImage(v1.Config{}, entry{tar.Header{Typeflag: tar.TypeReg, Name: ".wh.etc"}, ""}, symlink("etc", victim)),
	// 14: /etc/passwd never ends.
	"passwd-fifo": hostileImage(v1.Config{User: "alice"}, entry{tar.Header{Typeflag: tar.TypeFifo, Name: "etc/passwd", Mode: 0o644}, ""}),
	"passwd-zero": hostileImage(v1.Config{User: "alice"}, symlink("etc/passwd", "/dev/zero")),
	"user-huge":   hostileImage(v1.Config{User: "4294967296"}),
	"user-minus":  hostileImage(v1.Config{User: "-1"}),
	// 15: variables without a value ask for the host's.
	"env-names": hostileImage(v1.Config{Env: []string{"SECRET", "*", "S*", "=x"}}),
	// 17: labels that might be taken for settings.
	"labels": hostileImage(v1.Config{Labels: map[string]string{"rootlet.network": "host", "io.podman.annotations.privileged": "TRUE", "run": "touch " + victim + "/run"}}),
	// 30: volumes without end, and one over /proc.
	"volume-proc": hostileImage(v1.Config{Volumes: map[string]struct{}{"/proc/self": {}}}),
	"volume-many": hostileImage(v1.Config{Volumes: manyVolumes(1000)}),
}

func hostileImage(config v1.Config, entries ...entry) func() (remote.Taggable, error) {
	return func() (remote.Taggable, error) { return with(config, entries...) }
}

func manyVolumes(n int) map[string]struct{} {
	volumes := map[string]struct{}{}
	for i := range n {
		volumes[fmt.Sprintf("/v%d", i)] = struct{}{}
	}
	return volumes
}
