package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// The images whose pull is measured. large is five layers of files from Debian
// packages; next is large with another uppermost layer.
const (
	largeLayers = 5
	layerBytes  = 200e6
	smallLayers = 40
	smallBytes  = 10e6
)

// listedImages is how many images lists.
const listedImages = 50

// floor is the name of what no pull can be much faster than.
const floor = "curl, gunzip and tar"

// imageCases are those that move images. Each pull goes into an empty store.
func (b *bencher) imageCases() []benchCase {
	pull := func(name, image string, t target) benchCase {
		ref := b.ref(image)
		return benchCase{
			name:     name,
			commands: []string{"podman pull -q --tls-verify=false " + ref, "rootlet pull -q " + ref},
			prepare:  []string{b.emptyPodman(), b.emptyRootlet()},
			env:      b.pullEnv(), share: 10, target: t,
		}
	}
	five := pull("pull of five layers", "large", target{ratio: 0.60})
	five.share = 6
	five.others = []string{"skopeo copy to its store", floor}
	five.commands = append(five.commands,
		"skopeo copy -q --src-tls-verify=false docker://"+b.ref("large")+" containers-storage:localhost/large:latest",
		"sh "+b.path("floor.sh"))
	five.prepare = append(five.prepare, b.emptyPodman(), b.settled("rm -rf "+b.path("floor")))
	next := pull("pull, all layers but one are there", "next", target{ratio: 0.60})
	next.before = []string{
		b.emptyPodman(), "podman pull -q --tls-verify=false " + b.ref("large"),
		b.emptyRootlet(), "rootlet pull -q " + b.ref("large"),
	}
	next.prepare = []string{
		b.settled("podman rmi -f " + b.ref("next") + " 2>/dev/null"),
		b.settled("rootlet rmi -f " + b.ref("next") + " 2>/dev/null"),
	}
	return []benchCase{
		five,
		pull("pull of one big layer", "one", target{ratio: 0.60}),
		pull(fmt.Sprintf("pull of %d small layers", smallLayers), "forty", target{ratio: 0.60}),
		pull("pull of five layers in zstd", "zstd", target{ratio: 0.60}),
		next,
		b.pushCase(),
		b.loadCase(),
		b.listCase(),
	}
}

// pullEnv has rootlet's store where it can be thrown away whole.
func (b *bencher) pullEnv() []string { return []string{"XDG_DATA_HOME=" + b.path("pull")} }

// emptyPodman removes the large images, whichever are there.
func (b *bencher) emptyPodman() string {
	var refs []string
	for _, name := range []string{"large", "next", "one", "forty", "zstd"} {
		refs = append(refs, b.ref(name))
	}
	return b.settled("for i in localhost/large " + strings.Join(refs, " ") + "; do podman rmi -f $i >/dev/null 2>&1; done")
}

func (b *bencher) emptyRootlet() string {
	return b.settled("unshare " + strings.Join(b.removeTree(b.path("pull/rootlet")), " "))
}

// pushCase sends the large image to a registry that has nothing of it.
func (b *bencher) pushCase() benchCase {
	to := fmt.Sprintf("127.0.0.1:%d/large:latest", b.pushPort)
	empty := "sh -c 'rm -rf " + b.path("pushed/docker") + "; sync'"
	return benchCase{
		name: "push",
		before: []string{
			"podman pull -q --tls-verify=false " + b.ref("large"), "rootlet pull -q " + b.ref("large"),
		},
		commands: []string{
			"podman push -q --tls-verify=false " + b.ref("large") + " docker://" + to,
			"rootlet push -q " + b.ref("large") + " " + to,
		},
		prepare: []string{empty, empty},
		env:     b.pullEnv(), share: 10, target: target{ratio: 0.60},
	}
}

// loadCase reads the large image from an archive that podman wrote.
func (b *bencher) loadCase() benchCase {
	archive := b.path("large.tar")
	return benchCase{
		name: "load of a docker-archive of 1 GB",
		before: []string{
			"test -e " + archive + " || { podman pull -q --tls-verify=false " + b.ref("large") + " && podman save -q -o " + archive + " " + b.ref("large") + "; }",
		},
		commands: []string{"podman load -q -i " + archive, "rootlet load -q -i " + archive},
		prepare:  []string{b.emptyPodman(), b.emptyRootlet()},
		env:      b.pullEnv(), share: 10, target: target{ratio: 0.60},
	}
}

// listCase lists images that differ in their labels alone.
func (b *bencher) listCase() benchCase {
	all := "for i in $(seq " + fmt.Sprint(listedImages) + "); do %s pull -q %s 127.0.0.1:" + fmt.Sprint(b.port) + "/many:$i >/dev/null; done"
	return benchCase{
		name:     fmt.Sprintf("images, %d of them", listedImages),
		before:   []string{fmt.Sprintf(all, "podman", "--tls-verify=false"), fmt.Sprintf(all, "rootlet", "")},
		commands: []string{"podman images", "rootlet images"},
		env:      []string{"XDG_DATA_HOME=" + b.path("many")},
		share:    1, target: target{ratio: 0.5},
	}
}

// needsLarge reports whether one of the cases to be measured takes a large image.
func (b *bencher) needsLarge(only string) bool {
	named := func(name string) bool { return strings.Contains(name, only) }
	return named(peakName) || slices.ContainsFunc(b.imageCases(), func(c benchCase) bool { return named(c.name) })
}

// pushLarge makes the large images, and the registry that they are pushed to.
func (b *bencher) pushLarge() (err error) {
	if b.pushPort, err = b.startRegistry("pushed"); err != nil {
		return err
	}
	five, err := packageLayers(largeLayers+1, layerBytes)
	if err != nil {
		return err
	}
	large, err := b.pushFive(five)
	if err != nil {
		return err
	}
	b.facts = append(b.facts, largeFact(large))
	if _, err := b.push("zstd", zstandard, five[:largeLayers]); err != nil {
		return err
	}
	for _, i := range []struct {
		name   string
		layers int
		bytes  int64
	}{{"one", 1, largeLayers * layerBytes}, {"forty", smallLayers, smallBytes}} {
		layers, err := packageLayers(i.layers, i.bytes)
		if err != nil {
			return err
		}
		if _, err := b.push(i.name, gzipped, layers); err != nil {
			return err
		}
	}
	return b.pushMany()
}

// pushFive pushes large and next, from one layout, and writes the floor's script.
func (b *bencher) pushFive(six []fill) (large []descriptor, err error) {
	dir := b.path("oci-large")
	defer os.RemoveAll(dir)
	all, err := buildLayers(dir, gzipped, six)
	if err != nil {
		return nil, err
	}
	large = all[:largeLayers]
	next := append(slices.Clone(large[:largeLayers-1]), all[largeLayers])
	for name, layers := range map[string][]descriptor{"large": large, "next": next} {
		if err := writeLayout(dir, layers, nil); err != nil {
			return nil, err
		}
		if err := b.upload(dir, name); err != nil {
			return nil, err
		}
	}
	return large, b.writeFloor(large)
}

// writeFloor writes what unpacks the layers side by side with other tools.
func (b *bencher) writeFloor(layers []descriptor) error {
	lines := []string{"cd " + b.path("home")}
	for i, l := range layers {
		dir := fmt.Sprintf("%s/%d", b.path("floor"), i)
		lines = append(lines, fmt.Sprintf("{ mkdir -p %s; curl -s http://127.0.0.1:%d/v2/large/blobs/%s | gunzip | tar -x -C %[1]s; } &", dir, b.port, l.Digest))
	}
	return os.WriteFile(b.path("floor.sh"), []byte(strings.Join(append(lines, "wait"), "\n")), 0o644)
}

func (b *bencher) pushMany() error {
	dir := b.path("oci-many")
	defer os.RemoveAll(dir)
	layers, err := buildLayers(dir, gzipped, []fill{busyboxLayer})
	if err != nil {
		return err
	}
	for i := range listedImages {
		if err := writeLayout(dir, layers, map[string]string{"number": fmt.Sprint(i + 1)}); err != nil {
			return err
		}
		if err := b.giveAway(); err != nil {
			return err
		}
		to := fmt.Sprintf("docker://127.0.0.1:%d/many:%d", b.port, i+1)
		if _, err := b.output(nil, "skopeo", "copy", "-q", "--dest-tls-verify=false", "oci:"+dir, to); err != nil {
			return err
		}
	}
	return nil
}

func largeFact(layers []descriptor) string {
	var packed, unpacked int64
	for _, l := range layers {
		packed += l.Size
		unpacked += l.unpacked
	}
	return fmt.Sprintf("The pulled image: %d gzip layers of files of Debian packages, %d MB, %d MB unpacked, from docker-registry on loopback, into an empty store. "+
		"%s: the five layers side by side, written and not flushed.",
		len(layers), packed/1e6, unpacked/1e6, floor)
}

// toFloor is how much longer rootlet takes than the floor.
func toFloor(r row, floorMS float64) row {
	return row{
		name: r.name + ", to " + floor + " side by side", unit: "times",
		rootlet: r.rootlet / floorMS, target: target{absolute: 1.15},
	}
}

const peakName = "peak memory of a pull"

// peak is the most that all processes of a pull held at once, of the large layers
// and of one big one.
func (b *bencher) peak() (rows []row, err error) {
	for _, image := range []string{"large", "one"} {
		if _, err := b.output(b.pullEnv(), "sh", "-c", b.emptyRootlet()); err != nil {
			return nil, err
		}
		mib, err := b.peakOf("rootlet", "pull", "-q", b.ref(image))
		if err != nil {
			return nil, err
		}
		rows = append(rows, row{name: peakName + " of " + image, unit: "MiB", rootlet: mib, target: target{absolute: 150}})
	}
	return rows, nil
}

// peakOf looks at the processes' PSS twenty times a second.
func (b *bencher) peakOf(tool string, args ...string) (mib float64, err error) {
	f, err := startFamily()
	if err != nil {
		return 0, err
	}
	defer f.close()
	cmd := b.command(b.pullEnv(), tool, args...)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	var ended atomic.Bool
	done := make(chan error, 1)
	go func() { done <- cmd.Wait(); ended.Store(true) }()
	for !ended.Load() {
		var sum float64
		for _, pid := range f.members() {
			if s, err := sizeOfProcess(pid); err == nil { // not one that has just ended
				sum += s.total()
			}
		}
		mib = max(mib, sum)
		time.Sleep(50 * time.Millisecond)
	}
	return mib, <-done
}
